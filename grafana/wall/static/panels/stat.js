// One large figure with its curve and comparison, or several small ones.

import { leads } from "../address.js";
import { digits, el, fit } from "../dom.js";
import { UNKNOWN, figure, number, percent, weekday, words } from "../format.js";
import { linked } from "./lists.js";
import { chosen, config, fields, lookOf, named, reduce, settled } from "../frames.js";
import { bars, curve } from "../spark.js";

const SPARSE = 10; // a period with less than a tenth of another was hardly heard, and one below zero is no part: no comparison is better than a wild one

export function stat(body, panel, data, now) {
  const shown = chosen(panel, data);
  if (panel.options?.textMode === "value_and_name" || shown.length > 1) several(body, panel, data, shown);
  else one(body, panel, data, shown[0], now);
}

function one(body, panel, data, field, now) {
  const calc = panel.options.reduceOptions.calcs[0];
  const value = field ? reduce(field.values, calc) : null;
  const options = config(panel, field?.name ?? "", field?.ref);
  const said = figure(value, options);
  const big = el("div", "big", el("b", "", said.text.slice(0, 1), digits(said.text.slice(1))), el("span", "word", said.word));
  big.dataset.look = value === null ? "unknown" : lookOf(value, options);
  const spark = el("div", "spark");
  body.replaceChildren(big, el("p", "sub", ...beside(panel, data, field, value, options, now)), spark);
  fit(big);
  if (panel.options.graphMode !== "none" && value !== null) draw(spark, panel, data, field, now);
}

function draw(box, panel, data, field, now) {
  const form = panel.options.ioc?.form;
  const line = field.times ? field : fields(data).find((other) => other.times);
  if (!line) return undefined;
  if (form === "days" || form === "month") return bars(box, line.values);
  const earlier = (panel.options.ioc?.before ?? []).map((name) => named(data, name)).find((other) => other?.values.some((v) => v !== null));
  return curve(box, { from: data.from, to: data.to, now: { times: line.times, values: settled(line.values, line.times, now) }, then: earlier });
}

/** What stands beside the figure: a comparison, yesterday's figure, the limit; words say what the colour says. */
function beside(panel, data, field, value, options, now) {
  if (value === null) return [el("span", "", "chưa có số liệu")];
  const form = panel.options.ioc?.form;
  if (form === "day") return compared(panel, data, field, now);
  if (form === "month") return ofMonth(panel, data, value, options);
  const [taking, network] = (panel.options.ioc?.of ?? []).map((name) => named(data, name)?.values.at(-1) ?? null);
  if (network > 0) return [el("b", "", `${number(taking)}/${number(network)}`), el("span", "", `trong mạng lưới (${percent((100 * taking) / network)})`)];
  if (form === "days" && field.values.length > 1 && field.values.at(-2) !== null) {
    const before = figure(field.values.at(-2), options);
    return [el("span", "", `hôm qua ${before.text} ${before.word}`)];
  }
  const limit = options.thresholds?.steps?.find((step) => step.value !== null)?.value;
  if (limit === undefined) return [];
  const over = value >= limit;
  return [el("span", over ? "watch" : "", `${over ? "▲ quá" : "trong"} ngưỡng ${number(limit)} ${figure(limit, options).word}`)];
}

/** A month's days that are over against the same days of last year (a dash where that is not known), and where a year has a plan, what part
 *  of it is reached. */
function ofMonth(panel, data, value, options) {
  const { last_year: year, plan } = panel.options.ioc;
  const known = (name) => named(data, name)?.values.findLast((each) => each !== null) ?? null;
  const said = [];
  if (year) {
    const [now, then] = year.map(known);
    const against = "so với cùng kỳ năm trước";
    said.push(...(now >= 0 && now !== null && then > 0 ? change(panel, (100 * (now - then)) / then, against) : [el("b", "", UNKNOWN), el("span", "", against)]));
  }
  const [reached, planned] = (plan ?? []).map(known);
  if (planned > 0) said.push(el("b", "", percent((100 * (reached ?? 0)) / planned)), el("span", "", "kế hoạch năm"));
  if (said.length) return said;
  const days = fields(data).find((other) => other.times)?.values.filter((each) => each !== null) ?? [];
  return days.length ? [el("span", "", `bình quân ${words(value / days.length, { ...options, decimals: 0 })} mỗi ngày có tin`)] : [];
}

/** Today against the same hours of an earlier day: only slots that are over, only when both days are known. */
function compared(panel, data, field, now) {
  for (const [name, day] of [[panel.options.ioc.before?.[0], 7], [panel.options.ioc.before?.[1], 1]]) {
    const before = name && named(data, name);
    if (!before) continue;
    const slot = field.times[1] - field.times[0];
    let today = 0, then = 0;
    field.values.forEach((value, i) => {
      if (field.times[i] + slot > now || value === null || before.values[i] === null) return;
      today += value;
      then += before.values[i];
    });
    if (then <= 0 || today < 0 || today > SPARSE * then) continue;
    return change(panel, (100 * (today - then)) / then, day === 7 ? `so với ${weekday(now)} trước` : "so với hôm qua");
  }
  return [el("span", "", "chưa đủ số liệu ngày trước để so")];
}

function change(panel, percents, against) {
  const arrow = percents > 0.05 ? "↑" : percents < -0.05 ? "↓" : "=";
  const welcome = panel.options.ioc.good === "less" ? -percents : percents;
  const look = welcome > 0.05 ? "up" : welcome < -0.05 ? "down" : "";
  return [el("b", look, `${arrow} ${percent(Math.abs(percents))}`), el("span", "", against)];
}

function several(body, panel, data, shown) {
  const grid = el("div", shown.length > 9 ? "several many crowd" : shown.length > 4 ? "several many" : shown.length < 3 ? "several few" : "several");
  grid.style.setProperty("--columns", shown.length === 4 ? 2 : Math.min(3, shown.length));
  const values = shown.map((field) => {
    const options = config(panel, field.name, field.ref);
    const value = reduce(field.values, panel.options.reduceOptions.calcs[0]);
    const said = figure(value, options);
    const top = el("div", "value", said.text.slice(0, 1), digits(said.text.slice(1)), el("span", "word", said.word));
    const block = el("div", "", top, el("div", "name", linked(leads(panel, field.name, { __value: value }, field.ref), options.displayName ?? field.name)));
    block.dataset.look = value === null ? "unknown" : lookOf(value, options);
    grid.append(block);
    return top;
  });
  body.replaceChildren(grid, ...balance(panel, data));
  values.forEach((value) => fit(value));
}

/** The ledger's sentence: nhận = đúng giờ + muộn + trùng + xung đột + giữ lại. */
function balance(panel, data) {
  const words = panel.options.ioc?.balance;
  if (!words) return [];
  const values = words.map((word) => named(data, word)?.values[0] ?? null);
  if (values[0] === null) return [el("p", "sum", "sổ cái hôm nay chưa có dòng nào")];
  const [received, ...rest] = values.map((value, i) => `${words[i]} ${number(value)}`.replaceAll(" ", "\u00a0"));
  const sum = values.slice(1).reduce((total, value) => total + value, 0);
  return [el("p", "sum", `${received} ${sum === values[0] ? "=" : "≠"} ${rest.join(" + ")}`)];
}
