// The words of a rule: what each field is called and may say, and the file that follows from them, line by line with the field it comes from.

const DAYS = [["mon", "T2"], ["tue", "T3"], ["wed", "T4"], ["thu", "T5"], ["fri", "T6"], ["sat", "T7"], ["sun", "CN"]];
const KINDS = [
  ["sum", "tổng"], ["count", "số lượng"], ["rate", "tốc độ"], ["ratio", "tỷ lệ phần trăm"], ["percentile", "phân vị"], ["change", "thay đổi so với tuần trước (%)"],
  ["absence", "số phút không có"], ["distinct", "số đơn vị có"], ["offline", "số đơn vị ngừng gửi"], ["freshness", "số giây nguồn im lặng"], ["completeness", "phần đọc được (%)"],
];
const EXTRA = {
  sum: ["of"], count: ["of"], rate: ["of", "per"], ratio: ["of", "to", "at_least"], percentile: ["at", "at_least"], change: ["of", "weeks", "at_least"], absence: ["of"],
  distinct: ["of"], offline: ["of"], freshness: [], completeness: ["at_least"],
};
const DURATION = "Viết như 15m, 2h, 1h30m.";

export const FIELDS = {
  rule: { label: "Tên tệp", start: "quy-tac-moi", rule: "3 đến 60 chữ thường không dấu, số và gạch nối." },
  title: { label: "Tiêu đề", start: "Quy tắc mới", rule: "3 đến 400 chữ." },
  text: { label: "Tin gửi đi", kind: "words", start: "{units}: {value}", rule: "3 đến 400 chữ; có thể dùng {value}, {peak}, {threshold}, {window}, {units}, {since}." },
  why: { label: "Vì sao cần", kind: "words", start: "Để biết sớm", rule: "3 đến 400 chữ." },
  department: { label: "Ngành", kind: "select" },
  kind: { label: "Đo gì", kind: "select", options: KINDS, start: "sum" },
  of: { label: "Của", kind: "select", when: true },
  to: { label: "Trên", kind: "select", when: true },
  per: { label: "Mỗi", start: "1h", when: true, rule: DURATION },
  at: { label: "Phân vị thứ", kind: "number", start: "95", when: true, rule: "Trên 0, đến 100." },
  weeks: { label: "Số tuần so sánh", kind: "number", start: "1", when: true, rule: "1 đến 8." },
  at_least: { label: "Bỏ qua khi có ít hơn", kind: "number", start: "1", when: true, rule: "Số nguyên từ 1." },
  window: { label: "Trong khoảng", start: "15m", rule: `${DURATION} Từ 1 phút đến 7 ngày.` },
  by: { label: "Xét theo", kind: "select", options: [["whole", "cả ngành"], ["unit", "từng đơn vị"], ["kind", "từng loại"], ["source", "từng nguồn"]], start: "whole", rule: "Cách chia này không hợp với điều được đo." },
  side: { label: "Báo khi", kind: "select", options: [["above", "cao hơn ngưỡng"], ["below", "thấp hơn ngưỡng"]], start: "above" },
  threshold: { label: "Ngưỡng", kind: "number", start: "100", rule: "Viết một số." },
  clear: { label: "Hết khi qua mức (trống: bằng ngưỡng)", kind: "number", rule: "Phải ở phía yên của ngưỡng." },
  for: { label: "Kéo dài ít nhất", start: "5m", rule: `${DURATION} Nhiều nhất 1 ngày.` },
  keep: { label: "Giữ báo động thêm", start: "0m", rule: `${DURATION} Nhiều nhất 1 ngày.` },
  missing: { label: "Khi thiếu dữ liệu", kind: "select", options: [["hold", "giữ nguyên"], ["ok", "coi như bình thường"], ["firing", "coi như báo động"]], start: "hold" },
  hours: { label: "Giờ làm việc của quy tắc", start: "00:00-24:00", rule: "Viết như 07:00-17:30." },
  ...Object.fromEntries(DAYS.map(([name, label]) => [name, { label, kind: "tick", start: true }])),
  holidays: { label: "Cả ngày lễ", kind: "tick", start: true },
  severity: { label: "Mức độ", kind: "select", options: [["info", "lưu ý"], ["warning", "cảnh báo"], ["critical", "khẩn cấp"]], start: "warning" },
  owner: { label: "Phụ trách", start: "Trực ban", rule: "3 đến 400 chữ." },
  runbook: { label: "Việc cần làm", kind: "words", start: "Gọi đơn vị", rule: "3 đến 400 chữ." },
  route: { label: "Gửi cho (tên đường gửi)", start: "default", rule: "3 đến 60 chữ thường không dấu, số và gạch nối." },
  board: { label: "Bảng để xem", kind: "select" },
  calls: { label: "Nhiều nhất mấy lần mỗi tuần", kind: "number", start: "7", rule: "Số từ 0." },
};

export const GROUPS = [
  ["Điều kiện", ["department", "kind", "of", "to", "per", "at", "weeks", "at_least", "window", "by", "side", "threshold", "clear", "for", "keep", "missing"]],
  ["Tên và lời", ["rule", "title", "text", "why", "severity", "owner", "runbook"]],
  ["Khi nào thức", ["hours", ...DAYS.map(([name]) => name), "holidays"]],
  ["Gửi đi", ["route", "board", "calls"]],
];

/** The fields that a kind of measure asks for. */
export function wanted(kind) {
  return EXTRA[kind] ?? [];
}

/** The file: [field, line] for each of its lines. value(field) is what the form says. */
export function written(value, words) {
  const say = (name) => JSON.stringify(value(name));
  const number = (name) => (value(name) === "" ? '""' : value(name));
  const chosen = words.departments.find(({ name }) => name === value("department"));
  const plain = ["rule", "title", "text", "why"].map((name) => [name, `${name}: ${say(name)}`]);
  const awake = DAYS.map(([name]) => name).filter((name) => value(name));
  const clear = value("clear") === "" ? "" : `, clear: ${number("clear")}`;
  const always = value("hours") === "00:00-24:00" && awake.length === 7 && value("holidays");
  return [
    ...plain,
    ["department", `department: ${value("department")}`],
    [measured(value)[0], `measure: {${measure(value, chosen)}}`],
    ["window", `window: ${say("window")}`],
    ["by", `by: ${value("by")}`],
    ["threshold", `when: {${value("side")}: ${number("threshold")}${clear}}`],
    ["for", `for: ${say("for")}`],
    ["keep", `keep_firing_for: ${say("keep")}`],
    ...(always ? [] : [["hours", `calendar: {hours: ${say("hours")}, days: [${awake.join(", ")}], holidays: ${value("holidays")}}`]]),
    ["severity", `severity: ${value("severity")}`],
    ["owner", `owner: ${say("owner")}`],
    ["route", `route: ${say("route")}`],
    ["runbook", `runbook: ${say("runbook")}`],
    ...(value("board") ? [["board", `board: ${value("board")}`]] : []),
    ["missing", `missing: ${value("missing")}`],
    ["calls", `calls_per_week: ${number("calls")}`],
  ];
}

/** The fields that the line of the measure comes from, the first one to be marked when it is wrong. */
function measured(value) {
  return [...wanted(value("kind")).filter((name) => name !== "at_least"), "kind"];
}

function measure(value, chosen) {
  const kind = value("kind"), of = value("of");
  const first = { percentile: `percentile: ${chosen?.histogram ?? '""'}`, freshness: "freshness: source", completeness: "completeness: source", distinct: `distinct: unit, of: ${of}` }[kind] ?? `${kind}: ${of}`;
  const rest = wanted(kind).filter((name) => name !== "of").map((name) => `${name}: ${FIELDS[name].kind === "number" ? value(name) || '""' : name === "per" ? JSON.stringify(value(name)) : value(name)}`);
  return [first, ...rest].join(", ");
}
