// A gauge: how far a value stands between the least and the most, with its thresholds as an outer ring.

import { digits, el, fit, svg } from "../dom.js";
import { figure, words } from "../format.js";
import { chosen, config, lookOf, reduce } from "../frames.js";

const FROM = -120, TO = 120; // degrees, 0 is upright

export function gauge(body, panel, data) {
  const shown = chosen(panel, data);
  if (!shown.length) {
    body.replaceChildren(el("div", "empty", "chưa có số liệu"));
    return;
  }
  const made = shown.map((field) => one(field, panel));
  body.replaceChildren(el("div", "gauges", ...made));
  for (const each of made) fit(each.querySelector(".value"));
}

function one(field, panel) {
  const options = config(panel, field.name, field.ref);
  const value = reduce(field.values, panel.options?.reduceOptions?.calcs?.[0] ?? "lastNotNull");
  const { min = 0, max = 100 } = options;
  const share = (number) => Math.min(1, Math.max(0, (number - min) / (max - min)));
  const drawn = svg("svg", { viewBox: "-110 -106 220 172", "aria-hidden": "true" });
  drawn.append(svg("path", { class: "track", d: arc(86, 0, 1) }));
  if (value !== null) {
    const full = svg("path", { class: "full", d: arc(86, 0, Math.max(0.004, share(value))) });
    full.dataset.look = lookOf(value, options);
    drawn.append(full);
  }
  drawn.append(...limits(options, share));
  const said = figure(value, options);
  const number = el("div", "value", digits(said.text), el("span", "word", said.word));
  number.dataset.look = value === null ? "unknown" : lookOf(value, options);
  const name = options.displayName ?? (panel.options?.ioc?.name === false ? "" : field.name);
  return el("figure", "gauge", drawn, number, el("figcaption", "", name, el("span", "ends", `${words(min, options)} – ${words(max, options)}`)));
}

function limits(options, share) {
  const steps = options.thresholds?.mode === "percentage" ? [] : (options.thresholds?.steps ?? []);
  if (options.color?.mode !== "thresholds" || steps.length < 2) return [];
  return steps.map((step, i) => {
    const ring = svg("path", { class: "limit", d: arc(101, step.value === null ? 0 : share(step.value), i + 1 < steps.length ? share(steps[i + 1].value) : 1) });
    ring.dataset.look = lookOf(step.value ?? -Infinity, options);
    return ring;
  });
}

function arc(radius, from, to) {
  const point = (part) => {
    const angle = ((FROM + part * (TO - FROM)) * Math.PI) / 180;
    return `${(radius * Math.sin(angle)).toFixed(2)} ${(-radius * Math.cos(angle)).toFixed(2)}`;
  };
  return `M${point(from)}A${radius} ${radius} 0 ${(to - from) * (TO - FROM) > 180 ? 1 : 0} 1 ${point(to)}`;
}
