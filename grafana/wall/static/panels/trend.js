// Time series by uPlot: lines with areas, dashed companions, or bars; axes in Vietnamese, nothing drawn where nothing is known.

import uPlot from "/vendor/uplot.js";
import { el, variable } from "../dom.js";
import { EAST, ZONE, dayMonth, minute, moment, number, scale, unitWord, words } from "../format.js";
import { ceiling, config, fields, hidden, look, settled } from "../frames.js";

const made = new WeakMap();

export function trend(body, panel, data, now) {
  const shown = fields(data).filter((field) => field.type === "number" && field.times && !hidden(config(panel, field.name, field.ref)));
  const known = shown.some((field) => field.values.some((value) => value !== null));
  if (!known) {
    forget(body);
    body.replaceChildren(el("div", "empty", "chưa có số liệu"));
    return "";
  }
  const largest = Math.max(...shown.flatMap((field) => field.values.filter((value) => value !== null)));
  const { unit: said = "none" } = config(panel, shown[0].name);
  const unit = { ...scale(largest, unitWord(said)), said: unitWord(said) || ["none", "short", "locale"].includes(said) ? null : said };
  if (unit.said) Object.assign(unit, { by: 1, word: "" });
  const columns = [shown[0].times.map((time) => time / 1000), ...shown.map((field) => (panel.options?.ioc?.form === "day" ? settled(field.values, field.times, now) : field.values))];
  const chart = made.get(body);
  const key = [body.clientWidth, body.clientHeight, document.documentElement.dataset.theme, unit.by, shown.map((f) => f.name)].join("|");
  const bars = config(panel, shown[0].name).custom.drawStyle === "bars";
  const [first, second = first] = shown[0].times; // a slot may begin a little before the range does
  const within = first > data.from - Math.max(1, second - first) && shown[0].times.at(-1) <= data.to;
  const range = bars || !within ? null : [data.from / 1000, (data.to + 1) / 1000];
  if (chart?.key === key) {
    chart.range.value = range;
    chart.plot.setData(columns);
    tell(body, panel, shown[0], now);
    return unit.word;
  }
  forget(body);
  const box = el("div", "chart");
  box.setAttribute("role", "img");
  body.replaceChildren(box, ...legend(panel, shown));
  const held = { value: range };
  made.set(body, { key, range: held, plot: new uPlot(options(panel, shown, box, unit, held), columns, box) });
  tell(body, panel, shown[0], now);
  return unit.word;
}

/** The chart in a sentence, for those who do not see it. */
function tell(body, panel, field, now) {
  const last = field.values.findLastIndex((value) => value !== null);
  const peak = field.values.reduce((best, value, i) => (value !== null && (best < 0 || value > field.values[best]) ? i : best), -1);
  const said = (i) => `${words(field.values[i], config(panel, field.name, field.ref))} lúc ${moment(field.times[i], now)}`;
  const sentence = last < 0 ? "chưa có số liệu" : `mới nhất ${said(last)}, cao nhất ${said(peak)}`;
  body.querySelector(".chart")?.setAttribute("aria-label", `${panel.title}: ${sentence}`);
}

function legend(panel, shown) {
  if (shown.length < 2 || panel.options?.legend?.showLegend === false) return [];
  return [el("p", "legend", ...shown.map((field, i) => {
    const mark = el("span", "line", config(panel, field.name, field.ref).displayName ?? field.name);
    mark.style.setProperty("--line-colour", colour(panel, field, i));
    return mark;
  }))];
}

/** A series' colour: the board's own, else the next of the palette. */
function colour(panel, field, i) {
  const { color } = config(panel, field.name, field.ref);
  return variable(color?.mode === "fixed" && color.fixedColor ? `--${look(color.fixedColor)}` : `--series-${(i % 6) + 1}`);
}

export function forget(body) {
  made.get(body)?.plot.destroy();
  made.delete(body);
}

function options(panel, shown, box, unit, range) {
  const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
  const font = `500 ${0.85 * rem}px "Be Vietnam Pro"`;
  const faint = variable("--faint"), line = variable("--line");
  const bars = config(panel, shown[0].name).custom.drawStyle === "bars";
  return {
    width: box.clientWidth,
    height: box.clientHeight,
    legend: { show: false },
    cursor: { show: false },
    padding: [0.6 * rem, (range.value && range.value[1] - range.value[0] < 2.1 * 86_400 ? 0.9 : 1.5) * rem, 0, 0],
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), ZONE),
    scales: { x: { time: true, range: (_, low, high) => range.value ?? (bars ? [low - 43_200, high + 43_200] : [low, high]) }, y: { range: (plot, low, high) => [Math.min(0, low), high > 0 ? top(plot) * 1.06 : 1] } },
    axes: [
      { stroke: faint, font, size: 2.1 * rem, gap: 0.5 * rem, ticks: { show: false }, grid: { stroke: line, width: 1, show: !bars }, splits: bars ? undefined : hours(range), values: (_, times) => times.map((time) => label(time * 1000, bars, range)) },
      { stroke: faint, font, size: (_, values) => Math.max(2.2, 1 + 0.56 * Math.max(...(values ?? [""]).map((value) => value.length))) * rem, gap: 0.5 * rem, ticks: { show: false }, grid: { stroke: line, width: 1 }, space: 4.2 * rem, values: (_, values) => values.map((value) => (unit.said ? words(value, { ...config(panel, shown[0].name), decimals: undefined }) : number(value / unit.by, small(values, unit)))) },
    ],
    series: [{}, ...shown.map((field, i) => series(panel, field, i, rem))],
    hooks: { draw: bars ? [] : [(plot) => limits(plot, panel, shown[0], rem), (plot) => tip(plot, rem, colour(panel, shown[0], 0)), (plot) => beyond(plot, rem, font)] },
  };
}

function top(plot) {
  return ceiling(plot.data.slice(1).flatMap((values) => values.filter((value) => value !== undefined)));
}

/** How high the curve really goes where it leaves the scale. */
function beyond(plot, rem, font) {
  const [times, values] = plot.data, high = top(plot);
  const peak = values.reduce((best, value, i) => (value > (values[best] ?? high) ? i : best), -1);
  if (peak < 0) return;
  const { ctx } = plot, x = plot.valToPos(times[peak], "x", true), y = plot.valToPos(high, "y", true);
  ctx.save();
  ctx.font = font.replace(/[\d.]+px/, (size) => `${parseFloat(size) * devicePixelRatio}px`);
  ctx.fillStyle = variable("--soft");
  ctx.textAlign = x > plot.bbox.left + plot.bbox.width / 2 ? "right" : "left";
  ctx.fillText(`▲ ${number(values[peak])} lúc ${minute(times[peak] * 1000)}`, x + (ctx.textAlign === "right" ? -1 : 1) * 0.8 * rem * devicePixelRatio, y);
  ctx.restore();
}

function small(values, unit) {
  return values.length > 1 && (values[1] - values[0]) / unit.by < 1 ? 1 : 0;
}

/** Every hour over some hours, every three over a day, whole days over more: round times of Viet Nam. */
function hours(range) {
  return (plot, _, low, high) => {
    const days = Math.round((high - low) / 86_400);
    const step = !range.value || days > 2 ? 86_400 * Math.max(1, Math.ceil(days / 10)) : days ? 10_800 * days : 3_600;
    const east = EAST / 1000, first = Math.ceil((low + east) / step) * step - east;
    return Array.from({ length: Math.max(0, Math.floor((high - first + 1) / step) + 1) }, (_, i) => first + i * step);
  };
}

function label(ms, bars, range) {
  if (bars || !range.value || range.value[1] - range.value[0] > 2.1 * 86_400) return dayMonth(ms);
  const said = minute(ms);
  if (said === "00:00") return ms / 1000 >= range.value[1] - 1 ? "24h" : "0h";
  return said.endsWith(":00") ? `${Number(said.slice(0, 2))}h` : said;
}

/** Thresholds as dashed lines, where the board asks for them. */
function limits(plot, panel, field, rem) {
  const { custom, thresholds } = config(panel, field.name, field.ref);
  if (!/line|dashed/.test(custom.thresholdsStyle?.mode ?? "")) return;
  const { ctx, bbox } = plot;
  for (const { value, color } of thresholds?.steps ?? []) {
    if (value === null || value > plot.scales.y.max) continue;
    const y = plot.valToPos(value, "y", true);
    ctx.save();
    ctx.strokeStyle = variable(`--${look(color)}`);
    ctx.lineWidth = (rem / 12) * devicePixelRatio;
    ctx.setLineDash([0.4 * rem * devicePixelRatio, 0.3 * rem * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.restore();
  }
}

function series(panel, field, i, rem) {
  const { custom } = config(panel, field.name, field.ref);
  const stroke = colour(panel, field, i);
  const fill = custom.fillOpacity ? `${stroke}${Math.round(custom.fillOpacity * 2.55).toString(16).padStart(2, "0")}` : undefined;
  if (custom.drawStyle === "bars") return { stroke, fill: stroke, width: 0, paths: uPlot.paths.bars({ size: [0.68, 4 * rem], radius: 0.12 }), points: { show: false } };
  const dashed = custom.lineStyle?.fill === "dash";
  return { stroke, fill, width: (custom.lineWidth ?? 1) * (rem / 14), dash: dashed ? custom.lineStyle.dash : undefined, points: { show: false }, spanGaps: false };
}

/** A dot where the first series ends: this is now. */
function tip(plot, rem, colour) {
  const [times, values] = plot.data;
  const last = values.findLastIndex((value) => value !== null && value !== undefined);
  if (last < 0) return;
  const { ctx } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.arc(plot.valToPos(times[last], "x", true), plot.valToPos(Math.min(values[last], top(plot)), "y", true), 0.34 * rem * devicePixelRatio, 0, 2 * Math.PI);
  ctx.fillStyle = colour;
  ctx.fill();
  ctx.restore();
}
