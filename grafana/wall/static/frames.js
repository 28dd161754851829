// Grafana's field options applied to the columns the server sends: which fields, which unit and colour, which reduction.

const LOOKS = { "#3dbcc8": "accent", "#7f93a3": "quiet", "#f2a93b": "watch", "#f0725c": "alarm", "#6fc38a": "good" };

/** Our name for a colour of a board, so that themes can choose the shade. */
export function look(color) {
  return LOOKS[color] ?? "accent";
}

/** Field options with the overrides by name and by regular expression that match `name`. `custom` holds the custom ones. */
export function config(panel, name) {
  const { defaults = {}, overrides = [] } = panel.fieldConfig ?? {};
  const found = { ...defaults, custom: { ...defaults.custom } };
  for (const { matcher, properties } of overrides) {
    const hit = matcher.id === "byName" ? matcher.options === name : matcher.id === "byRegexp" && pattern(matcher.options).test(name);
    if (!hit) continue;
    for (const { id, value } of properties) {
      if (id.startsWith("custom.")) found.custom[id.slice(7)] = value;
      else found[id] = value;
    }
  }
  return found;
}

function pattern(text) {
  const match = /^\/(.*)\/([a-z]*)$/.exec(text);
  return match ? new RegExp(match[1], match[2]) : new RegExp(text);
}

/** All fields of all frames as {name, type, values, times, ref}. */
export function fields(data) {
  const found = [];
  for (const frame of data?.frames ?? []) {
    const at = frame.fields.findIndex((field) => field.name === "time");
    frame.fields.forEach((field, i) => {
      if (i !== at) found.push({ name: field.name, type: field.type, values: frame.columns[i], times: at < 0 ? null : frame.columns[at], ref: frame.ref });
    });
  }
  return found;
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
  if (calc === "lastNotNull") return known[known.length - 1];
  throw new Error(`unknown calculation ${calc}`);
}

/** The look of a value by the field's colour mode and thresholds. */
export function lookOf(value, options) {
  if (options.color?.mode !== "thresholds") return look(options.color?.fixedColor);
  const passed = (options.thresholds?.steps ?? []).filter((step) => step.value === null || (value !== null && value >= step.value));
  return look(passed.at(-1)?.color);
}

/** The column for drawing: a slot that is not over yet is drawn only when it already stands above the one before, else it would look like a fall. */
export function settled(values, times, now) {
  const last = values.findLastIndex((value) => value !== null);
  if (last < 1 || values[last - 1] === null) return values;
  const over = times[last] + (times[1] - times[0]) <= now;
  return over || values[last] >= values[last - 1] ? values : values.with(last, null);
}
