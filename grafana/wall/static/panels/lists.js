// Rankings as bars, and tables; a row leads on where its board says so.

import { leads } from "../address.js";
import { digits, el, fit } from "../dom.js";
import { UNKNOWN, figure, number, scale, shortName, unitWord, words } from "../format.js";
import { chosen, config, fields, hidden, look, lookOf, mapped, records, reduce } from "../frames.js";

/** The text, as a link where it leads on. */
export function linked(target, ...children) {
  if (!target) return el("span", "", ...children);
  const link = el("a", "", ...children);
  link.href = target.href;
  if (target.title) link.title = target.title;
  return link;
}

/** A bar per row: the first text column names it, the first number column measures it; or a bar per field. The unit's word is returned for the title. */
export function ranking(body, panel, data) {
  const bars = panel.options?.reduceOptions?.values ? ofRows(panel, data) : ofFields(panel, data);
  if (!bars.length) {
    body.replaceChildren(el("div", "empty", "chưa có số liệu hôm nay"));
    return "";
  }
  const largest = Math.max(...bars.map((bar) => bar.options.max ?? bar.value ?? 0), 1e-9);
  const word = unitWord(bars[0].options.unit);
  const unit = scale(largest, word);
  const plain = unit.by > 1 || word || (bars[0].options.unit ?? "none") === "none";
  const list = el("ol", "rank", ...bars.map(({ name, value, options, target }) => {
    const full = el("span", "full");
    full.style.width = `${(100 * Math.max(0, value ?? 0)) / largest}%`;
    full.dataset.look = lookOf(value, options);
    const said = value === null ? (options.noValue ?? UNKNOWN) : plain ? number(value / unit.by, unit.by > 1 ? unit.decimals : (options.decimals ?? 0)) : words(value, options);
    const label = el("span", "name", linked(target, shortName(name)));
    label.title = name;
    return el("li", "", label, el("span", "track", full), el("span", "value", digits(said)));
  }));
  body.replaceChildren(list);
  while (list.children.length > 1 && list.lastElementChild.offsetTop + list.lastElementChild.offsetHeight > list.offsetTop + list.clientHeight + 1) list.lastElementChild.remove();
  return plain ? unit.word : "";
}

function ofRows(panel, data) {
  const visible = fields(data).filter((field) => !hidden(config(panel, field.name, field.ref)) && field.name !== "unit");
  const names = visible.find((field) => field.type === "string"), values = visible.find((field) => field.type === "number");
  if (!names || !values) return [];
  const options = config(panel, values.name, values.ref), rows = records(data.frames[0]);
  return values.values.map((value, i) => ({ name: names.values[i] ?? UNKNOWN, value, options, target: leads(panel, values.name, { ...rows[i], __value: value }, values.ref) }));
}

function ofFields(panel, data) {
  const row = records(data.frames[0]).at(-1) ?? {};
  return chosen(panel, data).filter((field) => !hidden(config(panel, field.name, field.ref))).map((field) => {
    const options = config(panel, field.name, field.ref), value = reduce(field.values, panel.options?.reduceOptions?.calcs?.[0] ?? "lastNotNull");
    return { name: options.displayName ?? field.name, value, options, target: leads(panel, field.name, { ...row, __value: value }, field.ref) };
  });
}

export function table(body, panel, data) {
  const frame = data.frames[0], rows = records(frame);
  if (!rows.length) {
    body.replaceChildren(el("div", "empty", "chưa có dòng nào"));
    return;
  }
  const columns = frame.fields.map((field) => ({ field, options: config(panel, field.name, frame.ref) })).filter(({ options }) => !hidden(options));
  const head = el("tr", "", ...columns.map(({ field, options }) => {
    const made = el("th", numeric(field, options) ? "n" : "", options.displayName ?? field.name);
    made.scope = "col";
    return made;
  }));
  const inside = el("tbody", "", ...rows.map((row) => el("tr", "", ...columns.map((column) => cell(panel, column, row)))));
  const box = el("div", "table", el("table", "", el("thead", "", head), inside));
  body.replaceChildren(box);
  if (matchMedia("(max-width: 900px)").matches) scrolls(box, panel.title);
  else cut(box, inside, rows.length);
}

/** On a phone a table is moved sideways by finger or key. */
function scrolls(box, title) {
  if (box.scrollWidth <= box.clientWidth) return;
  box.tabIndex = 0;
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", title);
}

/** Never half a row or half a column: what does not fit is counted. The first and the last column stay. */
function cut(box, inside, all) {
  const lines = [...box.querySelectorAll("tr")], wide = () => box.scrollWidth > box.clientWidth + 1;
  fit(box, 0.85);
  let columns = 0;
  for (; wide() && lines[0].cells.length > 2; columns++) for (const line of lines) line.cells[line.cells.length - 2].remove();
  const high = () => box.scrollHeight > box.clientHeight + 1;
  const more = el("td", "more", "\u00a0"); // as high as the words that come
  more.colSpan = lines[0].cells.length;
  if (columns || high()) inside.append(el("tr", "", more));
  while (inside.rows.length > 2 && high()) inside.rows[inside.rows.length - 2].remove();
  const rows = all - inside.rows.length + 1;
  more.textContent = `và ${[rows > 0 && more.isConnected ? `${rows} dòng` : "", columns ? `${columns} cột` : ""].filter(Boolean).join(", ")} nữa`;
}

function numeric(field, options) {
  return field.type === "number" && !options.mappings?.length;
}

function cell(panel, { field, options }, row) {
  const value = row[field.name], target = leads(panel, field.name, { ...row, __value: value });
  const meant = mapped(value, options), kind = options.custom.cellOptions?.type;
  if (meant) {
    const mark = el("span", "mark", target ? linked(target, meant.text ?? "") : (meant.text ?? String(value)));
    mark.dataset.look = meant.color ? look(meant.color) : lookOf(value, options);
    return el("td", "", mark);
  }
  const shown = words(value, options);
  const made = el("td", numeric(field, options) ? "n" : "", target ? linked(target, shown) : field.type === "string" ? shown : digits(shown));
  if (kind?.startsWith("color-") && value !== null) made.dataset.look = lookOf(value, options);
  if (kind === "gauge" && value !== null) made.append(meter(value, options));
  made.title = field.type === "string" && !figure(value, options).unknown ? shown : "";
  return made;
}

function meter(value, { min = 0, max = 100, ...options }) {
  const full = el("span", "full");
  full.style.width = `${Math.min(100, Math.max(0, (100 * (value - min)) / (max - min)))}%`;
  full.dataset.look = lookOf(value, { min, max, ...options });
  return el("span", "meter", full);
}
