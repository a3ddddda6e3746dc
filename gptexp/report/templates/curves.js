// Figures with curves: a readout at a step, arms on and off, smoothing, pins, measured rates.
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
  const drawn = readPlot(list(figure)[0]);
  const places = all(list(figure)[0], '[data-role="train"], [data-role="val"]').flatMap(readPoints).map(([x]) => x);
  const last = Math.round(drawn.toX(Math.max(...places)));
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
  smooth.addEventListener("change", () => { apply(); say(); });
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
    // The curves are drawn from their first step on, and their ends are rounded.
    const edges = all(svg, '[data-role="train"]').flatMap(readPoints).map(([x]) => x);
    const across = edges.length ? Math.min(Math.max(...edges), Math.max(Math.min(...edges), plot.fromX(at))) : plot.fromX(at);
    all(figure, ".hair, .dot").forEach((mark) => mark.remove());
    draw(svg, "path", { class: "hair", d: `M${across} ${plot.box[2]}V${plot.box[3]}` });
    const rows = make("ul");
    const words = [];
    for (const [arm, { run, roles }] of listArms(svg)) {
      if (off.has(arm)) continue;
      const parts = [];
      const line = (smooth.value === "raw" && roles.raw) || roles.train;
      const height = line && findHeight(readPoints(line[0]), across);
      if (height != null) {
        const loss = plot.toY(height);
        parts.push(`train loss ${loss.toFixed(2)}, perplexity ${write(Math.exp(loss))}`);
        draw(svg, "circle", { class: "dot", cx: across, cy: height, r: 4.5 });
      }
      const marks = (roles.val ?? []).flatMap(readPoints);
      if (marks.length) {
        // What was measured by then; before the first evaluation the first.
        const [x, y] = marks.filter(([at]) => at <= across + 0.5).at(-1) ?? marks[0];
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
