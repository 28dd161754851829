// A space on the glass: its ways out, the time that is replayed, what is said of the replay, and figures judged by the replay's clock.

import { address, changed, space } from "./address.js";
import { el } from "./dom.js";
import { clock, date as day, number, weekday } from "./format.js";
import { judge } from "./honest.js";

export { steer } from "./steer.js";

const AWAY_SECONDS = 10;
const STATES = { starting: "đang chuẩn bị", playing: "đang phát", "catching up": "đang tua", paused: "đã dừng", done: "hết", stopped: "đã kết thúc" };

/** Ways out of the space, in its band; uid: of the board that is shown, where one is. */
export function ways(uid = "") {
  const box = document.querySelector("#drill .ways");
  const live = Object.assign(el("a", "", "Về trực tiếp"), { href: changed({ space: null, at: null }) });
  const both = Object.assign(el("a", "", "So với trực tiếp"), { href: address(`/compare?board=${encodeURIComponent(uid)}`) });
  box.replaceChildren(...(uid ? [both] : []), live);
}

/** The time that is shown, in the band. */
export function date(ms) {
  const said = `phát lại ${clock(ms)} ${weekday(ms).toLowerCase()} ${day(ms)}`, shown = document.getElementById("replayed");
  if (shown.textContent !== said) shown.textContent = said;
}

/** [kind, words] for the head of the wall. */
export function told(replay) {
  if (!replay) return ["held", "không có buổi phát lại"];
  if (replay.state === "failed") return ["lost", `lỗi: ${replay.wrong ?? "không rõ"}`];
  if (away(replay)) return ["lost", "máy phát lại không trả lời"];
  return [replay.state === "playing" ? "live" : "held", [STATES[replay.state], ...rate(replay)].join(", ")];
}

/** Whether the player has fallen silent though it should be at work. */
export function away({ state, silent_seconds: silent }) {
  return ["playing", "catching up", "paused"].includes(state) && (silent === null || silent > AWAY_SECONDS);
}

function rate({ state, clock_rate: times, rate: events, most_rate: most }) {
  const said = [`${number(events)} tin/giây`, ...(most ? ["nhường luồng trực tiếp"] : [])];
  if (state === "playing") return [...(times ? [`nhanh ${number(times, times < 1 ? 1 : 0)} lần`] : []), ...said];
  return state === "catching up" ? said : [];
}

/** As honest.js judges a department, at the time up to which the replay's events are in the figures: what comes after was not asked yet. */
export function judged(department, now, replay) {
  if (!department || !replay) return judge(department, now);
  const reached = Math.min(now, replay.followed);
  const asOf = department.as_of === null ? null : Math.min(department.as_of, reached);
  return judge({ ...department, as_of: asOf, owed: null }, reached);
}
