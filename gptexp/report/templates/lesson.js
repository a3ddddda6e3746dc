// The reader's page: tokens, the schedule's formula, guesses, a line to draw.
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
  const peak = makeSlider("Peak", 1, Math.floor(top / unit / 5) * 5, 1, Math.round(top / 1.16 / unit));
  const warmup = makeSlider("Warmup steps", 0, Math.round(last / 2), Math.max(1, Math.round(last / 200)), Math.round(last / 20));
  const floor = makeSlider("Floor", 0, 100, 1, 10);
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
    floor.said.textContent = `${floor.input.value}% of the peak`;
    peak.input.setAttribute("aria-valuetext", rate(high));
    floor.input.setAttribute("aria-valuetext", `${floor.input.value} percent, ${rate(low)}`);
    const steps_told = [...new Set([1, steps, Math.round(last / 2), last])].sort((a, b) => a - b);
    read.textContent = `Yours, dashed: ${steps_told.map((step) => `${rate(find(step))} at step ${count(step)}`).join(", ")}. It is a formula; nobody trained with it.`;
  };
  for (const { input } of [peak, warmup, floor]) input.addEventListener("input", say);
  say();
  addTools(figure, make("div", { class: "tools" }, peak.label, warmup.label, floor.label), read);
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
      said.textContent = `You said ${guess}. ${form.dataset.counted ? "It is" : "Measured:"} ${text}. You are ${off}.`;
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
    // The legend stands beside the axes; it names what is not drawn here.
    const axes = copy.querySelector("[data-plot]");
    [...axes.parentElement.children].forEach((part) => part !== axes && part.remove());
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
      all(svg, ".dot.pen").forEach((dot) => dot.remove());
      if (points.length) draw(svg, "path", { class: "hand", d: points.map((point, n) => `${n ? "L" : "M"}${at(point)}`).join("") });
      if (root === pad && document.activeElement === pad) {
        const [x, y] = at(pen).split(" ");
        draw(svg, "circle", { class: "dot pen", cx: x, cy: y, r: 5 });
      }
    }
  };
  const add = (x, y) => {
    while (points.length && points.at(-1)[0] >= x) points.pop();
    [pen[0], pen[1]] = [x, y];
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
  for (const kind of ["focus", "blur"]) pad.addEventListener(kind, () => show(pad));
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
  reveal.addEventListener("click", () => {
    details.open = !details.open;
    if (!details.open) return;
    show(figure);
    figure.scrollIntoView({ block: "center" });
  });
  details.addEventListener("toggle", () => {
    reveal.textContent = details.open ? "Hide the runs" : "Show the runs";
    if (details.open) show(figure);
  });
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
