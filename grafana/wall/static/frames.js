// Grafana's field options applied to the columns the server sends: which fields, which unit and colour, which reduction.

const LOOKS = { "#3dbcc8": "accent", "#7f93a3": "quiet", "#f2a93b": "watch", "#f0725c": "alarm", "#6fc38a": "good" };
const FAMILIES = [[/green$/, "good"], [/(yellow|orange)$/, "watch"], [/red$/, "alarm"], [/(gray|text|transparent|white|black)$/, "quiet"]];

/** Our name for a colour of a board, so that themes can choose the shade; Grafana's own names by their family. */
export function look(color) {
  return LOOKS[color] ?? FAMILIES.find(([family]) => family.test(color ?? ""))?.[1] ?? "accent";
}

/** Field options with the overrides by name, by regular expression and by query that match. `custom` holds the custom ones. */
export function config(panel, name, ref = null) {
  const { defaults = {}, overrides = [] } = panel.fieldConfig ?? {};
  const found = { ...defaults, custom: { ...defaults.custom } };
  for (const { matcher, properties } of overrides) {
    if (!hits(matcher, name, ref)) continue;
    for (const { id, value } of properties) {
      if (id.startsWith("custom.")) found.custom[id.slice(7)] = value;
      else found[id] = value;
    }
  }
  return found;
}

function hits({ id, options }, name, ref) {
  if (id === "byName") return options === name;
  if (id === "byNames") return options.names?.includes(name);
  if (id === "byFrameRefID") return options === ref;
  return id === "byRegexp" && pattern(options).test(name);
}

function pattern(text) {
  const match = /^\/(.*)\/([a-z]*)$/.exec(text);
  return match ? new RegExp(match[1], match[2]) : new RegExp(text);
}

/** All fields of all frames as {name, type, values, times, ref}. Long series (a text column beside the numbers) become one field each. */
export function fields(data) {
  const found = [];
  for (const frame of data?.frames ?? []) {
    const at = frame.fields.findIndex((field) => field.name === "time");
    if (frame.form === "time_series" && at >= 0 && frame.fields.some((field) => field.type === "string")) {
      found.push(...wide(frame, at));
      continue;
    }
    frame.fields.forEach((field, i) => {
      if (i !== at) found.push({ name: field.name, type: field.type, values: frame.columns[i], times: at < 0 ? null : frame.columns[at], ref: frame.ref });
    });
  }
  return found;
}

/** Long to wide, as Grafana does it: a series per text (and per number, where there are several), null at instants it does not know. */
function wide(frame, at) {
  const times = [...new Set(frame.columns[at])];
  const row = new Map(times.map((time, i) => [time, i]));
  const labels = frame.fields.flatMap((field, i) => (field.type === "string" ? [i] : []));
  const numbers = frame.fields.flatMap((field, i) => (field.type === "number" ? [i] : []));
  const made = new Map();
  frame.columns[at].forEach((time, r) => {
    const label = labels.map((i) => frame.columns[i][r] ?? "").join(" ");
    for (const i of numbers) {
      const name = numbers.length > 1 ? `${frame.fields[i].name} ${label}` : label;
      if (!made.has(name)) made.set(name, { name, type: "number", values: times.map(() => null), times, ref: frame.ref });
      made.get(name).values[row.get(time)] = frame.columns[i][r];
    }
  });
  return [...made.values()];
}

/** The rows of a frame as {column: value}. */
export function records(frame) {
  return (frame?.columns[0] ?? []).map((_, r) => Object.fromEntries(frame.fields.map((field, i) => [field.name, frame.columns[i][r]])));
}

/** Whether a column is there for links only. */
export function hidden(options) {
  return Boolean(options.custom.hidden || options.custom.hideFrom?.viz);
}

export function named(data, name) {
  return fields(data).find((field) => field.name === name);
}

/** The top of a curve's scale. A single burst would flatten the rest of the day: beyond 4 times what 95 % of the values keep below,
 *  the scale ends at 1.5 times that, and whoever draws says how high the burst really is. */
export function ceiling(values) {
  const known = values.filter((value) => value !== null && value > 0).sort((a, b) => a - b);
  const top = known.at(-1) ?? 0, usual = known[Math.floor(known.length * 0.95)] ?? 0;
  return known.length >= 20 && top > 4 * usual ? 1.5 * usual : top;
}

/** The fields a stat shows: those its `fields` expression names, else all numbers. */
export function chosen(panel, data) {
  const wanted = panel.options?.reduceOptions?.fields;
  const all = fields(data).filter((field) => field.type === "number");
  return wanted ? all.filter((field) => pattern(wanted).test(field.name)) : all;
}

/** One number of a column by Grafana's calculation; null when nothing is known. */
export function reduce(values, calc) {
  const known = values.filter((value) => value !== null);
  if (calc === "last") return values.length ? values[values.length - 1] : null;
  if (!known.length) return null;
  if (calc === "sum") return known.reduce((sum, value) => sum + value, 0);
  if (calc === "max") return Math.max(...known);
  if (calc === "min") return Math.min(...known);
  if (calc === "mean") return known.reduce((sum, value) => sum + value, 0) / known.length;
  if (calc === "first") return values[0];
  if (calc === "firstNotNull") return known[0];
  if (calc === "count") return values.length;
  if (calc === "lastNotNull") return known[known.length - 1];
  throw new Error(`unknown calculation ${calc}`);
}

/** The look of a value by its mapping, else by the field's colour mode and thresholds. */
export function lookOf(value, options) {
  const meant = mapped(value, options);
  if (meant?.color) return look(meant.color);
  if (options.color?.mode !== "thresholds") return look(options.color?.fixedColor);
  const { min = 0, max = 100 } = options;
  const measured = options.thresholds?.mode === "percentage" ? (100 * (value - min)) / (max - min) : value;
  const passed = (options.thresholds?.steps ?? []).filter((step) => step.value === null || (value !== null && measured >= step.value));
  return look(passed.at(-1)?.color);
}

/** What Grafana's value mappings make of a value: {text, color}, or undefined. */
export function mapped(value, options) {
  for (const { type, options: rule } of options.mappings ?? []) {
    if (type === "value" && value !== null && rule[String(value)]) return rule[String(value)];
    if (type === "range" && typeof value === "number" && value >= (rule.from ?? -Infinity) && value <= (rule.to ?? Infinity)) return rule.result;
    if (type === "regex" && typeof value === "string" && pattern(rule.pattern).test(value)) return rule.result;
    if (type === "special" && special(value, rule.match)) return rule.result;
  }
  return undefined;
}

function special(value, match) {
  if (value === null || value === undefined) return match.includes("null");
  if (Number.isNaN(value)) return match.includes("nan");
  return match === "empty" ? value === "" : String(value) === match;
}

/** The column for drawing: a slot that is not over yet is drawn only when it already stands above the one before, else it would look like a fall. */
export function settled(values, times, now) {
  const last = values.findLastIndex((value) => value !== null);
  if (last < 1 || values[last - 1] === null) return values;
  const over = times[last] + (times[1] - times[0]) <= now;
  return over || values[last] >= values[last - 1] ? values : values.with(last, null);
}
