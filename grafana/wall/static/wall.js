// The wall: lays a board out on its grid, draws each wave, and keeps every tile honest by the second.

import { address, called, changed, entitle, fill, leads, question, settle, space, titleLink } from "./address.js";
import { digits, el } from "./dom.js";
import { explaining } from "./explain.js";
import { clock, date, moment, number, percent, weekday } from "./format.js";
import { judge, last } from "./honest.js";
import { keys, stop } from "./keys.js";
import { Live } from "./live.js";
import { alarms } from "./panels/alarms.js";
import { gauge } from "./panels/gauge.js";
import { ranking, table } from "./panels/lists.js";
import { stat } from "./panels/stat.js";
import { timeline } from "./panels/timeline.js";
import { trend } from "./panels/trend.js";
import { text } from "./panels/words.js";
import { Bar, Past, momentOf } from "./past.js";
import { pickers } from "./pickers.js";
import { watch } from "./screen.js";

const DRAW = { stat, gauge, bargauge: ranking, timeseries: trend, "state-timeline": timeline, table, alertlist: alarms };
const WITHOUT_DATA = { text, row: () => undefined };
const TALL = ["timeseries", "bargauge", "state-timeline", "geomap"];
const ROWS_ON_ONE_SCREEN = 28;
const wanted = new URLSearchParams(location.search);
const uid = decodeURIComponent(location.pathname.split("/")[2] ?? "");
const tiles = new Map();
const figures = new Map();
let state = null;

function theme() {
  const asked = wanted.get("theme");
  const light = asked === "light" || (asked === "auto" && matchMedia("(prefers-color-scheme: light)").matches);
  document.documentElement.dataset.theme = light ? "light" : "dark";
}

function get(id) {
  return document.getElementById(id);
}

function lay(board) {
  const title = called(board.title);
  entitle(title);
  get("title").textContent = title;
  const rows = Math.max(...board.panels.map((panel) => panel.gridPos.y + panel.gridPos.h));
  const grid = get("grid");
  document.body.classList.toggle("long", rows > ROWS_ON_ONE_SCREEN);
  grid.style.gridTemplateRows = `repeat(${rows}, minmax(0, 1fr))`;
  grid.style.setProperty("--rows", rows);
  const ordered = [...board.panels].sort((a, b) => a.gridPos.y - b.gridPos.y || a.gridPos.x - b.gridPos.x);
  grid.replaceChildren(...ordered.map((panel) => lift(panel)));
  stop(grid, grid.firstElementChild);
  pickers(get("pickers"), board);
}

/** A tile: title, body, and where a department stands behind it, the foot that says how true it is. */
function lift(panel) {
  const { x, y, w, h } = panel.gridPos;
  const title = el("h2");
  title.id = `panel-${panel.id}`;
  const said = fill(panel.title ?? "") ?? panel.title;
  const link = titleLink(panel) ?? (panel.type === "stat" ? leads(panel, "") : panel.type === "alertlist" ? { href: address("/alarms") } : null);
  const words = link ? el("a", "", said) : el("span", "", said);
  if (link) words.href = link.href;
  const unit = el("span", "scale");
  title.append(unit, words);
  title.title = panel.description ?? "";
  const body = el("div", "body");
  const tile = el("section", TALL.includes(panel.type) ? "tile tall" : "tile", title, body);
  tile.setAttribute("aria-labelledby", title.id);
  tile.tabIndex = -1;
  tile.dataset.type = panel.type;
  tile.style.gridArea = `${y + 1} / ${x + 1} / span ${h} / span ${w}`;
  const held = { panel: { ...panel, title: said }, tile, body, unit, foot: null, why: null };
  if (panel.options?.ioc?.department) {
    const full = el("div", "full");
    held.foot = { asOf: el("span", "asof"), full, share: el("span", "share"), box: el("div", "foot") };
    held.foot.box.append(held.foot.asOf, el("div", "track", full), held.foot.share);
    tile.append(held.foot.box);
  }
  tiles.set(panel.id, held);
  return tile;
}

function draw(held, now) {
  if (WITHOUT_DATA[held.panel.type]) return WITHOUT_DATA[held.panel.type](held.body, held.panel);
  const data = figures.get(held.panel.id);
  if (!data) return undefined;
  if (data.error) {
    held.body.replaceChildren(el("div", "empty", "không đọc được số liệu này"));
    return undefined;
  }
  if (!DRAW[held.panel.type]) return undefined; // its module is on its way
  const unit = DRAW[held.panel.type](held.body, held.panel, data, now);
  held.unit.textContent = typeof unit === "string" ? unit : "";
  held.why = held.body.querySelector(".sub");
  if (data.withheld) held.body.querySelector(".sub, .empty")?.replaceChildren("có số không công bố");
  held.said = held.why ? [...held.why.childNodes] : null;
  return undefined;
}

function drawAll() {
  for (const held of tiles.values()) draw(held, live.now());
  tick();
  shown();
}

function receive(wave) {
  state = wave.state;
  for (const [id, data] of Object.entries(wave.panels)) {
    figures.set(Number(id), data);
    const held = tiles.get(Number(id));
    if (held) draw(held, live.now());
  }
  tick();
  shown();
  screen.saw(wave);
}

/** The first figures stand on the glass. */
function shown() {
  if (state !== null && tiles.size) document.documentElement.dataset.ready = "yes";
}

/** Every second: the clock, whether we are live, and each tile's honesty. */
function tick() {
  const now = live.now();
  get("clock").replaceChildren(digits(clock(now)));
  get("day").textContent = `${weekday(now)} ${date(now)}`;
  const [kind, said] = told(now);
  if (get("state").dataset.kind !== kind) announce(kind === "live" && !space ? "số liệu trực tiếp" : said);
  get("state").dataset.kind = kind;
  if (get("said").textContent !== said) get("said").textContent = said;
  replay?.date(now);
  for (const held of tiles.values()) if (held.foot) weigh(held, now, kind);
}

/** What a screen reader is told, politely: changes of state, never the beat of figures. */
function announce(words) {
  get("announce").textContent = words;
}

function told(now) {
  if (at !== null && (live.live || live.since === null)) return ["held", live.live ? `quá khứ, lúc ${moment(now, Date.now())}` : "đang đọc quá khứ"];
  if (at !== null) return ["lost", "không đọc được thời điểm này, đang thử lại"];
  if (!live.live) return live.since === null ? ["held", "đang nối với máy chủ"] : ["lost", space ? "mất kết nối, đang nối lại" : `mất kết nối từ ${moment(live.since, now)}, đang nối lại`];
  if (state?.database === false) return ["lost", "không đọc được cơ sở dữ liệu, số liệu đang giữ"];
  if (replay && state) return replay.told(state.replay);
  const known = Object.values(state?.departments ?? {}).flatMap((department) => department.sources.map(last));
  const newest = Math.max(0, ...known);
  if (!newest) return ["held", "đã nối, chưa có tin nào"];
  if (now - newest > 60_000) return ["held", `tin mới nhất lúc ${moment(newest, now)}`];
  if (state.kafka !== true) return ["held", "cập nhật mỗi 5 giây"];
  const lag = state.lag_seconds;
  return ["live", lag === null ? "trực tiếp" : `trực tiếp, trễ ${number(lag, lag < 10 ? 1 : 0)} giây`];
}

function weigh(held, now, kind) {
  const department = state?.departments?.[held.panel.options.ioc.department];
  const found = replay && at === null ? replay.judged(department, now, state?.replay) : judge(department, now);
  const { asOf, full, share, box } = held.foot;
  asOf.textContent = found.asOf === null ? "chưa có tin" : `tính đến ${moment(found.asOf, now)}`;
  const short = found.share !== null && found.share < 95;
  full.style.width = `${found.share ?? 0}%`;
  share.textContent = found.share === null ? "" : `đủ ${percent(found.share, 0)}`;
  box.className = `foot${found.stale || kind === "lost" ? " old" : ""}${short ? " short" : ""}`;
  const stale = state !== null && found.stale;
  if (stale && !held.tile.classList.contains("stale")) announce(`${held.panel.title}: ${found.why}`);
  held.tile.classList.toggle("stale", stale);
  if (held.why) {
    const reason = found.stale ? found.why : short ? found.why : "";
    if (reason) held.why.replaceChildren(el("span", "watch", reason));
    else held.why.replaceChildren(...held.said);
    held.why.title = held.why.textContent;
  } else if (found.stale && state !== null) {
    asOf.textContent = found.why;
  }
}

async function menu() {
  const answer = await fetch("/api/boards");
  const list = answer.ok ? await answer.json() : [];
  home = list.length ? `/d/${encodeURIComponent(list[0].uid)}` : "";
  get("boards").replaceChildren(
    ...list.filter((board) => !board.below || board.uid === uid).map((board) => {
      const link = el("a", "", board.tags[1] ?? board.title);
      link.href = address(`/d/${encodeURIComponent(board.uid)}`);
      if (board.uid === uid) link.setAttribute("aria-current", "page");
      return link;
    }),
  );
  const others = await fetch("/api/spaces");
  if (others.ok) chooser(await others.json());
}

/** Where there are other spaces than live: a choice of them. */
function chooser(spaces) {
  if (!spaces.length) return;
  const choose = el("select", "", ...[{ name: "", label: "" }, ...spaces].map(({ name, label }) => {
    return Object.assign(el("option", "", name || "trực tiếp"), { value: name, title: label, selected: name === space });
  }));
  choose.setAttribute("aria-label", "Không gian");
  choose.addEventListener("change", () => location.assign(changed({ space: choose.value || null, at: null })));
  get("boards").append(choose);
}

async function load() {
  for (;;) {
    try {
      const answer = await fetch(`/api/boards/${encodeURIComponent(uid)}?${question()}`, { signal: AbortSignal.timeout(10_000) });
      if (answer.ok) return await answer.json();
      if (answer.status === 400 || (space && answer.status === 404)) return refuse();
    } catch {
      // the server is away: ask again
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

/** The address asks for what this board does not offer: say so, and offer the board as it is. */
function refuse() {
  live.close();
  const link = el("a", "", "Xem bảng này với lựa chọn mặc định");
  link.href = address(location.pathname);
  get("title").textContent = "Không có lựa chọn này";
  get("grid").replaceChildren(el("p", "empty refused", "Địa chỉ hỏi điều mà bảng này không có. ", link));
  return null;
}

/** The map and its geometry come only where a board has one. */
async function map() {
  const module = await import("./panels/map.js");
  await module.ready();
  DRAW.geomap = module.map;
}

/** What this page narrows its figures to. */
function among(board) {
  const unit = board.variables.find((variable) => variable.name === "unit")?.current;
  return { ...(unit ? { unit } : {}), from: board.from, to: board.to };
}

let home = "";
theme();
document.documentElement.classList.toggle("framed", window.top !== window);
const replay = space ? await import("./space.js") : null;
const screen = watch(uid);
const at = momentOf(wanted.get("at"));
const live = at === null ? new Live(uid, question(), receive) : new Past(uid, at, receive);
const loading = load();
live.open();
menu().catch(() => undefined);
keys(get("grid"), () => home);
const board = await loading;
if (board) {
  settle(board);
  const drawn = board.panels.some((panel) => panel.type === "geomap") ? map() : null;
  lay(board);
  explaining(get("grid"), tiles, (id) => figures.get(id), () => ({ board: uid, ...(space ? { space } : {}), ...among(board) }), () => at !== null);
  new Bar(at === null ? null : live, () => live.now());
  if (at === null) replay?.steer(() => live.now(), () => state?.replay);
  drawAll();
  document.fonts.ready.then(drawAll);
  drawn?.then(drawAll);
}
let pending = 0;
addEventListener("resize", () => {
  cancelAnimationFrame(pending);
  pending = requestAnimationFrame(drawAll);
});
replay?.ways(uid);
setInterval(() => {
  live.check();
  tick();
}, space ? 250 : 1000);
