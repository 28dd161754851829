// Addresses of the wall: what is kept from page to page, Grafana's variables in texts, and data links that stay in this house.

import { shortName } from "./format.js";
import { config } from "./frames.js";

const KEPT = ["theme", "kiosk", "screen", "at", "space"];

/** The space that this page shows, as the server stamped it; "" for live. */
export const space = document.documentElement.dataset.space ?? "";

const here = new URLSearchParams(location.search);
const chosen = new Map();
const period = { from: "", to: "" };

/** What the server says was chosen; texts and links are filled in with it. */
export function settle(board) {
  for (const { name, current, options } of board.variables) {
    chosen.set(name, { value: current, text: shortName(options.find((option) => option.value === current)?.text ?? "") });
  }
  period.from = board.from;
  period.to = board.to;
}

/** An address of this wall, with the theme and the like of this page. */
export function address(path) {
  const url = new URL(path, location.origin);
  for (const name of KEPT) if (here.has(name) && !url.searchParams.has(name)) url.searchParams.set(name, here.get(name));
  return url.pathname + url.search + url.hash;
}

/** This page's address with other parameters; null takes one away. */
export function changed(parameters) {
  const search = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(parameters)) value === null ? search.delete(name) : search.set(name, value);
  return `${location.pathname}${search.size ? `?${search}` : ""}`;
}

/** What the server must know of this page's address to read its figures. */
export function question() {
  const asked = new URLSearchParams();
  for (const [name, value] of here) if (name.startsWith("var-") || name === "from" || name === "to" || name === "at" || name === "space") asked.set(name, value);
  return asked;
}

/** The address of an answer about this page's space. */
export function about(path) {
  return space ? `${path}${path.includes("?") ? "&" : "?"}space=${encodeURIComponent(space)}` : path;
}

/** The title of the page: in a space nobody takes it for live's. */
export function entitle(title) {
  document.title = space ? `DIỄN TẬP ${space} · ${title}` : title;
}

/** What the board is called here: by what was chosen on it, unless its title says that itself. */
export function called(title) {
  const texts = [...chosen.values()].map(({ text }) => text).filter(Boolean);
  return title.includes("$") || !texts.length ? (fill(title) ?? title) : texts.join(", ");
}

/** The text with `$name`, `${name}`, `${name:text}` and what the row knows; null when something in it is unknown. */
export function fill(text, row = {}, encode = (value) => value) {
  let whole = true;
  const filled = text.replace(/\$\{([^}]+)\}|\$(\w+)/g, (written, braced, bare) => {
    const value = lookUp(braced ?? bare, row);
    if (value === undefined) return written;
    if (value === null || value === "") whole = false;
    return value?.made ?? encode(String(value ?? ""));
  });
  return whole ? filled : null;
}

function lookUp(written, row) {
  const field = /^__data\.fields(?:\.([^.[\]]+)|\["([^"]+)"\])/.exec(written);
  if (field) return row[field[1] ?? field[2]] ?? null;
  if (written.startsWith("__value")) return row.__value ?? null;
  if (written === "__field.name") return row.__field ?? null;
  if (written === "__from") return period.from;
  if (written === "__to") return period.to;
  if (written === "__url_time_range") return { made: `from=${encodeURIComponent(period.from)}&to=${encodeURIComponent(period.to)}` };
  const [name, form] = written.split(":");
  const held = chosen.get(name);
  if (written === "__all_variables") return { made: [...chosen].map(([each, { value }]) => `var-${each}=${encodeURIComponent(value)}`).join("&") };
  if (!held) return undefined;
  if (form === "queryparam") return { made: `var-${name}=${encodeURIComponent(held.value)}` };
  return form === "text" || form === undefined ? held.text : held.value;
}

/** Where a click on this field's value leads, {href, title}, by its first data link; null when there is none, or when it leads out of this house. */
export function leads(panel, name, row = {}, ref = null) {
  const link = config(panel, name, ref).links?.[0];
  return link ? within(link, { ...row, __field: name }) : null;
}

/** The panel's own link, in the same way. */
export function titleLink(panel) {
  const link = panel.links?.[0];
  return link ? within(link, {}) : null;
}

function within({ url, title = "" }, row) {
  const filled = fill(url.replace(/\$\{(\w+)\}/g, (written, name) => (chosen.has(name) ? `\${${name}:raw}` : written)), row, encodeURIComponent);
  if (filled === null) return null;
  const target = new URL(filled, location.origin);
  if (target.origin !== location.origin || !/^https?:$/.test(target.protocol)) return null;
  if (target.pathname === location.pathname && !target.search) return null;
  return { href: address(target.pathname + target.search), title: fill(title, row) ?? "" };
}
