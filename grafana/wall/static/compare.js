// One board twice, side by side: live, and in a space; each with its own clock.

import { el } from "./dom.js";

const asked = new URLSearchParams(location.search);
const space = asked.get("space") ?? "";
const light = asked.get("theme") === "light" || (asked.get("theme") === "auto" && matchMedia("(prefers-color-scheme: light)").matches);
document.documentElement.dataset.theme = light ? "light" : "dark";

/** The board with what was chosen on it; in the space, or live. */
function half(uid, name, title, how) {
  const query = new URLSearchParams(asked);
  for (const gone of ["board", ...(name ? [] : ["space"])]) query.delete(gone);
  const frame = Object.assign(el("iframe"), { title, src: `/d/${encodeURIComponent(uid)}?${query}` });
  const made = el("section", how, el("h2", "", title), frame);
  made.setAttribute("aria-label", title);
  return made;
}

function menu(boards, uid) {
  return boards.filter((board) => !board.below || board.uid === uid).map((board) => {
    const query = new URLSearchParams(asked);
    query.set("board", board.uid);
    const link = Object.assign(el("a", "", board.tags[1] ?? board.title), { href: `/compare?${query}` });
    if (board.uid === uid) link.setAttribute("aria-current", "page");
    return link;
  });
}

const answer = await fetch("/api/boards"), boards = answer.ok ? await answer.json() : [];
const uid = asked.get("board") || boards[0]?.uid || "";
document.title = `So sánh: trực tiếp và DIỄN TẬP ${space}`;
const back = Object.assign(el("a", "", "Thôi so sánh"), { href: `/d/${encodeURIComponent(uid)}?space=${encodeURIComponent(space)}` });
document.getElementById("boards").append(...menu(boards, uid), back);
document.getElementById("both").append(half(uid, "", "TRỰC TIẾP", "live"), half(uid, space, `DIỄN TẬP ${space}`, "drill"));
