// Choosing: a board's variables and its period; a choice is an address, so it can be sent, kept and gone back from.

import { changed } from "./address.js";
import { el } from "./dom.js";

const OWN = "own";

/** Fill the box with what this board lets people choose. */
export function pickers(box, board) {
  const made = board.variables.filter((variable) => !variable.hidden && variable.options.length > 1).map(variablePicker);
  if (board.periods) made.push(periodPicker(board));
  box.replaceChildren(...made);
  box.hidden = !made.length;
}

function picker(name, label, options, current) {
  const select = el("select", "", ...options.map(({ value, text }) => {
    const option = el("option", "", text);
    option.value = value;
    return option;
  }));
  select.value = current;
  select.id = `choose-${name}`;
  const words = el("label", "", label);
  words.htmlFor = select.id;
  return { select, field: el("span", "choice", words, select) };
}

function variablePicker({ name, label, options, current }) {
  const { select, field } = picker(name, label, options, current);
  select.addEventListener("change", () => location.assign(changed({ [`var-${name}`]: select.value })));
  return field;
}

function periodPicker(board) {
  const known = board.periods.find((each) => each.from === board.from && each.to === board.to);
  const options = [...board.periods.map((each, i) => ({ value: String(i), text: each.text })), { value: OWN, text: "tự chọn" }];
  const { select, field } = picker("period", "Thời gian", options, known ? String(board.periods.indexOf(known)) : OWN);
  const days = el("span", "days", day("từ ngày", board.from), day("đến ngày", board.to));
  days.hidden = Boolean(known);
  select.addEventListener("change", () => {
    days.hidden = select.value !== OWN;
    const chosen = board.periods[Number(select.value)];
    if (chosen) location.assign(changed({ from: chosen.from, to: chosen.to }));
  });
  days.addEventListener("change", () => {
    const [from, to] = [...days.querySelectorAll("input")].map((input) => input.value);
    if (from && to && from <= to) location.assign(changed({ from: `${from}T00:00`, to: `${to}T23:59:59.999` }));
  });
  return el("span", "period", field, days);
}

function day(label, time) {
  const input = el("input");
  input.type = "date";
  input.value = /^\d{4}-\d\d-\d\d/.exec(time)?.[0] ?? "";
  return el("label", "", el("span", "unseen", label), input);
}
