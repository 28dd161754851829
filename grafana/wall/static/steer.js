// The bar at the foot of a space: its period, what is in the figures, the clock as a handle; pause, speed and seeking, for those who may.

import { space } from "./address.js";
import { el, svg } from "./dom.js";
import { clock, date, dayMonth, minute, number, weekday } from "./format.js";
import { announce, ask } from "./page.js";
import { away, told } from "./space.js";

const MINUTE = 60_000, HOUR = 60 * MINUTE, MOVE = 100, REST = 300, TAKEN = 1500;
const SPEEDS = [[0.1, "0,1×"], [1, "1×"], [10, "10×"], [60, "60×"], [600, "600×"], [null, "nhanh nhất"]];
const ENDED = ["done", "stopped", "failed"]; // nobody plays any more
const STEPS = { ArrowLeft: -MINUTE, ArrowRight: MINUTE, ArrowDown: -HOUR, ArrowUp: HOUR, PageDown: -HOUR, PageUp: HOUR };
const PATH = `/api/replay/${encodeURIComponent(space)}`;

/** Put the bar at the foot, where the space has a replay. now(): its time; replay(): how it stands, as the last wave told. */
export async function steer(now, replay) {
  const { status, found } = await ask(PATH);
  if (status === 200) new Bar(found, now, replay);
  else if (status !== 404) setTimeout(() => steer(now, replay), 5000);
}

class Bar {
  #period; #now; #replay; #held = null; #asked = 0; #dragging = false; #rest = 0; #said = "";
  #pause = el("button", "pause"); #speeds; #left = el("span", "left"); #wrong = el("span", "wrong");
  #track = el("div", "track"); #reached = el("div", "reached"); #ahead = el("div", "ahead"); #handle = el("div", "handle"); #flag = el("output");

  constructor(found, now, replay) {
    [this.#period, this.#now, this.#replay] = [found, now, replay];
    this.#pause.type = "button";
    this.#pause.addEventListener("click", () => this.#toggle());
    this.#speeds = SPEEDS.map(([speed, label]) => this.#speed(speed, label));
    const speeds = el("div", "speeds", ...this.#speeds);
    speeds.setAttribute("role", "group");
    speeds.setAttribute("aria-label", "Tốc độ phát lại");
    this.#wrong.setAttribute("role", "alert");
    this.#slide();
    const box = el("section", "steer", this.#pause, el("div", "whole", this.#track, this.#ends()), speeds, el("p", "rest", this.#left, this.#wrong));
    box.setAttribute("aria-label", "Thanh thời gian diễn tập");
    document.body.append(box);
    dispatchEvent(new Event("resize")); // charts have less room now
    addEventListener("keydown", (event) => this.#key(event));
    setInterval(() => this.#draw(), MOVE);
    this.#draw();
  }

  #speed(speed, label) {
    const made = el("button", "", label);
    made.type = "button";
    made.addEventListener("click", () => this.#ask({ speed }));
    return made;
  }

  /** The track: how much arrived when, what is in the figures, and the handle. */
  #slide() {
    const { since, until, step, density } = this.#period, most = Math.max(1, ...density);
    const line = density.map((n, i) => `L${i} ${100 - (92 * n) / most}L${i + 1} ${100 - (92 * n) / most}`).join("");
    const area = svg("svg", { viewBox: `0 0 ${(until - since) / step} 100`, preserveAspectRatio: "none", "aria-hidden": "true" }, svg("path", { d: `M0 100${line}L${density.length} 100Z` }));
    this.#handle.append(this.#flag);
    this.#track.append(area, this.#reached, this.#ahead, this.#handle);
    for (const [name, value] of Object.entries({ role: "slider", "aria-label": "Thời điểm đang phát lại", "aria-valuemin": this.#period.since / 1000, "aria-valuemax": this.#period.until / 1000 })) this.#handle.setAttribute(name, value);
    this.#handle.tabIndex = 0;
    this.#handle.addEventListener("keydown", (event) => this.#step(event));
    this.#track.addEventListener("pointerdown", (event) => {
      if (!this.#free) return;
      this.#dragging = true;
      this.#track.setPointerCapture(event.pointerId);
      this.#handle.focus();
      this.#hold(this.#at(event));
      event.preventDefault();
    });
    this.#track.addEventListener("pointermove", (event) => this.#dragging && this.#hold(this.#at(event)));
    this.#track.addEventListener("pointerup", () => this.#drop());
    this.#track.addEventListener("pointercancel", () => ([this.#dragging, this.#held] = [false, null]));
  }

  #ends() {
    const { since, until } = this.#period;
    const ends = el("p", "ends", ...[since, until].map((ms) => el("span", "", `${minute(ms)} ${dayMonth(ms)}`)));
    ends.setAttribute("aria-hidden", "true");
    return ends;
  }

  #at(event) {
    const { left, width } = this.#track.getBoundingClientRect(), { since, until } = this.#period;
    return since + Math.min(1, Math.max(0, (event.clientX - left) / width)) * (until - since);
  }

  #hold(ms) {
    this.#held = Math.round(Math.min(this.#period.until, Math.max(this.#period.since, ms)));
    this.#asked = performance.now();
    this.#draw();
  }

  #drop() {
    if (!this.#dragging) return;
    this.#dragging = false;
    this.#ask({ seek_to: this.#held });
  }

  /** Whether he who looks may steer, and there is something to steer. */
  get #free() {
    return this.#period.may && !ENDED.includes(this.#replay()?.state);
  }

  #step(event) {
    if (!this.#free) return;
    if (event.key === " ") this.#toggle();
    else if (event.key === "Home" || event.key === "End") this.#hold(event.key === "Home" ? this.#period.since : this.#period.until);
    else if (STEPS[event.key]) this.#hold((this.#held ?? this.#now()) + STEPS[event.key]);
    else return;
    event.preventDefault();
    if (event.key === " ") return;
    clearTimeout(this.#rest); // many steps are one question, once they rest
    const to = this.#held;
    this.#rest = setTimeout(() => this.#ask({ seek_to: to }), REST);
  }

  #key(event) {
    if (event.key !== "p" || event.ctrlKey || event.altKey || event.metaKey || event.target.closest("select, input, textarea, dialog")) return;
    if (this.#free) this.#toggle();
  }

  #toggle() {
    this.#ask({ wanted: this.#replay()?.wanted === "play" ? "pause" : "play" });
  }

  async #ask(what) {
    this.#asked = performance.now();
    const { status } = await ask(PATH, what);
    this.#asked = performance.now();
    this.#wrong.textContent = status === 200 ? "" : status === 403 ? "đăng nhập này không được điều khiển" : status === 409 ? "đã kết thúc" : "không gửi được, hãy thử lại";
    if (status !== 200) this.#held = null;
  }

  /** What cannot be steered is not offered. */
  #close(free) {
    if (this.#pause.disabled === !free) return;
    for (const button of [this.#pause, ...this.#speeds]) button.disabled = !free;
    this.#handle.setAttribute("aria-disabled", String(!free));
    this.#wrong.textContent = this.#period.may ? "" : "chỉ xem";
  }

  #draw() {
    const replay = this.#replay();
    if (!replay) return;
    if (!this.#dragging && performance.now() - this.#asked > TAKEN) this.#held = this.#free ? replay.seek_to : null; // the player has seen it, or is at it
    this.#close(this.#free);
    const { since, until, may } = this.#period, at = this.#held ?? this.#now();
    const share = (ms) => (100 * (Math.min(until, Math.max(since, ms)) - since)) / (until - since);
    const reached = share(Math.min(replay.followed, until)), here = share(at);
    this.#handle.style.left = `${here}%`;
    this.#reached.style.width = `${reached}%`;
    Object.assign(this.#ahead.style, { left: `${reached}%`, width: `${Math.max(0, here - reached)}%` });
    this.#flag.textContent = this.#held === null ? clock(at) : `tới ${minute(at)} ${dayMonth(at)}`;
    this.#flag.dataset.side = here > 50 ? "left" : "right";
    const spoken = `${minute(at)} ${weekday(at).toLowerCase()} ${date(at)}`;
    if (this.#handle.getAttribute("aria-valuetext") !== spoken) {
      this.#handle.setAttribute("aria-valuenow", Math.round(at / 1000));
      this.#handle.setAttribute("aria-valuetext", spoken);
    }
    const plays = replay.wanted === "play";
    if (this.#pause.dataset.does !== String(plays)) {
      this.#pause.dataset.does = String(plays);
      this.#pause.textContent = plays ? "Tạm dừng" : "Tiếp tục";
    }
    this.#speeds.forEach((button, i) => button.setAttribute("aria-pressed", String(replay.speed === SPEEDS[i][0])));
    this.#left.textContent = left(replay, until - at);
    const said = replay.state;
    if (may && this.#said && this.#said !== said) announce(told(replay)[1]);
    this.#said = said;
  }
}

/** How long it still takes, as far as that can be known. */
function left(replay, rest) {
  if (away(replay) || !["playing", "catching up"].includes(replay.state)) return "";
  const seconds = replay.clock_rate > 0 ? rest / 1000 / replay.clock_rate : replay.rate > 0 ? (replay.total - replay.produced) / replay.rate : null;
  if (seconds === null || seconds < 0) return "";
  const [by, word] = seconds < 90 ? [1, "giây"] : seconds < 5400 ? [60, "phút"] : [3600, "giờ"];
  return `còn ${number(seconds / by, by === 3600 ? 1 : 0)} ${word}`;
}
