// The list of alarms: the worst first; how bad is told by shape and word, not by colour alone; and a plain sentence when nobody watches.

import { address } from "../address.js";
import { digits, el } from "../dom.js";
import { moment, number, percent, shortName } from "../format.js";
import { records } from "../frames.js";

const SEVERITY = { critical: ["alarm", "khẩn cấp"], warning: ["watch", "cảnh báo"], info: ["quiet", "lưu ý"] };
const PERCENT = ["ratio", "change", "completeness"];
const WORDS = { percentile: "giây", freshness: "giây", absence: "phút", distinct: "đơn vị", offline: "đơn vị" };
const known = new Set();
let first = true;

/** `▲ khẩn cấp`: an element with the shape and the word of a severity. */
export function severity(of) {
  const [look, word] = SEVERITY[of] ?? SEVERITY.info;
  const made = el("span", "mark severity", word);
  made.dataset.look = look;
  return made;
}

/** A value as the kind of its measure is read: `12,5 %`, `94 giây`. */
export function measured(value, kind) {
  if (PERCENT.includes(kind)) return percent(value, 1);
  const said = number(value, Number.isInteger(value) ? 0 : 1);
  return WORDS[kind] ? `${said} ${WORDS[kind]}` : said;
}

/** Three units by name, and how many more. */
export function places(names, count) {
  if (!count) return "";
  const listed = (names ?? "").split(", ").map(shortName), more = count - listed.length;
  return more > 0 ? `${listed.join(", ")} và ${more} nơi khác` : listed.join(", ");
}

export function alarms(body, panel, data, now) {
  const [open, watch] = [data.frames[0], data.frames[1]].map((frame) => (frame ? records(frame) : []));
  const warning = watched(watch[0], now);
  if (!open.length) {
    body.replaceChildren(el("div", "empty", ...(warning ? [el("b", "watch", warning)] : [el("b", "", "Không có cảnh báo")]), ...why(watch[0])));
  } else {
    const list = el("ol", "alarms", ...open.map((row) => line(row, now)));
    body.replaceChildren(...(warning ? [el("p", "sub watch", warning)] : []), list);
    cut(list, open.length);
  }
  tell(open);
}

function watched(row, now) {
  if (row?.watch === "stopped") return `bộ đánh giá cảnh báo không chạy từ ${moment(row.since, now)}`;
  if (row?.watch === "never") return "bộ đánh giá cảnh báo chưa chạy lần nào";
  return row?.watch === "none" ? "Chưa có quy tắc cảnh báo nào" : "";
}

/** An empty list must not read as "all is well" when nobody watches. */
function why(row) {
  return !row || row.watch === "runs" ? [] : [el("span", "", "Danh sách trống không có nghĩa là mọi việc đều ổn.")];
}

function line(row, now) {
  const title = el("a", "title", row.title);
  title.href = address(`/alarms/${row.id}`);
  title.title = row.title;
  const told = [`từ ${moment(row.since, now)}`, row.peak === null ? "" : measured(row.peak, row.measure), state(row, now), places(row.names, row.units)];
  const said = el("span", "said", digits(told.filter(Boolean).join(" · ")));
  said.title = said.textContent;
  return el("li", row.acknowledged_at ? "seen" : "", severity(row.severity), title, said);
}

function state(row, now) {
  if (row.silent_until) return `tắt tiếng đến ${moment(row.silent_until, now)}`;
  if (row.acknowledged_at) return `${row.acknowledged_by} đã nhận lúc ${moment(row.acknowledged_at, now)}`;
  return row.escalated_at ? `đã báo cấp trên lúc ${moment(row.escalated_at, now)}` : "chưa ai nhận";
}

/** Never half an alarm: what does not fit is counted. */
function cut(list, all) {
  if (matchMedia("(max-width: 900px)").matches) return;
  const more = el("li", "more", " ");
  const high = () => list.scrollHeight > list.clientHeight + 1;
  if (!high()) return;
  list.append(more);
  while (list.children.length > 2 && high()) list.children[list.children.length - 2].remove();
  const link = el("a", "", `và ${all - list.children.length + 1} cảnh báo nữa`);
  link.href = address("/alarms");
  more.replaceChildren(link);
}

/** A screen reader hears of each new alarm once, and not of those that stood when the board was opened. */
function tell(open) {
  const fresh = open.filter(({ id }) => !known.has(id));
  for (const { id } of fresh) known.add(id);
  const announced = document.getElementById("announce");
  if (!first && fresh.length && announced) announced.textContent = `Cảnh báo mới: ${fresh.map(({ title }) => title).join("; ")}`;
  first = false;
}
