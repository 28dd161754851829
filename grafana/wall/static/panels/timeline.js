// State timeline: a row per series, a piece per state for as long as it lasts; a state is told by word and pattern, not by colour alone.

import { el } from "../dom.js";
import { dayMonth, minute, moment, words } from "../format.js";
import { config, fields, hidden, lookOf, mapped } from "../frames.js";

export function timeline(body, panel, data, now) {
  const rows = fields(data).filter((field) => field.times && !hidden(config(panel, field.name)));
  if (!rows.some((row) => row.values.some((value) => value !== null))) {
    body.replaceChildren(el("div", "empty", "chưa có trạng thái nào"));
    return;
  }
  const end = Math.min(now, data.to), span = data.to - data.from;
  const at = (time) => `${(100 * (Math.min(Math.max(time, data.from), data.to) - data.from)) / span}%`;
  const list = el("ol", "states", ...rows.map((row) => line(row, panel, { at, end, now })));
  body.replaceChildren(list, axis(data, at), legend(rows, panel));
}

function line(row, panel, { at, end, now }) {
  const options = config(panel, row.name);
  const track = el("div", "track");
  const pieces = merged(row, end);
  for (const { value, from, to } of pieces) {
    const said = words(value, options);
    const piece = el("span", "piece", el("span", "", said));
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

function axis(data, at) {
  const parts = data.to - data.from > 2 * 86_400_000 ? 6 : 8;
  const marks = Array.from({ length: parts + 1 }, (_, i) => {
    const time = data.from + ((data.to + 1 - data.from) * i) / parts;
    const mark = el("span", "", parts === 6 ? dayMonth(time) : i === parts ? "24h" : `${Number(minute(time).slice(0, 2))}h`);
    mark.style.left = at(time);
    return mark;
  });
  const axis = el("div", "hours", ...marks);
  axis.setAttribute("aria-hidden", "true");
  return axis;
}

function legend(rows, panel) {
  const known = new Map();
  for (const row of rows) {
    const options = config(panel, row.name);
    for (const value of row.values) if (value !== null && (mapped(value, options) || typeof value === "string")) known.set(words(value, options), lookOf(value, options));
  }
  return el("p", "legend", ...[...known].map(([said, found]) => {
    const mark = el("span", "mark", said);
    mark.dataset.look = found;
    return mark;
  }));
}
