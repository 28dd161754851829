// Alarms as pages: what is open, thirty days of firings by rule and unit, one alarm with its messages; taking it and silencing its rule.

import { address, entitle, space } from "./address.js";
import { el } from "./dom.js";
import { dayMonth, moment, shortName } from "./format.js";
import { announce, ask, begin } from "./page.js";
import { measured, places, severity } from "./panels/alarms.js";

const EVERY = 5000, DAY = 86_400_000;
const number = location.pathname.split("/")[2] ?? "";
const main = document.getElementById("main");
const HOURS = [[0.5, "30 phút"], [2, "2 giờ"], [8, "8 giờ"], [24, "1 ngày"], [168, "7 ngày"]];
const WORDS = { firing: "báo động", more: "thêm nơi", resolved: "đã hết", withdrawn: "rút lại", missed: "phát hiện muộn", again: "lại báo động", corrected: "đính chính", escalated: "báo cấp trên" };
const STATES = { waiting: "đang chờ gửi", held: "đợi hết giờ yên lặng", sent: "đã gửi", muted: "không gửi", failed: "không gửi được" };
let drawn = "";

begin();
look();
setInterval(look, EVERY);

async function look() {
  const { status, found } = await ask(number ? `/api/alarms/${encodeURIComponent(number)}` : "/api/alarms");
  if (status !== 200) return fail(status);
  const { now, ...rest } = found, text = JSON.stringify(rest);
  if (text !== drawn) number ? one(found) : all(found);
  drawn = text;
  if (space) import("./space.js").then(({ date }) => date(now));
  document.documentElement.dataset.ready = "yes";
  return undefined;
}

function fail(status) {
  drawn = "";
  if (status === 404) return main.replaceChildren(el("p", "sub", "Không có cảnh báo này."));
  const old = main.querySelector(".lost");
  if (!old) main.prepend(el("p", "lost watch", "Không đọc được lúc này, đang thử lại. Những gì bên dưới có thể đã cũ."));
  return undefined;
}

function section(title, ...inside) {
  const head = el("h2", "", title), made = el("section", "card", head, ...inside);
  head.id = `h-${title.replace(/\P{L}/gu, "")}`;
  made.setAttribute("aria-labelledby", head.id);
  return made;
}

function all({ open, watch, rules, firings, silences, days, now, may }) {
  const says = { stopped: () => `Bộ đánh giá cảnh báo không chạy từ ${moment(watch.since, now)}: danh sách có thể thiếu.`, never: () => "Bộ đánh giá cảnh báo chưa chạy lần nào.", none: () => "Chưa có quy tắc cảnh báo nào." }[watch.watch];
  const list = open.length ? el("ul", "open", ...open.map((row) => opened(row, now))) : el("p", "sub", watch.watch === "runs" ? "Không có cảnh báo nào đang mở." : "Danh sách trống không có nghĩa là mọi việc đều ổn.");
  main.replaceChildren(
    ...(says ? [el("p", "lost watch", says())] : []),
    section("Đang mở", list),
    section(`${days} ngày qua`, ...history(rules, firings, days, now)),
    section("Đang tắt tiếng", silences.length ? el("ul", "", ...silences.map((row) => el("li", "", silent(row, rules, now)))) : el("p", "sub", "Không có quy tắc nào bị tắt tiếng.")),
    ...(may ? [] : [el("p", "sub", "Đăng nhập này chỉ xem được cảnh báo, không nhận hay tắt tiếng được.")]),
  );
}

function opened(row, now) {
  const link = el("a", "title", row.title);
  link.href = address(`/alarms/${row.id}`);
  const taken = row.acknowledged_at ? `${row.acknowledged_by} đã nhận lúc ${moment(row.acknowledged_at, now)}` : "chưa ai nhận";
  const parts = [`từ ${moment(row.since, now)}`, places(row.names, row.units), row.peak === null ? "" : measured(row.peak, row.measure), taken];
  return el("li", "", severity(row.severity), link, el("span", "said", parts.filter(Boolean).join(" · ")));
}

function silent({ rule, name, until, who, why }, rules, now) {
  return `${rule === null ? "Mọi quy tắc" : (rules[rule]?.title ?? rule)}${name ? `, ${shortName(name)}` : ""}: đến ${moment(until, now)}, ${who}: ${why}`;
}

/** A row per rule and unit: pieces of time in which it fired. */
function history(rules, firings, days, now) {
  if (!firings.length) return [el("p", "sub", "Không có quy tắc nào báo động.")];
  const from = now - days * DAY, groups = Map.groupBy(firings, ({ rule }) => rule);
  return [...groups].map(([rule, mine]) => {
    const rows = [...Map.groupBy(mine, ({ unit }) => unit ?? "")].map(([, spans]) => row(spans, rules[rule], from, now));
    return el("div", "rule", el("h3", "", rules[rule]?.title ?? rule), el("ol", "states", ...rows, axis(from, now)));
  });
}

function row(spans, rule, from, now) {
  const track = el("div", "track"), share = (time) => (100 * (Math.max(time, from) - from)) / (now - from);
  for (const { since, until, peak, alarm, inhibited } of spans) {
    const piece = el(alarm ? "a" : "span", "piece"), end = until ?? now;
    if (alarm) piece.href = address(`/alarms/${alarm}`);
    piece.dataset.look = inhibited ? "quiet" : rule?.severity === "critical" ? "alarm" : rule?.severity === "info" ? "accent" : "watch";
    piece.style.left = `min(${share(since)}%, calc(100% - 5px))`; // minutes are thin among days: never too thin to see
    piece.style.width = `max(5px, ${share(end) - share(since)}%)`;
    const said = `${moment(since, now)} đến ${until ? moment(until, now) : "nay"}${peak === null ? "" : `, ${measured(peak, rule?.measure)}`}${inhibited ? ", bị quy tắc khác giữ" : ""}`;
    piece.title = said;
    if (alarm) piece.setAttribute("aria-label", `${rule?.title ?? ""}: ${said}`);
    track.append(piece);
  }
  const name = el("span", "name", shortName(spans[0].name ?? "toàn ngành"));
  name.title = name.textContent;
  return el("li", "", name, track, el("span", "unseen", `${spans.length} lần`));
}

function axis(from, now) {
  const marks = [];
  for (let time = now; time > from; time -= 5 * DAY) {
    const mark = el("span", time === now ? "end" : "", time === now ? "nay" : dayMonth(time));
    mark.style.left = `${(100 * (time - from)) / (now - from)}%`;
    marks.push(mark);
  }
  const made = el("li", "hours", el("span"), el("div", "track", ...marks));
  made.setAttribute("aria-hidden", "true");
  return made;
}

function one({ alarm, rule, firings, messages, now, may, silences }) {
  entitle(alarm.title);
  document.getElementById("title").textContent = alarm.title;
  const focused = document.activeElement?.closest("form") ? main.querySelector(".act") : null; // what somebody is writing stays
  const facts = [
    ["Tình trạng", alarm.closed_at ? `đã hết lúc ${moment(alarm.closed_at, now)}` : "đang mở"],
    ["Mở lúc", moment(alarm.opened_at, now)],
    ["Người nhận", alarm.acknowledged_at ? `${alarm.acknowledged_by}, ${moment(alarm.acknowledged_at, now)}: ${alarm.acknowledged_why}` : "chưa ai nhận"],
    ...(alarm.escalated_at ? [["Báo cấp trên", moment(alarm.escalated_at, now)]] : []),
    ...(rule ? [["Vì sao quan trọng", rule.why], ["Việc cần làm", rule.runbook], ["Phụ trách", rule.owner]] : []),
    ["Quy tắc", `${alarm.rule}, bản ${alarm.version}`],
  ];
  const links = rule?.board ? [boardAt(rule.board, alarm)] : [];
  const list = el("dl", "", ...facts.map(([name, said]) => el("div", "", el("dt", "", name), el("dd", "", said))));
  main.replaceChildren(
    section("Cảnh báo", severity(alarm.severity), list, ...links),
    ...(may ? [focused ?? acts(alarm, firings, silences)] : [el("p", "sub", "Đăng nhập này chỉ xem được cảnh báo, không nhận hay tắt tiếng được.")]),
    section("Nơi báo động", table(["Nơi", "Từ", "Đến", "Giá trị xa nhất"], firings.map((f) => [shortName(f.name ?? "toàn ngành"), moment(f.since, now), f.until ? moment(f.until, now) : "đang báo", f.peak === null ? "—" : measured(f.peak, rule?.measure)]), "Chưa có lần báo động nào được ghi.")),
    section("Tin đã gửi", table(["Kênh", "Tin", "Tình trạng", "Lúc", "Số lần thử"], messages.map((m) => [m.channel, WORDS[m.word] ?? m.word, `${STATES[m.state] ?? m.state}${m.wrong ? `: ${m.wrong}` : ""}`, moment(m.sent_at ?? m.made_at, now), `${m.tries}`]), "Chưa có tin nào.")),
  );
}

function boardAt(board, alarm) {
  const link = el("a", "more", "Xem bảng lúc ấy"), at = new Date(alarm.opened_at).toISOString().slice(0, 16);
  link.href = address(`/d/${encodeURIComponent(board)}?at=${encodeURIComponent(`${at}+00:00`)}`);
  return link;
}

function table(heads, rows, none) {
  if (!rows.length) return el("p", "sub", none);
  const head = el("tr", "", ...heads.map((word) => Object.assign(el("th", "", word), { scope: "col" })));
  const box = el("div", "table", el("table", "", el("thead", "", head), el("tbody", "", ...rows.map((row) => el("tr", "", ...row.map((cell) => el("td", "", cell)))))));
  box.tabIndex = 0;
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", heads.join(", "));
  return box;
}

function field(label, input) {
  return el("label", "field", el("span", "", label), input);
}

function choice(options) {
  return el("select", "", ...options.map(([value, text]) => Object.assign(el("option", "", text), { value })));
}

function acts(alarm, firings, silences) {
  const forms = [];
  if (!alarm.closed_at && !alarm.acknowledged_at) {
    const why = el("textarea");
    forms.push(form("Nhận cảnh báo", "Nhận", [field("Đang làm gì", why)], why, () => ask(`/api/alarms/${alarm.id}/acknowledge`, { why: why.value.trim() })));
  }
  if (!silences) return el("div", "act", ...forms, el("p", "sub", "Trong diễn tập không tắt tiếng: báo động ở đây không đến ai ngoài tuyến diễn tập."));
  const why = el("textarea"), hours = choice(HOURS);
  const units = [...new Map(firings.filter(({ unit }) => unit).map(({ unit, name }) => [unit, shortName(name)]))];
  const where = choice([["", "cả quy tắc"], ...units]);
  forms.push(form("Tắt tiếng", "Tắt tiếng", [field("Trong", hours), field("Cho", where), field("Vì sao", why)], why, () => ask("/api/silences", { rule: alarm.rule, hours: Number(hours.value), why: why.value.trim(), unit: where.value || null })));
  return el("div", "act", ...forms);
}

function form(title, word, fields, why, send) {
  const button = el("button", "main", word), said = el("p", "said");
  said.setAttribute("role", "alert");
  Object.assign(why, { required: true, minLength: 3, maxLength: 400, rows: 2 });
  const made = el("form", "card", el("h2", "", title), ...fields, button, said);
  made.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    const { status } = await send();
    button.disabled = false;
    said.textContent = { 200: "", 400: "Hãy viết lý do, từ 3 đến 400 chữ.", 403: "Đăng nhập này không được làm việc ấy.", 409: "Đã có người nhận, hoặc cảnh báo đã hết." }[status] ?? "Không gửi được, hãy thử lại.";
    if (status !== 200) return;
    announce(`${title}: đã ghi`);
    document.activeElement?.blur();
    drawn = "";
    why.value = "";
    look();
  });
  return made;
}
