// The rotation of boards: ?kiosk=1&rotate=60&boards=a,b,c. The next board is loaded behind the shown one and takes its place once it is drawn.

import { dress } from "./stage.js";

const LOOK_EVERY = 200, GIVE_UP_AFTER = 30_000, AHEAD = 8000, FADE = 1000, AWAY_PAUSE = 3000;
const asked = new URLSearchParams(location.search);
const seconds = Math.min(3600, Math.max(3, Number(asked.get("rotate")) || 60));
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function listed() {
  const named = (asked.get("boards") ?? "").split(",").map((uid) => uid.trim()).filter(Boolean);
  while (!named.length) {
    try {
      const answer = await fetch("/api/boards");
      if (answer.ok) named.push(...(await answer.json()).map((board) => board.uid));
    } catch {
      // the server is away: ask again
    }
    if (!named.length) await wait(AWAY_PAUSE);
  }
  return named;
}

function open(uid) {
  const query = new URLSearchParams(asked);
  for (const name of ["boards", "rotate"]) query.delete(name);
  query.set("kiosk", "1");
  const frame = document.createElement("iframe");
  frame.title = uid;
  frame.src = `/d/${encodeURIComponent(uid)}?${query}`;
  document.body.append(frame);
  return frame;
}

/** Whether the frame came to show its first figures; a page that did not load has no document of ours, one that begins to load has an empty one. */
async function drawn(frame) {
  for (const until = performance.now() + GIVE_UP_AFTER; performance.now() < until; await wait(LOOK_EVERY)) {
    if (frame.contentDocument?.documentElement?.dataset.ready === "yes") return true;
  }
  return false;
}

async function show(frame, before) {
  document.getElementById("opening")?.remove();
  frame.classList.add("shown");
  document.title = frame.contentDocument?.title ?? "";
  if (!before) return;
  await wait(FADE);
  before.remove();
}

async function rotate() {
  const boards = await listed();
  let shown = null;
  for (let turn = 0; ; turn++) {
    const began = performance.now();
    const next = open(boards[turn % boards.length]);
    if (!(await drawn(next))) {
      next.remove(); // what is shown stays, and says by itself that it is not live
      await wait(AWAY_PAUSE);
      continue;
    }
    if (shown) await wait(Math.min(AHEAD, seconds * 500) - (performance.now() - began));
    await show(next, shown);
    shown = next;
    if (boards.length === 1) return;
    await wait(seconds * 1000 - Math.min(AHEAD, seconds * 500));
  }
}

const light = asked.get("theme") === "light" || (asked.get("theme") === "auto" && matchMedia("(prefers-color-scheme: light)").matches);
document.documentElement.dataset.theme = light ? "light" : "dark";
dress();
rotate();
