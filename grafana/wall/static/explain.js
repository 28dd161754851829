// The sheet that says what a figure is made of: meaning, formula, rule, counts, and the very events, page by page.

import { digits, el } from "./dom.js";
import { UNKNOWN, number, pattern } from "./format.js";
import { chosen, fields } from "./frames.js";

const TIME = "DD/MM HH:mm:ss";
const sheet = el("dialog", "explain");
let asked = 0;

/** Explain on a click on a figure, by `i` on a tile, or by Enter on one that leads nowhere. tiles: id -> {panel, tile}; data(id): what the panel shows; common(): parameters of this page; past(): whether it shows the past. */
export function explaining(grid, tiles, data, common, past) {
  document.body.append(sheet);
  sheet.setAttribute("aria-labelledby", "explain-title");
  sheet.addEventListener("click", (event) => event.target === sheet && sheet.close());
  const open = (held, place) => {
    const list = figuresOf(held.panel, data(held.panel.id));
    if (list.length) show(held.panel, list, list[place.figure] ? place : { ...place, figure: 0 }, common, past());
  };
  grid.addEventListener("click", (event) => {
    if (event.target.closest("a, button, select, input")) return;
    const held = [...tiles.values()].find((each) => each.tile.contains(event.target));
    const spot = held?.panel.options?.ioc?.department && event.target.closest(".big, .several > div, .rank li, .chart");
    if (spot) open(held, placeOf(spot, data(held.panel.id)));
  });
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
    const held = [...tiles.values()].find((each) => each.tile.contains(event.target));
    const entered = event.key === "Enter" && held?.tile === event.target && !held.tile.querySelector("a[href], [tabindex='0']"); // else it leads on
    if (event.key !== "i" && !entered) return;
    if (held?.panel.options?.ioc?.department) open(held, { figure: 0 });
  });
}

/** The figures a panel shows, as {name, label}: `name` is what the server is asked for. */
function figuresOf(panel, held) {
  const own = panel.options?.ioc?.figure;
  if (own) return [{ name: own, label: panel.title }];
  return held ? chosen(panel, held).map((field) => ({ name: field.name, label: field.name })) : [];
}

/** Which figure and which unit was meant. */
function placeOf(spot, held) {
  const row = [...spot.parentElement.children].indexOf(spot);
  if (spot.matches(".several > div")) return { figure: row };
  const unit = spot.matches(".rank li") && held ? fields(held).find((field) => ["unit", "mã"].includes(field.name))?.values[row] : undefined;
  return { figure: 0, unit: unit ?? undefined };
}

async function show(panel, list, place, common, past) {
  const turn = ++asked;
  const parameters = new URLSearchParams({ ...common(), panel: panel.id, figure: list[place.figure].name });
  if (place.unit !== undefined) parameters.set("unit", place.unit);
  const title = el("h2", "", list[place.figure].label);
  title.id = "explain-title";
  const close = el("button", "close", "Đóng");
  close.type = "button";
  close.addEventListener("click", () => sheet.close());
  const inside = el("div", "inside", el("p", "wait", "đang đọc các sự kiện…"));
  const others = list.length > 1 ? [choice(list, place, (figure) => show(panel, list, { figure }, common, past))] : [];
  sheet.replaceChildren(el("header", "", title, close), ...others, inside);
  if (!sheet.open) sheet.showModal();
  try {
    const found = await ask(parameters);
    if (turn === asked) fill(inside, found, parameters, past);
  } catch (error) {
    if (turn === asked) inside.replaceChildren(el("p", "wait", error.message));
  }
}

function choice(list, place, choose) {
  const buttons = list.map(({ label }, i) => {
    const button = el("button", "", label);
    button.type = "button";
    button.setAttribute("aria-pressed", String(i === place.figure));
    button.addEventListener("click", () => choose(i));
    return button;
  });
  return el("nav", "others", ...buttons);
}

async function ask(parameters) {
  const answer = await fetch(`/api/explain?${parameters}`);
  if (answer.status === 503) throw new Error("cơ sở dữ liệu đang bận, hãy thử lại");
  if (!answer.ok) throw new Error("không giải thích được số này");
  return answer.json();
}

function fill(inside, found, parameters, past) {
  const unknown = found.value === null;
  const value = el("p", "value", digits(unknown ? UNKNOWN : number(found.value, Number.isInteger(found.value) ? 0 : 1)), el("span", "word", unknown ? "chưa biết" : found.word));
  const from = Date.parse(found.from), to = Date.parse(found.to);
  const period = `từ ${pattern(from, "HH:mm DD/MM/YYYY")} đến trước ${pattern(to, "HH:mm DD/MM/YYYY")}${found.unit ? `, đơn vị ${found.unit}` : ""}`;
  const warning = past ? [el("p", "past", "Màn hình đang cho xem quá khứ; số và sự kiện dưới đây là của hiện tại.")] : [];
  const contract = found.contracts.length ? found.contracts.map((version) => `bản ${version}`).join(", ") : UNKNOWN;
  inside.replaceChildren(
    ...warning, value, el("p", "period", period),
    el("dl", "", ...[["Định nghĩa", found.definition], ["Công thức", found.formula], ["Căn cứ", found.law], ["Hợp đồng dữ liệu", contract]].flatMap(pair)),
    counts(found),
    el("p", found.equal === false ? "proof wrong" : "proof", proof(found)),
  );
  if (found.rows.length || found.next) list(inside, found, parameters);
}

const pair = ([word, said]) => [el("dt", "", word), el("dd", "", said || UNKNOWN)];

function counts(found) {
  const more = found.complete ? "" : "hơn ";
  const shown = [["sự kiện", found.events], ["đến muộn", found.late], ["bị gửi lại khác nội dung", found.conflict], ["đã rút ra sau khi đã tính", found.taken_out]];
  return el("ul", "counts", ...shown.map(([word, count], i) => el("li", "", el("b", "", i < 3 ? more : "", digits(number(count))), ` ${word}`)));
}

function proof(found) {
  if (found.equal === null) return "Nhiều sự kiện quá, chưa cộng hết ở đây; tải CSV để có tất cả.";
  if (!found.events) return "Không có sự kiện nào trong số này.";
  return found.equal ? "✓ Các sự kiện dưới đây cho ra đúng số này." : "✗ Các sự kiện không cho ra đúng số này: hãy báo người vận hành.";
}

function list(inside, found, parameters) {
  const names = ["giờ của sự kiện", "nhận lúc", "nguồn", "đơn vị", "loại", "mã sự kiện", found.counts === "member" ? "người bán (mã hóa)" : found.amount_word || "đóng góp"];
  const body = el("tbody");
  const table = el("table", "", el("thead", "", el("tr", "", ...names.map((name, i) => el("th", i === 6 ? "n" : "", name)))), body);
  const csv = el("a", "", "tải tất cả (CSV)");
  csv.href = `/api/explain?${parameters}&format=csv`;
  const more = el("button", "more", "xem tiếp");
  more.type = "button";
  const add = (page) => {
    body.append(...page.rows.map((event) => row(event, found.counts === "member")));
    more.hidden = page.next === null;
    more.dataset.next = page.next ?? "";
  };
  more.addEventListener("click", async () => {
    more.disabled = true;
    try {
      add(await ask(`${parameters}&after=${encodeURIComponent(more.dataset.next)}`));
    } catch (error) {
      more.textContent = `${error.message}; bấm để thử lại`;
    }
    more.disabled = false;
  });
  add(found);
  const scroll = el("div", "events", table);
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", "Các sự kiện");
  inside.append(scroll, el("p", "foot", more, csv));
}

function row(event, ofMembers) {
  const known = el("td", "", digits(pattern(Date.parse(event.known_at), TIME)));
  if (event.late) known.append(el("span", "late", " muộn"));
  const at = event.event_time === null ? UNKNOWN : digits(pattern(Date.parse(event.event_time), TIME));
  const id = el("td", "id", event.event.slice(0, 12));
  id.title = event.event;
  const last = ofMembers ? el("td", "id n", event.member.slice(0, 12)) : el("td", "n", digits(number(event.amount)));
  return el("tr", "", el("td", "", at), known, el("td", "", event.source), el("td", "", event.unit ?? UNKNOWN), el("td", "", event.kind ?? UNKNOWN), id, last);
}
