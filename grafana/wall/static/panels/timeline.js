// State timeline: a row per series, a piece per state for as long as it lasts; a state is told by word and pattern, not by colour alone.

import { el } from "../dom.js";
import { EAST, dayMonth, minute, moment, words } from "../format.js";
import { config, fields, hidden, lookOf, mapped } from "../frames.js";

const NARROW = 400; // pixels, where half as many hours stand below

export function timeline(body, panel, data, now) {
  const rows = fields(data).filter((field) => field.times && !hidden(config(panel, field.name, field.ref)));
  if (!rows.some((row) => row.values.some((value) => value !== null))) {
    body.replaceChildren(el("div", "empty", "chưa có trạng thái nào"));
    return;
  }
  const { from, to } = reach(rows, data);
  const end = Math.min(now, to), scale = to - from;
  const at = (time) => `${(100 * (Math.min(Math.max(time, from), to) - from)) / scale}%`;
  const list = el("ol", "states", ...rows.map((row) => line(row, panel, { at, end, now })), axis(from, to, at, body.clientWidth));
  body.replaceChildren(list, legend(rows, panel));
}

/** The board's period, or where the rows go beyond it, theirs. */
function reach(rows, data) {
  const times = rows.flatMap((row) => [row.times[0], row.times.at(-1)]);
  if (Math.min(...times) >= data.from) return { from: data.from, to: data.to + 1 };
  const step = rows[0].times.length > 1 ? rows[0].times.at(-1) - rows[0].times.at(-2) : 3_600_000;
  return { from: Math.min(...times), to: Math.max(...times) + step };
}

function line(row, panel, { at, end, now }) {
  const options = config(panel, row.name, row.ref);
  const track = el("div", "track");
  const pieces = merged(row, end);
  for (const { value, from, to } of pieces) {
    const said = words(value, options);
    const piece = el("span", "piece", el("span", "", panel.options?.showValue === "never" ? "" : said));
    piece.dataset.look = lookOf(value, options);
    piece.style.left = at(from);
    piece.style.width = `calc(${at(to)} - ${at(from)})`;
    piece.title = `${said}: ${moment(from, now)} đến ${moment(to, now)}`;
    track.append(piece);
  }
  const last = pieces.at(-1);
  const name = el("span", "name", options.displayName ?? row.name);
  name.title = name.textContent;
  const item = el("li", "", name, track);
  item.append(el("span", "unseen", last ? `${words(last.value, options)} từ ${moment(last.from, now)}, ${pieces.length} lần đổi` : "không có trạng thái nào"));
  return item;
}

/** Neighbouring equal values as one piece; null begins a gap, which is not drawn. */
function merged({ times, values }, end) {
  const found = [];
  times.forEach((time, i) => {
    const to = times[i + 1] ?? Math.max(end, time);
    const last = found.at(-1);
    if (values[i] === null) return;
    if (last && last.value === values[i] && last.to === time) last.to = to;
    else found.push({ value: values[i], from: time, to });
  });
  return found;
}

function axis(from, to, at, width) {
  const days = (to - from) / 86_400_000, narrow = width < NARROW ? 2 : 1;
  const step = narrow * (days > 2 ? 86_400_000 * Math.ceil(days / 8) : 10_800_000);
  const marks = [];
  for (let time = Math.ceil((from + EAST) / step) * step - EAST; time <= to; time += step) {
    const mark = el("span", time === to ? "end" : "", days > 2 ? dayMonth(time) : hour(time, to));
    mark.style.left = at(time);
    marks.push(mark);
  }
  const axis = el("li", "hours", el("span"), el("div", "track", ...marks));
  axis.setAttribute("aria-hidden", "true");
  return axis;
}

function hour(time, to) {
  const said = Number(minute(time).slice(0, 2));
  return said === 0 && time === to ? "24h" : `${said}h`;
}

function legend(rows, panel) {
  const known = new Map();
  for (const row of rows) {
    const options = config(panel, row.name, row.ref);
    for (const value of row.values) if (value !== null && (mapped(value, options) || typeof value === "string")) known.set(words(value, options), lookOf(value, options));
  }
  return el("p", "legend", ...[...known].map(([said, found]) => {
    const mark = el("span", "mark", said);
    mark.dataset.look = found;
    return mark;
  }));
}
