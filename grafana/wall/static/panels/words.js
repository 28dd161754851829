// Words on the wall: text panels with a little Markdown.

import { el } from "../dom.js";
import { fill } from "../address.js";

/** Headings, lists, bold words and paragraphs of a text panel; what else Markdown knows stays as it is written. */
export function text(body, panel) {
  const box = el("div", "words");
  let list = null;
  for (const written of (fill(panel.options?.content ?? "") ?? "").split("\n")) {
    const line = written.trim();
    const item = /^[-*]\s+(.*)/.exec(line), head = /^#+\s+(.*)/.exec(line);
    if (item) {
      if (!list) box.append((list = el("ul")));
      list.append(el("li", "", ...inline(item[1])));
      continue;
    }
    list = null;
    if (head) box.append(el("h3", "", ...inline(head[1])));
    else if (line) box.append(el("p", "", ...inline(line)));
  }
  body.replaceChildren(box);
}

function inline(line) {
  return line.split(/\*\*(.+?)\*\*/).map((part, i) => (i % 2 ? el("b", "", part) : part.replace(/[_`]/g, "")));
}
