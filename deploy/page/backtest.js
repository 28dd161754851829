// A backtest to be looked at: values by group, the threshold dragged, firings decided again at once, as streams/rules/decide.py does.
const data = JSON.parse(document.getElementById("data").textContent);
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const values = data.values.map((text) => new Float64Array(bytes(text).buffer));
const [awake, missing, inhibited] = [data.awake, data.missing, data.inhibited].map(bytes);
const clearBy = data.clear === null ? 0 : data.clear - data.threshold;

/** The firings of one group for a threshold: [{since, until, peak}], minutes since 1970; until null: not ended. */
function decide(value, threshold) {
  const clear = threshold + clearBy;
  const found = [];
  let hotFor = 0, coolFor = 0, lit = false, open = null;
  for (let i = 0; i < value.length; i++) {
    const v = value[i];
    let hot = data.above ? v > threshold : v < threshold;
    let cool = Number.isNaN(v) || (data.above ? v <= clear : v >= clear);
    if (missing[i]) {
      if (data.when_missing === "ok") [hot, cool] = [false, true];
      else if (data.when_missing === "firing") [hot, cool] = [true, false];
      else [hot, cool] = [hot && data.rises, false];
    }
    if (!awake[i]) [hot, cool] = [false, true];
    hotFor = hot ? hotFor + 1 : 0;
    coolFor = cool ? coolFor + 1 : 0;
    if (i < data.lead) continue;
    if (hotFor > data.for) lit = true;
    else if (coolFor > data.keep || !awake[i]) lit = false;
    const fires = lit && !inhibited[i - data.lead];
    const minute = data.since + i - data.lead;
    if (fires && !open) open = { since: minute, until: null, peak: null };
    if (!fires && open) { found.push({ ...open, until: minute }); open = null; }
    if (open && !Number.isNaN(v)) open.peak = open.peak === null ? v : data.above ? Math.max(open.peak, v) : Math.min(open.peak, v);
  }
  if (open) found.push(open);
  return found;
}

const stamp = new Intl.DateTimeFormat("vi-VN", { timeZone: "Asia/Ho_Chi_Minh", day: "2-digit", month: "2-digit", hour: "2-digit", minute: "2-digit" });
const number = new Intl.NumberFormat("vi-VN", { maximumFractionDigits: 2 });
const at = (minute) => stamp.format(new Date(minute * 60000));
const style = getComputedStyle(document.documentElement);
const ink = (name) => style.getPropertyValue(name);
const shown = data.groups.map((name, place) => {
  const figure = document.createElement("figure"), caption = document.createElement("figcaption"), canvas = document.createElement("canvas");
  const words = document.createElement("span"), count = document.createElement("span");
  words.textContent = name || "Toàn ngành";
  caption.append(words, count);
  figure.append(caption, canvas);
  document.getElementById("groups").append(figure);
  const part = values[place].subarray(data.lead);
  let low = Math.min(0, data.threshold), high = Math.max(0, data.threshold);
  for (const v of part) if (Number.isFinite(v)) { low = Math.min(low, v); high = Math.max(high, v); }
  return { name, canvas, count, part, low, high: high + (high - low) * 0.08 || 1 };
});

function draw(one, firings, threshold) {
  const { canvas, part, low, high } = one;
  const scale = devicePixelRatio || 1, width = canvas.clientWidth * scale, height = canvas.clientHeight * scale;
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const pen = canvas.getContext("2d"), x = (i) => (i / part.length) * width, y = (v) => height - ((v - low) / (high - low)) * height;
  pen.clearRect(0, 0, width, height);
  pen.fillStyle = ink("--fire");
  for (const f of firings) pen.fillRect(x(f.since - data.since), 0, Math.max(scale, x((f.until ?? data.until) - f.since)), height);
  pen.strokeStyle = ink("--line");
  pen.lineWidth = scale;
  pen.beginPath();
  const step = Math.max(1, Math.floor(part.length / width));
  for (let i = 0; i < part.length; i += step) {
    let least = Infinity, most = -Infinity;
    for (let j = i; j < Math.min(part.length, i + step); j++) if (Number.isFinite(part[j])) { least = Math.min(least, part[j]); most = Math.max(most, part[j]); }
    if (least > most) continue;
    pen.moveTo(x(i), y(most) - scale / 2);
    pen.lineTo(x(i + step), y(least) + scale / 2);
  }
  pen.stroke();
  pen.strokeStyle = ink("--limit");
  pen.beginPath();
  pen.moveTo(0, y(threshold));
  pen.lineTo(width, y(threshold));
  pen.stroke();
}

const field = document.getElementById("threshold"), slide = document.getElementById("slide");
const MOST = 500;

function show(threshold) {
  const all = [];
  shown.forEach((one, place) => {
    const firings = decide(values[place], threshold);
    one.count.textContent = `${firings.length} lần`;
    draw(one, firings, threshold);
    all.push(...firings.map((f) => ({ group: one.name, ...f })));
  });
  all.sort((a, b) => a.since - b.since);
  document.getElementById("firings").replaceChildren(...all.slice(0, MOST).map((f) => {
    const row = document.createElement("tr");
    Object.assign(row.dataset, { group: f.group, since: f.since, until: f.until ?? "", peak: f.peak ?? "" });
    const cells = [f.group || "Toàn ngành", at(f.since), f.until === null ? "nay" : at(f.until), (f.until ?? data.until) - f.since, f.peak === null ? "—" : number.format(f.peak)];
    row.append(...cells.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
    return row;
  }));
  document.getElementById("rest").textContent = all.length > MOST ? `và ${all.length - MOST} lần nữa` : "";
  document.getElementById("told").textContent = `${all.length} lần báo, ${at(data.since)} – ${at(data.until)}`;
}

function move(threshold) {
  if (!Number.isFinite(threshold)) return;
  field.value = slide.value = threshold;
  show(threshold);
}

[slide.min, slide.max] = [Math.min(...shown.map((one) => one.low)), Math.max(...shown.map((one) => one.high))];
document.getElementById("why").textContent = data.why;
field.addEventListener("input", () => move(field.valueAsNumber));
slide.addEventListener("input", () => move(slide.valueAsNumber));
document.getElementById("back").addEventListener("click", () => move(data.threshold));
for (const one of shown) {
  const drag = (event) => { if (event.buttons) move(Number((one.high - (event.offsetY / one.canvas.clientHeight) * (one.high - one.low)).toPrecision(4))); };
  one.canvas.addEventListener("pointerdown", (event) => { one.canvas.setPointerCapture(event.pointerId); drag(event); });
  one.canvas.addEventListener("pointermove", drag);
}
addEventListener("resize", () => show(field.valueAsNumber));
document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
move(data.threshold);
document.documentElement.dataset.ready = "";
