// Small words for making elements; styles go through the object model, never through markup.

export function el(tag, className = "", ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** The text with every digit in a box of one width: the typeface has no tabular figures of its own, and numbers that count must not dance. */
export function digits(text) {
  const whole = document.createDocumentFragment();
  for (const part of text.match(/\d|\D+/g) ?? []) whole.append(/\d/.test(part) ? el("i", "d", part) : part);
  return whole;
}

export function variable(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Shrinks the element's font, at most to `least` of it, until its content fits its width. */
export function fit(element, least = 0.42) {
  element.style.fontSize = "";
  const room = element.clientWidth, needed = element.scrollWidth;
  if (needed <= room || room === 0) return;
  const size = parseFloat(getComputedStyle(element).fontSize);
  element.style.fontSize = `${Math.max(least, (room / needed) * 0.98) * size}px`;
}
