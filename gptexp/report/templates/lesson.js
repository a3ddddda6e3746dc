// What answers a reader's hand, over the figures' own SVG. Without it the page reads whole.
"use strict";
const NS = "http://www.w3.org/2000/svg";
const all = (root, selector) => [...root.querySelectorAll(selector)];
const count = (value) => Math.round(value).toLocaleString("en-US");
const rate = (value) => (value >= 0.1 || !value ? String(+value.toPrecision(3)) : value.toExponential(2).replace(/\.?0*e-/, "e-"));

function make(tag, about = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(about)) {
    if (name === "text") element.textContent = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function draw(svg, tag, about) {
  const element = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(about)) element.setAttribute(name, value);
  svg.append(element);
  return element;
}

// A panel's axes: positions in the SVG to values and back.
function readPlot(svg) {
  const { box, x, y, scale } = JSON.parse(svg.querySelector("[data-plot]").dataset.plot);
  const bend = { log: Math.log, root: (value) => Math.sqrt(Math.max(value, 0)) }[scale] ?? ((value) => value);
  const straighten = { log: Math.exp, root: (value) => value * value }[scale] ?? ((value) => value);
  const [left, right] = x.map(bend);
  return {
    box, x, y,
    toX: (across) => straighten(left + ((across - box[0]) / (box[1] - box[0])) * (right - left)),
    toY: (up) => y[0] + ((up - box[2]) / (box[3] - box[2])) * (y[1] - y[0]),
    fromX: (value) => box[0] + ((bend(value) - left) / (right - left)) * (box[1] - box[0]),
    fromY: (value) => box[2] + ((value - y[0]) / (y[1] - y[0])) * (box[3] - box[2]),
  };
}

// The points of a line or the places of its markers, as the SVG has them.
function readPoints(series) {
  const uses = all(series, "use").map((use) => [Number(use.getAttribute("x")), Number(use.getAttribute("y"))]);
  if (uses.length) return uses;
  const path = series.querySelector("path")?.getAttribute("d") ?? "";
  return [...path.matchAll(/[ML] ?(-?[\d.]+)[ ,](-?[\d.]+)/g)].map((found) => [Number(found[1]), Number(found[2])]);
}

function findHeight(points, across) {
  const after = points.findIndex((point) => point[0] >= across);
  if (after < 0 || across < points[0][0] - 0.5) return null;
  if (!after) return points[0][1];
  const [from, to] = [points[after - 1], points[after]];
  return from[1] + ((across - from[0]) / (to[0] - from[0] || 1)) * (to[1] - from[1]);
}

const findNearest = (points, across) =>
  points.reduce((best, point) => (Math.abs(point[0] - across) < Math.abs(best[0] - across) ? point : best));

const list = (figure) => all(figure, "svg.gx");
const shown = (figure) => list(figure).find((svg) => svg.getBoundingClientRect().height) ?? list(figure)[0];

function locate(svg, event) {
  const frame = svg.getBoundingClientRect();
  const { width, height } = svg.viewBox.baseVal;
  return [((event.clientX - frame.left) / frame.width) * width, ((event.clientY - frame.top) / frame.height) * height];
}

// Where the controls of a figure stand: between drawing and caption.
function addTools(figure, ...children) {
  const caption = figure.querySelector(":scope > figcaption, :scope > .caption");
  caption.before(...children);
}

function makeSlider(label, low, high, step, value) {
  const input = make("input", { type: "range", min: low, max: high, step, value });
  const said = make("output", {});
  return { input, said, label: make("label", { class: "slide" }, label, input, said) };
}

function listArms(svg) {
  const arms = new Map();
  for (const series of all(svg, '[data-role="train"], [data-role="val"], [data-role="raw"]')) {
    const { arm, role, run } = series.dataset;
    if (!arms.has(arm)) arms.set(arm, { run, roles: {}, colour: "" });
    (arms.get(arm).roles[role] ??= []).push(series);
    arms.get(arm).colour ||= series.querySelector("path, use")?.style.stroke ?? "";
  }
  return arms;
}

function offerCurves(figure) {
  const off = new Set();
  const names = [...listArms(list(figure)[0]).keys()];
  const last = Math.floor(readPlot(list(figure)[0]).x[1] / 1.005);
  const step = makeSlider("Step", 0, last, Math.max(1, Math.round(last / 400)), Math.round(last / 2));
  const read = make("div", { class: "read", "aria-live": "polite" });
  const tools = make("div", { class: "tools" });
  const apply = () => {
    for (const series of all(figure, "svg [data-arm]")) {
      const { arm, role } = series.dataset;
      if (role === "pin") continue;
      series.classList.toggle("off", off.has(arm) || (role === "raw" && smooth.value === "all") || (role === "train" && smooth.value === "raw"));
      if (role === "train") smoothLine(series, smooth.value === "all");
    }
  };
  const smooth = make("select", {});
  for (const [value, text] of [["drawn", "as drawn"], ["raw", "each step alone"], ["all", "smoothed more"]])
    smooth.append(make("option", { value, text }));
  smooth.addEventListener("change", apply);
  if (names.length > 1)
    for (const name of names) {
      const colour = listArms(list(figure)[0]).get(name).colour;
      const swatch = draw(make("span"), "svg", { class: "swatch", viewBox: "0 0 31 3", width: 28, height: 3, "aria-hidden": "true" });
      draw(swatch, "path", { d: "M0 1.5H31", "stroke-width": 3 }).style.stroke = colour;
      const button = make("button", { type: "button", "aria-pressed": "true" }, swatch, name);
      button.addEventListener("click", () => {
        off[off.has(name) ? "delete" : "add"](name);
        button.setAttribute("aria-pressed", String(!off.has(name)));
        apply();
        say();
      });
      tools.append(button);
    }
  tools.append(make("label", {}, "Smoothing", smooth));
  const say = () => {
    const svg = shown(figure);
    const plot = readPlot(svg);
    const at = Number(step.input.value);
    const across = plot.fromX(at);
    all(figure, ".hair, .dot").forEach((mark) => mark.remove());
    draw(svg, "path", { class: "hair", d: `M${across} ${plot.box[2]}V${plot.box[3]}` });
    const rows = make("ul");
    const words = [];
    for (const [arm, { run, roles }] of listArms(svg)) {
      if (off.has(arm)) continue;
      const parts = [];
      const height = roles.train && findHeight(readPoints(roles.train[0]), across);
      if (height != null) {
        const loss = plot.toY(height);
        parts.push(`train loss ${loss.toFixed(2)}, perplexity ${write(Math.exp(loss))}`);
        draw(svg, "circle", { class: "dot", cx: across, cy: height, r: 4.5 });
      }
      const marks = (roles.val ?? []).flatMap(readPoints);
      if (marks.length) {
        const [x, y] = findNearest(marks, across);
        parts.push(`val loss ${plot.toY(y).toFixed(2)} (step ${count(plot.toX(x))})`);
      }
      if (!parts.length) continue;
      words.push(`${arm}: ${parts.join(", ")}`);
      const row = make("li", {}, make("b", { text: arm }), ` ${parts.join(" · ")} `);
      if (run) row.append(make("a", { href: `evidence.html#run-${run}`, text: "its run" }));
      rows.append(row);
    }
    const head = `Step ${count(at)}`;
    step.said.textContent = count(at);
    step.input.setAttribute("aria-valuetext", [head, ...words].join("; "));
    read.replaceChildren(make("span", { text: `${head}, read off the curves` }), rows);
  };
  step.input.addEventListener("input", say);
  for (const svg of list(figure))
    for (const kind of ["pointermove", "pointerdown"])
      svg.addEventListener(kind, (event) => {
        const plot = readPlot(svg);
        const [across] = locate(svg, event);
        if (across < plot.box[0] - 4 || across > plot.box[1] + 4) return;
        step.input.value = Math.max(0, Math.min(last, plot.toX(across)));
        say();
      });
  addTools(figure, tools, make("div", { class: "tools" }, step.label), read);
  sayWhenShown(figure, say);
}

// A figure inside a closed answer has no size yet.
function sayWhenShown(figure, say) {
  say();
  figure.closest("details")?.addEventListener("toggle", say);
  addEventListener("resize", say);
}

const write = (value) => (value < 100 ? value.toFixed(1) : count(value));

// The mean of the neighbours on the line, over a twentieth of the panel.
function smoothLine(series, wanted) {
  const path = series.querySelector("path");
  if (!path) return;
  series.dataset.drawn ??= path.getAttribute("d");
  if (!wanted) return void path.setAttribute("d", series.dataset.drawn);
  path.setAttribute("d", series.dataset.drawn);
  const points = readPoints(series);
  const reach = (points.at(-1)[0] - points[0][0]) / 40;
  let [from, to, sum] = [0, 0, 0];
  const means = points.map(([x]) => {
    while (to < points.length && points[to][0] <= x + reach) sum += points[to++][1];
    while (points[from][0] < x - reach) sum -= points[from++][1];
    return [x, sum / (to - from)];
  });
  path.setAttribute("d", means.map(([x, y], place) => `${place ? "L" : "M"} ${x.toFixed(2)} ${y.toFixed(2)}`).join(" "));
}

function offerPins(figure) {
  offerCurves(figure);
  const cards = new Map(all(document, ".sample").map((card) => [Number(card.dataset.step), card]));
  const open = make("div", { class: "opened", "aria-live": "polite" });
  const tools = make("div", { class: "tools", role: "group", "aria-label": "Pins" }, "Open a text:");
  const svg = list(figure)[0];
  const plot = readPlot(svg);
  const steps = new Map();
  for (const pin of all(svg, '[data-role="pin"]')) {
    const at = plot.toX(readPoints(pin)[0][0]);
    const known = [...cards.keys()].reduce((best, step) => (Math.abs(step - at) < Math.abs(best - at) ? step : best), Infinity);
    if (known !== Infinity) steps.set(pin.dataset.arm, known);
  }
  const openPin = (number) => open.replaceChildren(cards.get(steps.get(number)).cloneNode(true));
  for (const [number, step] of steps) {
    const button = make("button", { type: "button", text: `${number}, step ${count(step)}` });
    button.addEventListener("click", () => openPin(number));
    tools.append(button);
  }
  for (const pin of all(figure, '[data-role="pin"]')) pin.addEventListener("click", () => steps.has(pin.dataset.arm) && openPin(pin.dataset.arm));
  if (steps.size) addTools(figure, tools, open);
}

function offerTokens(block) {
  const body = all(block, "tbody tr").map((row) => [...row.cells].map((cell) => cell.textContent));
  const data = [[body[0][1], body[0][2]], ...body.map((cells) => [cells[3], cells[4]])];
  const position = makeSlider("Position", 0, body.length - 1, 1, 0);
  const row = make("div", {});
  const read = make("div", { class: "read", "aria-live": "polite" });
  const back = make("button", { type: "button", text: "Back" });
  const next = make("button", { type: "button", text: "Next" });
  const say = () => {
    const at = Number(position.input.value);
    row.replaceChildren(
      ...data.map(([token, id], place) =>
        make("span", { class: `token${place <= at ? " seen" : ""}${place === at + 1 ? " next" : ""}` }, token, make("small", { text: id }), make("small", { text: `position ${place}` }))),
    );
    const words = `At position ${at} the model has seen “${data.slice(0, at + 1).map(([token]) => token).join("")}” and must predict “${data[at + 1][0]}”, token ${data[at + 1][1]}.`;
    read.textContent = words;
    position.said.textContent = at;
    position.input.setAttribute("aria-valuetext", words);
    back.disabled = !at;
    next.disabled = at === body.length - 1;
  };
  const go = (by) => { position.input.value = Number(position.input.value) + by; say(); };
  back.addEventListener("click", () => go(-1));
  next.addEventListener("click", () => go(1));
  position.input.addEventListener("input", say);
  say();
  addTools(block, row, make("div", { class: "tools" }, back, next, position.label), read);
}

function offerSchedule(figure) {
  const plot = readPlot(list(figure)[0]);
  const last = Math.floor(plot.x[1] / 1.005);
  const top = plot.y[1];
  const unit = 10 ** Math.floor(Math.log10(top)) / 10;
  const peak = makeSlider("Peak", 1, Math.floor(top / unit), 1, Math.round(top / 1.16 / unit));
  const warmup = makeSlider("Warmup steps", 0, Math.round(last / 2), Math.max(1, Math.round(last / 200)), Math.round(last / 20));
  const floor = makeSlider("Floor, % of the peak", 0, 100, 1, 10);
  const read = make("div", { class: "read", "aria-live": "polite" });
  const say = () => {
    const high = unit * Number(peak.input.value);
    const low = (high * Number(floor.input.value)) / 100;
    const steps = Math.max(1, Number(warmup.input.value));
    const find = (step) =>
      step <= steps ? (high * step) / steps : low + (high - low) * 0.5 * (1 + Math.cos((Math.PI * (step - steps)) / (last - steps)));
    for (const svg of list(figure)) {
      const own = readPlot(svg);
      all(svg, ".hand").forEach((line) => line.remove());
      const points = [...Array(201).keys()].map((place) => Math.max(1, (place / 200) * last)).concat(steps).sort((a, b) => a - b);
      const line = draw(svg, "path", { class: "hand", d: points.map((step, place) => `${place ? "L" : "M"}${own.fromX(step).toFixed(1)} ${own.fromY(find(step)).toFixed(1)}`).join("") });
      svg.querySelector('[data-role="pin"]')?.before(line);
    }
    peak.said.textContent = rate(high);
    warmup.said.textContent = count(steps);
    floor.said.textContent = rate(low);
    peak.input.setAttribute("aria-valuetext", rate(high));
    floor.input.setAttribute("aria-valuetext", `${floor.input.value} percent, ${rate(low)}`);
    read.textContent = `Yours, dashed: ${rate(find(1))} at step 1, ${rate(high)} at step ${count(steps)}, ${rate(find(Math.round(last / 2)))} at step ${count(last / 2)}, ${rate(find(last))} at step ${count(last)}. It is a formula; nobody trained with it.`;
  };
  for (const { input } of [peak, warmup, floor]) input.addEventListener("input", say);
  say();
  addTools(figure, make("div", { class: "tools" }, peak.label, warmup.label, floor.label), read);
}

function offerRates(figure) {
  const series = all(list(figure)[0], "[data-points]").map((one) => [one.dataset.arm || "val loss", JSON.parse(one.dataset.points)]);
  const rates = [...new Set(series.flatMap(([, points]) => points.map(([at]) => at)))].sort((a, b) => a - b);
  const low = Math.log10(rates[0]);
  const width = Math.log10(rates.at(-1)) - low;
  // Between two measured rates lie places at which nothing was measured.
  const slots = 4 * (rates.length - 1);
  const where = new Map(rates.map((at) => [Math.round(((Math.log10(at) - low) / width) * slots), at]));
  const slider = makeSlider("Peak rate", 0, slots, 1, [...where.keys()].at(-3) ?? 0);
  const read = make("div", { class: "read", "aria-live": "polite" });
  const say = () => {
    const place = Number(slider.input.value);
    const at = where.get(place) ?? 10 ** (low + (place / slots) * width);
    const svg = shown(figure);
    const plot = readPlot(svg);
    all(figure, ".hair").forEach((mark) => mark.remove());
    draw(svg, "path", { class: "hair", d: `M${plot.fromX(at)} ${plot.box[2]}V${plot.box[3]}` });
    let words;
    if (where.has(place)) {
      const parts = series.map(([name, points]) => [name, points.find(([own]) => own === at)]).filter(([, point]) => point);
      words = `${rate(at)}: ${parts.map(([name, point]) => `${name} ${point[1] === null ? "diverged" : point[1].toFixed(3)}`).join(", ")}`;
    } else {
      const below = rates.filter((own) => own < at).at(-1);
      words = `Nothing was measured between ${rate(below)} and ${rate(rates.find((own) => own > at))}`;
    }
    slider.said.textContent = where.has(place) ? rate(at) : "not measured";
    slider.input.setAttribute("aria-valuetext", words);
    read.textContent = `${words}.`;
  };
  slider.input.addEventListener("input", say);
  for (const svg of list(figure))
    svg.addEventListener("pointermove", (event) => {
      const at = Math.log10(readPlot(svg).toX(locate(svg, event)[0]));
      slider.input.value = Math.round(((at - low) / width) * slots);
      say();
    });
  addTools(figure, make("div", { class: "tools" }, slider.label), read);
  sayWhenShown(figure, say);
}

function offerGuess(form) {
  form.hidden = false;
  const said = form.querySelector("output");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const { text, value } = form.dataset;
    if (value === undefined) {
      const chosen = form.querySelector("input:checked")?.value;
      if (!chosen) return void (said.textContent = "Choose one first.");
      said.textContent = chosen === text ? `You said ${chosen}. That is the lowest.` : `You said ${chosen}. The lowest is ${text}.`;
    } else {
      const typed = form.querySelector("input").value.trim().replace(",", ".");
      const guess = Number(typed);
      if (!typed || !Number.isFinite(guess)) return void (said.textContent = "Type a number first.");
      const gap = Math.abs(guess - Number(value));
      const off = gap < 0.0005 ? "exactly right" : `${gap < 10 ? +gap.toFixed(2) : count(gap)} off`;
      said.textContent = `You said ${guess}. Measured: ${text}. You are ${off}.`;
    }
    form.closest(".ask").querySelector("details").open = true;
  });
}

// The reader draws on the axes of the answer's first figure; the line then stands among the runs.
function offerDrawing(place) {
  const details = place.closest(".ask").querySelector("details");
  const figure = details.querySelector("figure.block");
  if (!figure?.querySelector("[data-plot]")) return;
  place.hidden = false;
  const points = [];
  const pad = make("div", { class: "pad", tabindex: "0", role: "application", "aria-label": `${place.dataset.say} Arrow keys up and down move the pen, right draws.` });
  const clean = (svg) => {
    const copy = svg.cloneNode(true);
    all(copy, "[data-arm], title, desc, .hair, .dot").forEach((part) => part.remove());
    copy.removeAttribute("aria-labelledby");
    copy.setAttribute("aria-hidden", "true");
    copy.removeAttribute("role");
    return copy;
  };
  for (const drawing of all(figure, ".drawing")) pad.append(make("div", { class: drawing.className }, clean(drawing.querySelector("svg"))));
  const pen = [0, 0.9];
  const show = (root) => {
    for (const svg of all(root, ".drawing > svg")) {
      const { box } = readPlot(svg);
      const at = ([x, y]) => `${(box[0] + x * (box[1] - box[0])).toFixed(1)} ${(box[2] + y * (box[3] - box[2])).toFixed(1)}`;
      all(svg, ".hand").forEach((line) => line.remove());
      if (points.length) draw(svg, "path", { class: "hand", d: points.map((point, n) => `${n ? "L" : "M"}${at(point)}`).join("") });
      if (root === pad && document.activeElement === pad) {
        const [x, y] = at(pen).split(" ");
        all(svg, ".dot").forEach((dot) => dot.remove());
        draw(svg, "circle", { class: "dot", cx: x, cy: y, r: 5 });
      }
    }
  };
  const add = (x, y) => {
    while (points.length && points.at(-1)[0] >= x) points.pop();
    points.push([x, y]);
    show(pad);
  };
  let down = false;
  const follow = (event) => {
    const svg = all(pad, "svg").find((one) => one.getBoundingClientRect().height);
    const [x, y] = locate(svg, event);
    const { box } = readPlot(svg);
    const keep = (value) => Math.min(1, Math.max(0, value));
    add(keep((x - box[0]) / (box[1] - box[0])), keep((y - box[2]) / (box[3] - box[2])));
  };
  pad.addEventListener("pointerdown", (event) => { down = true; pad.setPointerCapture(event.pointerId); follow(event); });
  pad.addEventListener("pointermove", (event) => down && follow(event));
  pad.addEventListener("pointerup", () => { down = false; });
  pad.addEventListener("focus", () => show(pad));
  pad.addEventListener("keydown", (event) => {
    const move = { ArrowUp: 0.04, ArrowDown: -0.04 }[event.key];
    if (move) pen[1] = Math.min(1, Math.max(0, pen[1] + move));
    else if (event.key === "ArrowRight") {
      if (!points.length) add(...pen);
      pen[0] = Math.min(1, pen[0] + 0.04);
      add(...pen);
    } else return;
    event.preventDefault();
    show(pad);
  });
  const again = make("button", { type: "button", text: "Start again" });
  again.addEventListener("click", () => { points.length = 0; pen[0] = 0; show(pad); });
  const reveal = make("button", { type: "button", text: "Show the runs" });
  reveal.addEventListener("click", () => { details.open = true; show(figure); });
  details.addEventListener("toggle", () => details.open && show(figure));
  place.append(make("p", { class: "caption", text: place.dataset.say }), pad, make("div", { class: "tools" }, reveal, again));
}

const OFFERS = { curves: offerCurves, pins: offerPins, tokens: offerTokens, schedule: offerSchedule, rates: offerRates };
for (const block of all(document, "[data-tool]")) OFFERS[block.dataset.tool](block);
all(document, "form.guess").forEach(offerGuess);
all(document, ".draw").forEach(offerDrawing);
// A link to something inside an answer opens it.
const openTarget = () => {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  target?.closest?.("details")?.setAttribute("open", "");
};
addEventListener("hashchange", openTarget);
openTarget();
