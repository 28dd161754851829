// The builder of rules: a form that becomes the file of a rule, its errors beside the fields, and what it would have done in the last seven days.

import { el } from "./dom.js";
import { draw } from "./foresight.js";
import { announce, ask, begin } from "./page.js";
import { FIELDS, GROUPS, wanted, written } from "./rulewords.js";

const WAIT = 250;
const form = document.getElementById("form"), told = document.getElementById("told"), yaml = document.getElementById("yaml");
const inputs = new Map();
let words = null, lines = [], asked = "", running = false, waiting = 0;

begin();
const { found } = await ask("/api/rules/words");
if (found?.departments) start(found);
else told.textContent = "Không đọc được danh mục, hãy tải lại trang.";

function start(known) {
  words = known;
  form.append(...GROUPS.map(([title, names]) => el("fieldset", "", el("legend", "", title), ...names.map(field))));
  form.addEventListener("input", changed);
  form.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("copy").addEventListener("click", copy);
  offer();
  changed();
}

/** A label with its input, and room for what is wrong with it. */
function field(name) {
  const { label, kind = "text", start: first = "", options, hint } = FIELDS[name];
  const input = kind === "select" ? el("select") : kind === "words" ? el("textarea") : el("input");
  if (kind === "number") Object.assign(input, { type: "number", step: "any" });
  if (kind === "words") input.rows = 2;
  if (kind === "tick") input.type = "checkbox";
  if (options) input.append(...options.map(([value, text]) => Object.assign(el("option", "", text), { value })));
  if (kind === "tick") input.checked = first;
  else input.value = first;
  const wrong = el("span", "wrong");
  Object.assign(wrong, { id: `wrong-${name}`, hidden: true });
  Object.assign(input, { id: `field-${name}`, name });
  if (hint) input.placeholder = hint;
  const called = Object.assign(el("label", "", label), { htmlFor: `field-${name}` });
  const box = kind === "tick" ? el("span", "tick", input, called) : el("div", "field", called, input);
  const held = el("div", "", box, wrong);
  inputs.set(name, { input, wrong, held });
  return held;
}

/** The value of a field: text, or a number, or whether it is ticked; "" where nothing was said. */
function value(name) {
  const { input } = inputs.get(name);
  return FIELDS[name].kind === "tick" ? input.checked : input.value.trim();
}

/** What can be chosen where another choice was made before. */
function offer() {
  const chosen = words.departments.find(({ name }) => name === value("department")) ?? words.departments[0];
  fillIn("department", words.departments.map(({ name, label }) => [name, label]));
  const ledger = value("kind") === "completeness" || value("kind") === "freshness" ? [] : words.ledger;
  const measures = [...chosen.measures, ...ledger].map(({ name, label }) => [name, label === name ? name : `${label} (${name})`]);
  fillIn("of", measures);
  fillIn("to", measures);
  fillIn("board", [["", "không dẫn tới bảng nào"], ...words.boards.map(({ uid, title }) => [uid, title])]);
  const shown = wanted(value("kind"));
  for (const [name, { held }] of inputs) if (FIELDS[name].when) held.hidden = !shown.includes(name);
}

function fillIn(name, options) {
  const { input } = inputs.get(name), before = input.value;
  input.replaceChildren(...options.map(([value, text]) => Object.assign(el("option", "", text), { value })));
  if (options.some(([value]) => value === before)) input.value = before;
}


function changed() {
  offer();
  lines = written(value, words);
  yaml.textContent = lines.map(([, line]) => line).join("\n") + "\n";
  const save = document.getElementById("save");
  URL.revokeObjectURL(save.href);
  save.href = URL.createObjectURL(new Blob([yaml.textContent], { type: "text/yaml" }));
  save.download = `${value("rule") || "quy-tac"}.yaml`;
  clearTimeout(waiting);
  waiting = setTimeout(look, WAIT);
}

/** Ask what the rule would have done; one question at a time, and the newest always is answered. */
async function look() {
  if (running || asked === yaml.textContent) return;
  running = true;
  const text = (asked = yaml.textContent);
  const { status, found: answer } = await ask("/api/rules/preview", { text });
  running = false;
  if (status === 429 || status === 503) asked = "";
  if (status === 200) show(answer);
  else told.textContent = status === 400 ? "Quá nhiều để xem trước: hãy chọn cả ngành, hoặc so với ít tuần hơn." : "Không xem trước được lúc này, đang thử lại.";
  document.documentElement.dataset.ready = "yes";
  if (text !== yaml.textContent || !asked) setTimeout(look, asked ? 0 : 3000);
}

function show(answer) {
  for (const [name, { input, wrong }] of inputs) {
    wrong.hidden = true;
    input.removeAttribute("aria-invalid");
    input.removeAttribute("aria-describedby");
    wrong.replaceChildren(FIELDS[name].rule ?? "");
  }
  if (answer.wrong) {
    const elsewhere = answer.wrong.filter((each) => !mark(each));
    told.replaceChildren("Quy tắc chưa đủ hoặc chưa đúng, xem các ô được đánh dấu.", ...elsewhere.map(({ what }) => inEnglish(what)));
    return;
  }
  const { firings, rings, per_week: most, groups } = answer;
  const budget = rings > most ? `, nhiều hơn ${most} lần mỗi tuần mà quy tắc cho phép` : "";
  told.textContent = groups.length ? `Quy tắc sẽ kêu ${rings} lần (${firings} lần báo động ở từng nơi)${budget}.` : "Bảy ngày qua không có số liệu nào cho quy tắc này.";
  draw(answer, { above: value("side") === "above", threshold: Number(value("threshold")), set: threshold });
}

/** The error at the field whose line it is about; false when there is none. */
function mark({ line, what }) {
  const missing = /^'(\w+)' is missing/.exec(what)?.[1];
  const name = [missing, lines[line - 1]?.[0]].find((each) => inputs.has(each) && !inputs.get(each).held.hidden);
  if (!name) return false;
  const { input, wrong } = inputs.get(name);
  wrong.append(inEnglish(what));
  wrong.hidden = false;
  input.setAttribute("aria-invalid", "true");
  input.setAttribute("aria-describedby", wrong.id);
  return true;
}

function inEnglish(what) {
  const said = el("small", "", what);
  said.lang = "en";
  return said;
}

/** The threshold was moved on the picture. */
function threshold(to) {
  const { input } = inputs.get("threshold"), clear = inputs.get("clear").input;
  input.value = to;
  if (clear.value !== "" && (value("side") === "above" ? Number(clear.value) > to : Number(clear.value) < to)) clear.value = "";
  changed();
}

async function copy() {
  try {
    await navigator.clipboard.writeText(yaml.textContent);
    announce("Đã chép tệp quy tắc");
  } catch {
    getSelection().selectAllChildren(yaml);
    announce("Đã chọn tệp quy tắc, hãy bấm phím chép");
  }
}
