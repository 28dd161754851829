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

/** Shrinks the element's font, at most to `least` of it, until its content fits its width; parts of it may not shrink, so look again. */
export function fit(element, least = 0.36) {
  element.style.fontSize = "";
  const whole = parseFloat(getComputedStyle(element).fontSize);
  for (let size = whole, tries = 0; tries < 5 && element.scrollWidth > element.clientWidth && element.clientWidth; tries++) {
    size = Math.max(least * whole, size * (element.clientWidth / element.scrollWidth) * 0.97);
    element.style.fontSize = `${size}px`;
  }
}
