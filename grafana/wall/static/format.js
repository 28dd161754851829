// Numbers, money, dates and words as they are read in Vietnamese; units in Grafana's own names.

import { mapped } from "./frames.js";

export const ZONE = "Asia/Ho_Chi_Minh";
export const UNKNOWN = "—";

const numbers = new Map();
const stamp = (options) => new Intl.DateTimeFormat("vi-VN", { timeZone: ZONE, hourCycle: "h23", ...options });
const parts = stamp({ year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", weekday: "long" });
const WEEKDAYS = ["Chủ nhật", "Thứ hai", "Thứ ba", "Thứ tư", "Thứ năm", "Thứ sáu", "Thứ bảy"];

/** `1234567.5` -> `1.234.567,5` with that many decimals. */
export function number(value, decimals = 0) {
  if (!numbers.has(decimals)) {
    numbers.set(decimals, new Intl.NumberFormat("vi-VN", { minimumFractionDigits: decimals, maximumFractionDigits: decimals }));
  }
  return numbers.get(decimals).format(value).replace("-", "−");
}

function pieces(ms) {
  return Object.fromEntries(parts.formatToParts(ms).map((part) => [part.type, part.value]));
}

export function clock(ms) {
  const p = pieces(ms);
  return `${p.hour}:${p.minute}:${p.second}`;
}

export function minute(ms) {
  const p = pieces(ms);
  return `${p.hour}:${p.minute}`;
}

/** `22/11/2026` */
export function date(ms) {
  const p = pieces(ms);
  return `${p.day}/${p.month}/${p.year}`;
}

/** `22/11` */
export function dayMonth(ms) {
  const p = pieces(ms);
  return `${p.day}/${p.month}`;
}

const DAY = 86_400_000;
export const EAST = 7 * 3_600_000; // the zone has had no daylight saving since 1975

/** Vietnamese day number, so that two instants can be told apart by day. */
export function dayOf(ms) {
  return Math.floor((ms + EAST) / DAY);
}

export function weekday(ms) {
  return WEEKDAYS[(dayOf(ms) + 4) % 7];
}

/** `17:21` today, `17:21 ngày 21/11` on another day. */
export function moment(ms, now) {
  return dayOf(ms) === dayOf(now) ? minute(ms) : `${minute(ms)} ngày ${dayMonth(ms)}`;
}

/** Grafana's `time:DD/MM HH:mm:ss` and the like. */
export function pattern(ms, form) {
  const p = pieces(ms);
  const words = { YYYY: p.year, MM: p.month, DD: p.day, HH: p.hour, mm: p.minute, ss: p.second };
  return form.replace(/YYYY|MM|DD|HH|mm|ss/g, (word) => words[word]);
}

// Grafana's unit -> the factor to what is read, and the word after it; seconds grow into minutes, hours and days by themselves.
const UNITS = {
  none: [1, ""], locale: [1, ""], string: [1, ""], ms: [0.001, "s"], s: [1, "s"], m: [60, "s"], h: [3600, "s"], d: [86_400, "s"],
  percentunit: [100, "%"], percent: [1, "%"], celsius: [1, "°C"], humidity: [1, "% ẩm"], kmh: [1, "km/h"], lengthm: [1, "m"], lengthkm: [1, "km"],
  ops: [1, "lượt/giây"], reqps: [1, "lượt/giây"], rps: [1, "lượt/giây"], wps: [1, "lượt/giây"], eps: [1, "tin/giây"], cps: [1, "lượt/giây"],
  opm: [1, "lượt/phút"], rpm: [1, "lượt/phút"], currencyVND: [1, "đ"],
};
const BYTES = ["B", "kB", "MB", "GB", "TB", "PB"];
const LONG = [[86_400, "ngày"], [3600, "giờ"], [60, "phút"], [1, "giây"]];

/** How a figure is written: {text, word}. config: Grafana's unit, decimals, noValue, mappings. */
export function figure(value, config = {}) {
  const meant = mapped(value ?? null, config);
  if (meant?.text) return { text: meant.text, word: "" };
  if (value === null || value === undefined || Number.isNaN(value)) return { text: config.noValue ?? UNKNOWN, word: "", unknown: true };
  if (typeof value === "string") return { text: value, word: "" };
  if (typeof value === "boolean") return { text: value ? "có" : "không", word: "" };
  const unit = config.unit ?? "none";
  const decimals = config.decimals ?? (Number.isInteger(value) ? 0 : 1);
  const money = /^currency:financial:(.*):suffix$/.exec(unit);
  if (money) return { text: number(value, decimals), word: money[1].trim() };
  if (unit.startsWith("suffix:")) return { text: number(value, decimals), word: unit.slice(7).trim() };
  if (unit.startsWith("prefix:")) return { text: `${unit.slice(7)}${number(value, decimals)}`, word: "" };
  if (unit.startsWith("time:")) return { text: pattern(value, unit.slice(5)), word: "" };
  if (unit === "dateTimeAsIso" || unit === "dateTimeAsLocal") return { text: pattern(value, "DD/MM/YYYY HH:mm:ss"), word: "" };
  if (unit === "short") return short(value, config.decimals);
  if (/^(dec)?bytes$/.test(unit)) return bytes(value, unit === "bytes" ? 1024 : 1000, config.decimals);
  const [factor, word] = UNITS[unit] ?? [1, unit];
  if (word === "%") return { text: percent(value * factor, decimals), word: "" };
  return word === "s" ? duration(value * factor, config.decimals) : { text: number(value * factor, decimals), word };
}

function short(value, decimals = 1) {
  const [by, word] = [[1e9, "tỷ"], [1e6, "triệu"], [1e4, "nghìn"]].find(([least]) => Math.abs(value) >= least) ?? [1, ""];
  return { text: by === 1 ? number(value, Number.isInteger(value) ? 0 : decimals) : number(value / (by === 1e4 ? 1e3 : by), decimals), word };
}

function bytes(value, step, decimals = 1) {
  const up = Math.max(0, Math.min(BYTES.length - 1, Math.floor(Math.log(Math.max(1, Math.abs(value))) / Math.log(step))));
  return { text: number(value / step ** up, up ? decimals : 0), word: BYTES[up] };
}

function duration(seconds, decimals) {
  const [by, word] = LONG.find(([least]) => Math.abs(seconds) >= 2 * least && least > 1) ?? LONG.at(-1);
  return { text: number(seconds / by, decimals ?? (Number.isInteger(seconds / by) ? 0 : 1)), word };
}

/** The figure in one piece: `14.037 hóa đơn`. */
export function words(value, config = {}) {
  const { text, word } = figure(value, config);
  return word ? `${text} ${word}` : text;
}

/** The word after the figures of a unit, where it has one of its own. */
export function unitWord(unit = "") {
  return /^currency:financial:(.*):suffix$/.exec(unit)?.[1].trim() ?? (unit.startsWith("suffix:") ? unit.slice(7).trim() : "");
}

/** `71,4 %`; a share is never rounded up to all of it. */
export function percent(value, decimals = 1) {
  const step = 10 ** decimals;
  const shown = value < 100 && Math.round(value * step) / step >= 100 ? Math.floor(value * step) / step : value;
  return `${number(shown, decimals).replace(/,0+$/, "")} %`;
}

/** A scale for many large numbers side by side: divide by `by`, say `word`. */
export function scale(largest, word) {
  if (largest >= 1e10) return { by: 1e9, word: `tỷ ${word === "đ" ? "đồng" : word}`, decimals: largest >= 1e11 ? 0 : 1 };
  if (largest >= 1e7) return { by: 1e6, word: `triệu ${word === "đ" ? "đồng" : word}`, decimals: largest >= 1e8 ? 0 : 1 };
  return { by: 1, word, decimals: 0 };
}

/** A hospital's name as short as people write it: `BVĐK Bỉm Sơn`. */
export function shortName(name) {
  return name.replace(/^Bệnh viện Đa khoa( huyện\b)?/i, "BVĐK").replace(/^BVĐK khu vực\b/i, "BVĐK KV").replace(/^Bệnh viện\b/i, "BV");
}
