// What pages that are no board share: theme, links that keep it, asking the server.

import { about, address, space } from "./address.js";

/** The theme of the address, and the links of the page's head. */
export function begin() {
  const asked = new URLSearchParams(location.search).get("theme");
  const light = asked === "light" || (asked === "auto" && matchMedia("(prefers-color-scheme: light)").matches);
  document.documentElement.dataset.theme = light ? "light" : "dark";
  for (const link of document.querySelectorAll("nav [data-to]")) {
    link.href = address(link.dataset.to);
    link.hidden = Boolean(space) && link.dataset.to === "/rules/new"; // rules are written for live
    if (link.dataset.to === location.pathname) link.setAttribute("aria-current", "page");
  }
  if (space) import("./space.js").then(({ ways }) => ways());
}

/** {status, found}; status 0 when the server cannot be reached. */
export async function ask(path, body) {
  const sent = body && { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  try {
    const answer = await fetch(about(path), sent);
    return { status: answer.status, found: await answer.json() };
  } catch {
    return { status: 0, found: null };
  }
}

export function announce(words) {
  document.getElementById("announce").textContent = words;
}
