// What a screen tells the server of itself, and the page loaded anew when the server has a new version.

import { question } from "./address.js";
import { dress } from "./stage.js";

const BEACON = 15_000, SOON = 1000, LOADED_AGAIN_AFTER = 60_000;
const asked = new URLSearchParams(location.search);
const framed = window.top !== window;

function identity() {
  let id = sessionStorage.getItem("screen");
  if (!id) {
    id = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");
    sessionStorage.setItem("screen", id);
  }
  return id;
}

/** Keeps watch over this page: call `saw(wave)` once a wave is drawn. */
export function watch(board) {
  const errors = new Map();
  let last = null, first = null, told = 0;
  const note = (key, text) => errors.set(key, String(text).slice(0, 120));
  addEventListener("error", (event) => note("script", event.message ?? "a file could not be loaded"));
  addEventListener("unhandledrejection", (event) => note("script", event.reason?.message ?? event.reason));
  if (asked.has("kiosk")) dress();

  /** In a kiosk the board that waits behind the shown one is silent. */
  function onStage() {
    return !framed || window.frameElement?.classList.contains("shown");
  }

  function report() {
    if (!last || !onStage()) return;
    told = performance.now();
    const view = `${board}${question().size ? `?${question()}` : ""}`;
    const said = {
      screen: identity(), name: (asked.get("screen") ?? "").slice(0, 120), view: view.slice(0, 400), wave: last.wave, at: last.machine ?? last.now,
      version: first, errors: [...errors.values()].slice(0, 5), visible: document.visibilityState === "visible",
    };
    fetch("/api/seen", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(said), keepalive: true }).catch(() => undefined);
  }

  /** Only when the server hands out the page, so that a screen never ends on the browser's own error page; and never in a loop. */
  async function reload() {
    if (Date.now() - Number(sessionStorage.getItem("reloaded") ?? 0) < LOADED_AGAIN_AFTER || !onStage()) return;
    const answer = await fetch(window.top.location.href, { cache: "no-cache" });
    if (!answer.ok) return;
    sessionStorage.setItem("reloaded", String(Date.now()));
    window.top.location.reload();
  }

  setInterval(() => {
    if (performance.now() - told >= BEACON || (told === 0 && last)) report();
  }, SOON);

  return {
    saw({ state, panels }) {
      if (state.version === undefined) return; // a moment of the past, which no server keeps moving
      last = state;
      first ??= state.version;
      for (const [id, data] of Object.entries(panels)) {
        if (data.error) note(id, `panel ${id}: ${data.error}`);
        else errors.delete(id);
      }
      document.documentElement.dataset.version = first;
      if (state.version !== first) reload().catch(() => undefined);
    },
  };
}
