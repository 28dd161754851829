// Rankings as bars, tables, and words.

import { digits, el } from "../dom.js";
import { UNKNOWN, figure, number, scale, shortName } from "../format.js";
import { config, fields, look } from "../frames.js";

/** A bar per row: the first text column names it, the first number column measures it. The unit's word is returned for the title. */
export function ranking(body, panel, data) {
  const all = fields(data);
  const names = all.find((field) => field.type === "string"), values = all.find((field) => field.type === "number");
  if (!names || !values?.values.length) {
    body.replaceChildren(el("div", "empty", "chưa có số liệu hôm nay"));
    return "";
  }
  const { unit: said = "" } = config(panel, values.name);
  const largest = Math.max(...values.values, 1e-9);
  const unit = scale(largest, /^currency:financial:(.*):suffix$/.exec(said)?.[1].trim() ?? "");
  const list = el("ol", "rank");
  values.values.forEach((value, i) => {
    const full = el("span", "full");
    full.style.width = `${(100 * Math.max(0, value ?? 0)) / largest}%`;
    const name = el("span", "name", shortName(names.values[i] ?? UNKNOWN));
    name.title = names.values[i] ?? "";
    list.append(el("li", "", name, el("span", "track", full), el("span", "value", digits(value === null ? UNKNOWN : number(value / unit.by, unit.decimals)))));
  });
  body.replaceChildren(list);
  while (list.children.length > 1 && list.lastElementChild.offsetTop + list.lastElementChild.offsetHeight > list.offsetTop + list.clientHeight + 1) list.lastElementChild.remove();
  return unit.word;
}

export function table(body, panel, data) {
  const frame = data.frames[0];
  const rows = frame?.columns[0]?.length ?? 0;
  if (!rows) {
    body.replaceChildren(el("div", "empty", "chưa có dòng nào"));
    return;
  }
  const head = el("tr"), inside = el("tbody");
  const options = frame.fields.map((field) => config(panel, field.name));
  frame.fields.forEach((field, i) => head.append(el("th", numeric(field, options[i]) ? "n" : "", options[i].displayName ?? field.name)));
  for (let r = 0; r < rows; r++) inside.append(el("tr", "", ...frame.fields.map((field, i) => cell(field, frame.columns[i][r], options[i]))));
  const box = el("div", "table", el("table", "", el("thead", "", head), inside));
  body.replaceChildren(box);
  while (inside.rows.length > 1 && box.scrollHeight > box.clientHeight + 1) inside.lastElementChild.remove();
  if (inside.rows.length < rows) {
    inside.lastElementChild.remove();
    const more = el("td", "more", `và ${rows - inside.rows.length} dòng nữa`);
    more.colSpan = frame.fields.length;
    inside.append(el("tr", "", more));
  }
}

function numeric(field, options) {
  return field.type === "number" && !options.mappings?.length;
}

function cell(field, value, options) {
  const mapped = options.mappings?.find((mapping) => mapping.type === "value")?.options?.[String(value)];
  if (mapped) {
    const mark = el("span", "mark", mapped.text);
    mark.dataset.look = look(mapped.color);
    return el("td", "", mark);
  }
  const said = figure(value, options);
  const shown = said.word ? `${said.text} ${said.word}` : said.text;
  return el("td", numeric(field, options) ? "n" : "", field.type === "string" ? shown : digits(shown));
}

/** Plain paragraphs of a text panel; marks of Markdown are dropped. */
export function text(body, panel) {
  const paragraphs = (panel.options?.content ?? "").split(/\n\s*\n/).map((part) => el("p", "", part.replace(/[*_#`>]/g, "").trim()));
  body.replaceChildren(el("div", "words", ...paragraphs));
}
