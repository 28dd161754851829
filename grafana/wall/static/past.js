// Looking back: the board as it looked at a minute gone by, and the bar to move through the last day.

import { changed, question } from "./address.js";
import { el } from "./dom.js";
import { date, minute, weekday } from "./format.js";

const MINUTE = 60_000, DAY = 1440 * MINUTE;
const STEPS = [["−1 giờ", -60], ["−10 phút", -10], ["+10 phút", 10]];
const whole = (ms) => Math.floor(ms / MINUTE) * MINUTE;

/** The minute an address asks for, in ms; null for now. Times without an offset are Viet Nam's. */
export function momentOf(text) {
  if (text === null) return null;
  const ms = Date.parse(/(Z|[+-]\d\d:\d\d)$/.test(text) ? text : `${text.length === 10 ? `${text}T00:00` : text}+07:00`);
  return Number.isNaN(ms) ? null : whole(ms);
}

/** `2026-10-03T09:17` in Viet Nam. */
function written(ms) {
  return new Date(ms + 420 * MINUTE).toISOString().slice(0, 16);
}

/** In place of `Live`: one reading of one minute; moving to another minute reads that one, and the address follows. */
export class Past {
  #board; #onWave; #at; #turn = 0; #told = false; #failed = false; #pending = 0; #latest = Infinity;

  constructor(board, at, onWave) {
    this.#board = board;
    this.#onWave = onWave;
    this.#at = at;
  }

  now() {
    return this.#at;
  }

  /** The last minute that can be looked at, in ms: a replay's own time ends sooner. */
  latest() {
    return Math.min(Date.now(), this.#latest);
  }

  get live() {
    return this.#told && !this.#failed;
  }

  get since() {
    return this.#failed ? this.#at : null;
  }

  async open() {
    const turn = ++this.#turn, asked = new URLSearchParams([["board", this.#board], ...question()]);
    asked.set("at", written(this.#at));
    try {
      const answer = await fetch(`/api/past?${asked}`);
      if (!answer.ok) throw new Error(String(answer.status));
      const wave = await answer.json();
      if (turn !== this.#turn) return;
      this.#told = true;
      this.#failed = false;
      this.#latest = wave.state.latest ?? Infinity;
      this.#onWave(wave);
    } catch {
      if (turn === this.#turn) this.#failed = true;
    }
  }

  /** Look at another minute; quick moves are read once they rest. */
  move(ms) {
    this.#at = whole(ms);
    history.replaceState(null, "", changed({ at: written(this.#at) }));
    clearTimeout(this.#pending);
    this.#pending = setTimeout(() => this.open(), 150);
  }

  check() {
    if (this.#failed) this.open();
  }

  close() {
    this.#turn++;
    clearTimeout(this.#pending);
  }
}

/** The bar at the foot of the wall: shown in the past always, live only when asked for (`t`, or the button). */
export class Bar {
  #past; #box = el("section", "timebar"); #slider = el("input"); #said = el("output"); #end; #latest;

  /** past: null while live. now(): the server's time. */
  constructor(past, now) {
    this.#past = past;
    this.#latest = past ? () => past.latest() : now;
    this.#end = whole(past ? Math.max(past.now(), Math.min(this.#latest(), past.now() + DAY / 2)) : now());
    Object.assign(this.#slider, { type: "range", min: "0", max: "1440", step: "1" });
    this.#slider.setAttribute("aria-label", "Thời điểm đang xem");
    this.#slider.addEventListener("input", () => this.#to(this.#end + (Number(this.#slider.value) - 1440) * MINUTE));
    const buttons = STEPS.map(([label, by]) => this.#button(label, () => this.#to(this.#at() + by * MINUTE)));
    const back = this.#button("Hiện tại", () => location.assign(changed({ at: null })));
    back.className = "now";
    this.#box.setAttribute("aria-label", "Xem lại");
    this.#box.append(el("b", "", past ? "ĐANG XEM QUÁ KHỨ" : "Xem lại"), this.#said, this.#slider, ...buttons, back);
    this.#box.hidden = past === null;
    document.body.append(this.#box);
    document.documentElement.toggleAttribute("data-past", past !== null);
    addEventListener("keydown", (event) => this.#key(event));
    this.#draw();
  }

  #at() {
    return this.#past ? this.#past.now() : this.#end;
  }

  #button(label, act) {
    const made = el("button", "", label);
    made.type = "button";
    made.addEventListener("click", act);
    return made;
  }

  #to(ms) {
    const at = Math.min(whole(ms), whole(this.#latest()));
    if (!this.#past) return location.assign(changed({ at: written(Math.min(at, this.#end - MINUTE)) }));
    if (at > this.#end || at < this.#end - DAY) this.#end = Math.min(whole(this.#latest()), at + DAY / 2);
    this.#past.move(at);
    return this.#draw();
  }

  #draw() {
    const at = this.#at();
    this.#slider.value = String(1440 + (at - this.#end) / MINUTE);
    const said = `${minute(at)} ${weekday(at).toLowerCase()} ${date(at)}`;
    this.#slider.setAttribute("aria-valuetext", said);
    this.#said.textContent = this.#past ? `như đã hiện lúc ${said}` : "kéo để xem màn hình như đã hiện trong ngày qua";
  }

  #key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("select, input, textarea, dialog")) return;
    if (event.key === "t" && !this.#past) {
      this.#box.hidden = !this.#box.hidden;
      this.#end = whole(this.#latest());
      this.#draw();
      if (!this.#box.hidden) this.#slider.focus();
    } else if (this.#past && (event.key === "[" || event.key === "]")) this.#to(this.#at() + (event.key === "[" ? -10 : 10) * MINUTE);
    else if (this.#past && (event.key === "{" || event.key === "}")) this.#to(this.#at() + (event.key === "{" ? -60 : 60) * MINUTE);
    else if (this.#past && event.key === "n") location.assign(changed({ at: null }));
  }
}
