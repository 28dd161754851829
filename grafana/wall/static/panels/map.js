// The province as people know it: a cell per commune (Voronoi of the centres, cut to discs as large as the communes), hospitals as points.

import "/vendor/d3-delaunay.js";
import { leads } from "../address.js";
import { el, svg } from "../dom.js";
import { shortName, words } from "../format.js";
import { config, hidden, lookOf, records } from "../frames.js";

const EARTH_KM = 111.32; // per degree of latitude
const CODES = ["unit", "code", "mã"];
const ESTIMATED = "(ước tính)"; // after the name of a commune whose figures rest in part on an estimate
const LOUD = 2; // that many troubled places are named on the map; more would hide it
const held = new WeakMap();
let communes = null;

/** The communes of the province; asked for once. */
export async function ready() {
  const answer = await fetch("/api/map");
  if (!answer.ok) throw new Error("no map");
  communes = (await answer.json()).communes;
}

export function map(body, panel, data) {
  if (!communes) return;
  const key = `${body.clientWidth}x${body.clientHeight}`;
  if (held.get(body)?.key !== key) held.set(body, { key, ...draw(body, panel) });
  const { cells, points, tip, place, legend, size } = held.get(body);
  const { values, marks, options } = read(panel, data);
  const known = [...values.values()].map(({ value }) => value).filter((value) => value !== null);
  const top = Math.max(...known, 0);
  for (const [code, cell] of cells) paint(cell, values.get(code), top, options);
  const at = points.contains(document.activeElement) ? document.activeElement.dataset.code : null;
  points.replaceChildren(...marks.map((mark) => point(mark, place, panel)));
  const loud = marks.filter((mark) => ["watch", "alarm"].includes(mark.look));
  for (const old of body.querySelectorAll(".callout")) old.remove();
  if (loud.length <= LOUD) for (const mark of loud) tip.before(callout(mark, place, size));
  legend.replaceChildren(...key_(known, top, options, marks, cells.size > values.size, [...cells.values()].some((cell) => cell.classList.contains("estimated"))));
  if (at !== null) [...points.children].find((each) => each.dataset.code === at)?.focus();
  rove(body);
}

/** Rows of communes give cells their values; rows with a latitude and a longitude are points. */
function read(panel, data) {
  const values = new Map(), marks = [];
  const codes = new Set(communes.map((commune) => commune.code));
  let options = {};
  for (const frame of data.frames) {
    const code = frame.fields.find((field) => CODES.includes(field.name))?.name;
    const measure = frame.fields.find((field) => field.type === "number" && !["latitude", "longitude"].includes(field.name) && !hidden(config(panel, field.name, frame.ref)))?.name;
    const label = frame.fields.find((field) => field.type === "string" && field.name !== code && !hidden(config(panel, field.name, frame.ref)))?.name;
    for (const row of records(frame)) {
      const value = measure ? row[measure] : null;
      const found = { code: row[code], name: row[label], value, options: config(panel, measure ?? "", frame.ref), target: leads(panel, measure ?? label ?? "", { ...row, __value: value }, frame.ref) };
      if (codes.has(row[code])) {
        values.set(row[code], found);
        options = found.options;
      } else if (row.latitude != null && row.longitude != null) {
        marks.push({ ...found, lat: row.latitude, lon: row.longitude, look: value === null ? "unknown" : lookOf(value, found.options) });
      }
    }
  }
  return { values, marks, options };
}

function draw(body, panel) {
  const legend = el("div", "key"), box = el("div", "map"), tip = el("div", "hover");
  body.replaceChildren(box, legend);
  box.append(tip);
  tip.hidden = true;
  const size = { width: box.clientWidth, height: box.clientHeight };
  const { place, scale } = projection(size);
  const centres = communes.map((commune) => place(commune.lat, commune.lon));
  const radius = (commune, more) => Math.sqrt((more * commune.km2) / Math.PI) * scale;
  const voronoi = globalThis.d3.Delaunay.from(centres).voronoi([-size.width, -size.height, 2 * size.width, 2 * size.height]);
  const discs = (more) => communes.map((commune, i) => svg("circle", { cx: centres[i][0], cy: centres[i][1], r: radius(commune, more) }));
  const id = `land-${panel.id}`, MORE = 1.9;
  const cells = new Map(communes.map((commune, i) => [commune.code, cell(commune, voronoi.renderCell(i), centres[i])]));
  const land = svg("g", { "clip-path": `url(#${id})` }, ...cells.values());
  const points = svg("g", { class: "points" });
  const drawn = svg("svg", { viewBox: `0 0 ${size.width} ${size.height}`, role: "group", "aria-label": panel.title },
    svg("clipPath", { id }, ...discs(MORE)), land, points);
  box.prepend(drawn);
  listen(box, drawn, tip, size);
  return { cells, points, tip, place, legend, size };
}

/** Degrees to pixels, the whole province inside with room for its outermost communes. */
function projection({ width, height }) {
  const middle = communes.reduce((sum, commune) => sum + commune.lat, 0) / communes.length;
  const east = (lon) => lon * Math.cos((middle * Math.PI) / 180) * EARTH_KM;
  const reach = communes.map((commune) => [east(commune.lon), -commune.lat * EARTH_KM, 1.25 * Math.sqrt(commune.km2 / Math.PI)]);
  const [west, right] = [Math.min(...reach.map(([x, , r]) => x - r)), Math.max(...reach.map(([x, , r]) => x + r))];
  const [north, low] = [Math.min(...reach.map(([, y, r]) => y - r)), Math.max(...reach.map(([, y, r]) => y + r))];
  const scale = Math.min(width / (right - west), height / (low - north));
  const left = (width - scale * (right - west)) / 2, top = (height - scale * (low - north)) / 2;
  return { scale, place: (lat, lon) => [left + scale * (east(lon) - west), top + scale * (-lat * EARTH_KM - north)] };
}

function cell(commune, path, [x, y]) {
  const made = svg("a", { class: "cell", "data-x": x, "data-y": y, role: "img", tabindex: "-1" }, svg("path", { d: path }));
  made.dataset.name = made.dataset.commune = commune.name;
  return made;
}

function paint(made, found, top, options) {
  const known = found && found.value !== null;
  made.dataset.known = known ? "yes" : "no";
  const guessed = Boolean(known && found.name?.endsWith(ESTIMATED));
  if (guessed && !made.classList.contains("estimated")) made.parentNode.append(made); // its border lies over its neighbours'
  made.classList.toggle("estimated", guessed);
  if (known) made.style.setProperty("--share", `${(100 * Math.sqrt(Math.max(0, found.value) / (top || 1))).toFixed(1)}%`);
  say(made, found?.name ?? made.dataset.commune, known ? words(found.value, options) : "chưa có số liệu", found?.target);
}

function point(mark, place, panel) {
  const [x, y] = place(mark.lat, mark.lon);
  const made = svg("a", { class: "point", "data-x": x, "data-y": y, role: "img", tabindex: "-1" }, svg("circle", { class: "near", cx: x, cy: y }), svg("circle", { class: "dot", cx: x, cy: y }));
  made.dataset.look = mark.look;
  made.dataset.code = mark.code ?? "";
  if (["watch", "alarm"].includes(mark.look)) made.prepend(svg("circle", { class: "ring", cx: x, cy: y }));
  const known = mark.value !== null || mark.options.noValue;
  say(made, shortName(mark.name ?? mark.code ?? panel.title), known ? words(mark.value, mark.options) : "", mark.target);
  return made;
}

function say(made, name, value, target) {
  made.dataset.name = name;
  made.dataset.said = value;
  made.setAttribute("aria-label", value ? `${name}: ${value}` : name);
  if (target) {
    made.setAttribute("href", target.href);
    made.setAttribute("role", "link");
  }
}

function callout(mark, place, { width }) {
  const [x, y] = place(mark.lat, mark.lon);
  const made = el("div", "callout", el("b", "", shortName(mark.name ?? "")), el("span", "", words(mark.value, mark.options)));
  made.dataset.look = mark.look;
  made.dataset.side = x > width / 2 ? "left" : "right";
  made.style.left = `${x}px`;
  made.style.top = `${y}px`;
  return made;
}

function key_(known, top, options, marks, blank, estimated) {
  const parts = [];
  if (known.length) parts.push(el("span", "", "0"), el("span", "ramp"), el("span", "", words(top, options)));
  if (estimated) parts.push(el("span", "guess", "ước tính"));
  if (known.length && blank) parts.push(el("span", "blank", "chưa có số liệu"));
  for (const [look, mark] of new Map(marks.map((mark) => [mark.look, mark]))) {
    const said = ["watch", "alarm"].includes(look) ? words(mark.value, mark.options) : look === "unknown" ? "chưa có tin" : "bệnh viện";
    const sign = el("span", "sign", said);
    sign.dataset.look = look;
    parts.push(sign);
  }
  return parts;
}

/** One stop for the tab key; arrows go on from there to the nearest place in that direction. */
function rove(body) {
  const all = [...body.querySelectorAll(".cell, .point")];
  if (!all.some((each) => each.getAttribute("tabindex") === "0")) all[0]?.setAttribute("tabindex", "0");
}

const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function listen(box, drawn, tip, size) {
  const show = (target) => {
    const place = target?.closest?.(".cell, .point");
    tip.hidden = !place;
    if (!place) return;
    tip.replaceChildren(el("b", "", place.dataset.name), el("span", "", place.dataset.said));
    tip.style.left = `${Math.min(Math.max(Number(place.dataset.x), 90), size.width - 90)}px`;
    tip.style.top = `${place.dataset.y}px`;
    tip.classList.toggle("below", Number(place.dataset.y) < size.height / 4);
  };
  drawn.addEventListener("pointerover", (event) => show(event.target));
  drawn.addEventListener("pointerleave", () => show(null));
  drawn.addEventListener("focusin", (event) => show(event.target));
  drawn.addEventListener("focusout", () => show(null));
  drawn.addEventListener("keydown", (event) => {
    const way = WAYS[event.key], from = event.target.closest(".cell, .point");
    if (!way || !from) return;
    event.preventDefault();
    event.stopPropagation();
    const next = nearest(drawn, from, way);
    if (!next) return;
    from.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  });
}

function nearest(drawn, from, [dx, dy]) {
  let best = null, least = Infinity;
  for (const other of drawn.querySelectorAll(".cell, .point")) {
    const x = other.dataset.x - from.dataset.x, y = other.dataset.y - from.dataset.y;
    const along = x * dx + y * dy, aside = Math.abs(x * dy) + Math.abs(y * dx);
    if (along > 0.5 && along + 2 * aside < least) [best, least] = [other, along + 2 * aside];
  }
  return best;
}
