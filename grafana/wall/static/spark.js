// The small curve under a figure: now as a line with its area, an earlier day dotted; or days as bars.

import { svg } from "./dom.js";
import { ceiling } from "./frames.js";

/** A curve over [from, to]; now and then are {times, values}; gaps stay gaps. */
export function curve(box, { from, to, now, then }) {
  const { clientWidth: width, clientHeight: height } = box;
  if (width < 10 || height < 10) return;
  const all = [...now.values, ...(then?.values ?? [])].filter((value) => value !== null);
  const top = Math.max(ceiling(all), 1e-9), low = Math.min(0, ...all);
  const pad = 4;
  const x = (time) => ((time - from) / (to - from)) * (width - 2 * pad) + pad;
  const y = (value) => height - pad - ((Math.min(value, top) - low) / (top - low)) * (height - 2 * pad);
  const drawn = svg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  if (then) drawn.append(...runs(then).map((run) => svg("path", { class: "then", d: path(run, x, y) })));
  const lines = runs(now);
  for (const run of lines) {
    drawn.append(svg("path", { class: "area", d: `${path(run, x, y)}L${x(run.at(-1)[0])} ${y(low)}L${x(run[0][0])} ${y(low)}Z` }));
    drawn.append(svg("path", { class: "now", d: path(run, x, y) }));
  }
  const last = lines.at(-1)?.at(-1);
  if (last) drawn.append(svg("circle", { class: "tip", cx: x(last[0]), cy: y(last[1]), r: 4.5 }));
  box.replaceChildren(drawn);
}

/** Bars of equal width, the last one strong. */
export function bars(box, values) {
  const { clientWidth: width, clientHeight: height } = box;
  if (width < 10 || height < 10) return;
  const top = Math.max(...values.filter((value) => value !== null), 1e-9);
  const step = Math.min(width / values.length, 40), gap = Math.max(2, step * 0.28);
  const drawn = svg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  values.forEach((value, i) => {
    if (value === null || value <= 0) return;
    const tall = Math.max(2, (value / top) * (height - 4));
    drawn.append(svg("rect", { class: i === values.length - 1 ? "bar" : "bar past", x: i * step, y: height - tall, width: step - gap, height: tall, rx: 2 }));
  });
  box.replaceChildren(drawn);
}

function runs({ times, values }) {
  const found = [[]];
  values.forEach((value, i) => {
    if (value === null) found.push([]);
    else found.at(-1).push([times[i], value]);
  });
  return found.filter((run) => run.length);
}

function path(run, x, y) {
  return run.map(([time, value], i) => `${i ? "L" : "M"}${x(time).toFixed(1)} ${y(value).toFixed(1)}`).join("");
}
