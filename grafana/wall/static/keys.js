// The wall by keyboard: arrows between tiles, Enter down, Escape up, ? for help.

import { address, space } from "./address.js";
import { el } from "./dom.js";

const KEYS = [
  ["↑ ↓ ← →", "sang ô bên cạnh; trên bản đồ: sang xã bên cạnh"],
  ["Enter", "xem chi tiết của ô đang chọn"],
  ["i", "số trong ô được tính từ đâu: định nghĩa và từng sự kiện"],
  ["t", "mở thanh thời gian để xem lại"],
  ["[ ]  { }", "đang xem lại: lùi, tiến 10 phút; 1 giờ. n: về hiện tại"],
  ...(space ? [["p", "diễn tập: tạm dừng, tiếp tục"], ["← → ↑ ↓", "trên thanh diễn tập: một phút, một giờ; phím cách: tạm dừng"]] : []),
  ["Tab", "đi qua các liên kết trong ô"],
  ["Esc", "ra khỏi ô, rồi về bảng toàn tỉnh"],
  ["f", "toàn màn hình, khi trình chiếu"],
  ["?", "mở hoặc đóng bảng phím này"],
];
const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Listen to keys from now on; grid holds the tiles, home is the path of the first board. */
export function keys(grid, home) {
  const help = dialog();
  grid.addEventListener("focusin", (event) => stop(grid, event.target.closest(".tile")));
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey || event.target.closest("select, input, textarea")) return;
    if (event.key === "?") return help.open ? help.close() : help.showModal();
    if (document.querySelector("dialog[open]")) return;
    const tile = event.target.closest(".tile");
    if (WAYS[event.key]) step(event, grid, tile);
    else if (event.key === "Enter" && tile === event.target) enter(event, tile);
    else if (event.key === "Escape") leave(event, tile, home());
  });
}

/** One tile is where the tab key comes in: the one people were at last. */
export function stop(grid, chosen) {
  if (!chosen) return;
  for (const tile of grid.querySelectorAll(".tile")) tile.tabIndex = tile === chosen ? 0 : -1;
}

function step(event, grid, tile) {
  const next = tile ? beside(grid, tile, WAYS[event.key]) : grid.querySelector(".tile[tabindex='0']");
  if (!next) return;
  event.preventDefault();
  next.focus();
}

function beside(grid, tile, [dx, dy]) {
  const middle = (each) => {
    const box = each.getBoundingClientRect();
    return [box.left + box.width / 2, box.top + box.height / 2];
  };
  const [x, y] = middle(tile);
  let best = null, least = Infinity;
  for (const other of grid.querySelectorAll(".tile")) {
    const [ox, oy] = middle(other), along = (ox - x) * dx + (oy - y) * dy, aside = Math.abs((ox - x) * dy) + Math.abs((oy - y) * dx);
    if (along > 8 && along + 2 * aside < least) [best, least] = [other, along + 2 * aside];
  }
  return best;
}

function enter(event, tile) {
  const inside = tile.querySelector("h2 a") ?? tile.querySelector("a[href], [tabindex='0']");
  if (!inside) return;
  event.preventDefault();
  if (inside.matches("h2 a")) inside.click();
  else inside.focus();
}

function leave(event, tile, home) {
  if (tile && event.target !== tile) tile.focus();
  else if (home && home !== location.pathname) location.assign(address(home));
}

function dialog() {
  const rows = KEYS.map(([key, does]) => el("div", "", el("dt", "", el("kbd", "", key)), el("dd", "", does)));
  const close = el("button", "", "Đóng");
  const title = el("h2", "", "Phím tắt");
  title.id = "keys-title";
  const made = el("dialog", "keys", title, el("dl", "", ...rows), close);
  made.setAttribute("aria-labelledby", title.id);
  close.type = "button";
  close.addEventListener("click", () => made.close());
  document.body.append(made);
  return made;
}
