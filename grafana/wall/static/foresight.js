// What a rule would have done: a line per group, its firings shaded, the threshold to be dragged; a strip of firings for each group below.

import { el, svg } from "./dom.js";
import { dayMonth, moment, number, shortName } from "./format.js";

const WIDE = 1000, HIGH = 300, MINUTE = 60_000, DAY = 1440;
const box = document.getElementById("chart"), strips = document.getElementById("strips");
let chosen = "", dragging = false, held = null;

/** answer: the server's; how: {above, threshold, set(value)}. */
export function draw(answer, how) {
  held = { answer, how };
  if (!answer.groups.some(({ group }) => group === chosen)) chosen = answer.groups[0]?.group ?? "";
  if (dragging || box.contains(document.activeElement)) fired(); // the handle that somebody holds stays where it is
  else chart();
  strip();
}

function known() {
  return held.answer.groups.flatMap(({ values }) => values.filter((value) => value !== null));
}

/** The range of values drawn: all of them, the threshold and zero. */
function range() {
  const all = known(), low = Math.min(0, held.how.threshold, ...all), high = Math.max(1e-9, held.how.threshold, ...all);
  return [low, low + (high - low) * 1.08];
}

const x = (minute) => (WIDE * (minute - held.answer.from)) / held.answer.minutes;
let scale = [0, 1];
const y = (value) => HIGH - (HIGH * (value - scale[0])) / (scale[1] - scale[0]);

function chart() {
  if (!held.answer.groups.length) return box.replaceChildren();
  scale = range();
  const { answer } = held;
  const lines = [...answer.groups].sort((a, b) => (a.group === chosen) - (b.group === chosen)).map(({ group, values }) => svg("path", { d: path(values), class: group === chosen ? "line chosen" : "line", "vector-effect": "non-scaling-stroke" }));
  const inside = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", "aria-hidden": "true" }, ...grid(), svg("g", { id: "fired" }), ...lines);
  const limit = svg("svg", { "aria-hidden": "false" });
  const over = el("div", "over");
  over.append(...labels());
  Object.assign(inside.style, { position: "absolute", inset: "0" });
  Object.assign(limit.style, { position: "absolute", inset: "0" });
  limit.append(handle());
  box.replaceChildren(inside, over, limit);
  place();
  fired();
  return undefined;
}

function path(values) {
  let drawn = "", up = true;
  values.forEach((value, i) => {
    if (value === null) up = true;
    else {
      drawn += `${up ? "M" : "L"}${x(held.answer.from + (i + 0.5) * held.answer.step).toFixed(1)} ${y(value).toFixed(1)}`;
      up = false;
    }
  });
  return drawn;
}

function midnights() {
  const { from, minutes } = held.answer, found = [];
  for (let minute = Math.ceil((from + 420) / DAY) * DAY - 420; minute < from + minutes; minute += DAY) found.push(minute);
  return found;
}

function grid() {
  return midnights().map((minute) => svg("line", { class: "grid", x1: x(minute), x2: x(minute), y1: 0, y2: HIGH, "vector-effect": "non-scaling-stroke" }));
}

function labels() {
  const days = midnights().map((minute) => mark(dayMonth(minute * MINUTE), `${x(minute) / 10}%`, "100%"));
  return [...days, mark(number(scale[1] / 1.08, decimals()), "0", "4%"), ...(scale[0] < 0 ? [mark(number(scale[0], decimals()), "0", "94%")] : [])];
}

function mark(text, left, top) {
  const made = el("span", "unit", text);
  Object.assign(made.style, { position: "absolute", left, top, fontSize: "0.85rem", color: "var(--soft)", pointerEvents: "none" });
  return made;
}

function decimals() {
  return scale[1] - scale[0] < 10 ? 2 : scale[1] - scale[0] < 200 ? 1 : 0;
}

/** The firings of the chosen group, behind its line. */
function fired() {
  const layer = document.getElementById("fired"), group = held.answer.groups.find((each) => each.group === chosen);
  layer?.replaceChildren(...(group?.firings ?? []).map(([since, until]) => svg("rect", { class: "fired", x: x(since), width: Math.max(1.5, x(until ?? held.answer.from + held.answer.minutes) - x(since)), y: 0, height: HIGH })));
}

/** A step of the threshold that people would write: a two-hundredth of what is drawn, in round figures. */
function step() {
  const raw = (scale[1] - scale[0]) / 200, ten = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 5, 10].find((n) => n * ten >= raw) * ten;
}

function rounded(value) {
  const by = step();
  return Number((Math.round(value / by) * by).toPrecision(12));
}

function handle() {
  const made = svg("g", { class: "limit", role: "slider", tabindex: "0", "aria-label": "Ngưỡng trên hình", "aria-orientation": "vertical" }, svg("line", { class: "near" }), svg("line"), svg("circle", { r: 7 }), svg("text", { "text-anchor": "end" }));
  const move = (value) => {
    held.how.threshold = rounded(value);
    place();
    held.how.set(held.how.threshold);
  };
  made.addEventListener("keydown", (event) => {
    const by = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10 }[event.key];
    if (!by) return;
    event.preventDefault();
    move(held.how.threshold + by * step());
  });
  made.addEventListener("pointerdown", (event) => {
    dragging = true;
    made.setPointerCapture(event.pointerId);
    made.focus();
  });
  made.addEventListener("pointermove", (event) => {
    if (!dragging) return;
    const { top, height } = box.getBoundingClientRect();
    move(scale[0] + (1 - Math.min(1, Math.max(0, (event.clientY - top) / height))) * (scale[1] - scale[0]));
  });
  for (const end of ["pointerup", "pointercancel"]) made.addEventListener(end, () => (dragging = false));
  return made;
}

/** Puts the handle where the threshold stands. */
function place() {
  const made = box.querySelector(".limit"), share = `${(y(held.how.threshold) / HIGH) * 100}%`;
  for (const line of made.querySelectorAll("line")) for (const [name, value] of [["x1", "0"], ["x2", "100%"], ["y1", share], ["y2", share]]) line.setAttribute(name, value);
  const circle = made.querySelector("circle"), text = made.querySelector("text");
  for (const [name, value] of [["cx", "100%"], ["cy", share]]) circle.setAttribute(name, value);
  for (const [name, value] of [["x", "99%"], ["y", share], ["dy", "-0.5em"]]) text.setAttribute(name, value);
  text.textContent = number(held.how.threshold, Number.isInteger(held.how.threshold) ? 0 : decimals());
  for (const [name, value] of [["aria-valuenow", held.how.threshold], ["aria-valuemin", scale[0]], ["aria-valuemax", scale[1]], ["aria-valuetext", text.textContent]]) made.setAttribute(name, value);
}

function strip() {
  const { groups, more, from, minutes } = held.answer, now = (from + minutes) * MINUTE;
  const rows = groups.map(({ group, name, firings }) => {
    const choose = el("button", "name", group ? shortName(name) : "cả ngành"), track = el("div", "track");
    choose.type = "button";
    choose.setAttribute("aria-pressed", String(group === chosen));
    choose.addEventListener("click", () => {
      chosen = group;
      chart();
      strip();
      strips.querySelector("[aria-pressed=true]")?.focus();
    });
    for (const [since, until, peak] of firings) {
      const piece = el("span", "piece");
      piece.dataset.look = "alarm";
      piece.style.left = `min(${x(since) / 10}%, calc(100% - 4px))`;
      piece.style.width = `max(4px, ${(x(until ?? from + minutes) - x(since)) / 10}%)`;
      piece.title = `${moment(since * MINUTE, now)} đến ${until ? moment(until * MINUTE, now) : "nay"}${peak === null ? "" : `, ${number(peak, 1)}`}`;
      track.append(piece);
    }
    return el("li", "", choose, track, el("span", "count", `${firings.length} lần`));
  });
  strips.replaceChildren(el("ol", "states", ...rows), ...(more ? [el("p", "sub", `và ${more} nơi khác, ít báo động hơn`)] : []));
}
