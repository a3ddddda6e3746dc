// Lets a drawn figure answer: the point nearest to mouse or finger, and the arrow keys along a curve.
// No dependency; it touches nothing before it is called, so it can be imported where there is no window.
const REACH = 60;

const scales = {
  linear: { to: (value) => value, back: (value) => value },
  log: { to: Math.log10, back: (value) => 10 ** value },
  root: { to: (value) => Math.sqrt(Math.max(value, 0)), back: (value) => value ** 2 },
};

export function write(value) {
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en-US");
  if (Number.isInteger(value)) return String(value);
  return size < 0.01 ? Number(value.toPrecision(3)).toExponential() : String(Number(value.toPrecision(4)));
}

export function place(value, [low, high], [from, to], scale) {
  const { to: turn } = scales[scale];
  return from + ((turn(value) - turn(low)) / (turn(high) - turn(low))) * (to - from);
}

export function describe(figure, curve, point) {
  const { xLabel, yLabel } = figure.panels[curve.panel];
  const plain = (label) => label.replace(/ \(.*\)/, "");
  const parts = [`${plain(xLabel)} ${write(point[2] ?? point[0])}`];
  if (yLabel) parts.push(`${curve.what || plain(yLabel)} ${write(point[1])}`);
  const loss = [yLabel, xLabel].findIndex((label) => label.includes("nats per token"));
  if (loss >= 0) parts.push(`perplexity ${write(Math.exp(point[1 - loss]))}`);
  if (curve.run) parts.push(`run ${curve.run}`);
  return `${curve.name ? `${curve.name}: ` : ""}${parts.join(", ")}`;
}

function locate(figure, layout, curve, point) {
  const { box, x, y } = figure.layouts[layout].panels[curve.panel];
  const { xScale, yScale } = figure.panels[curve.panel];
  return [place(point[0], x, [box[0], box[1]], xScale), place(point[1], y, [box[2], box[3]], yScale)];
}

export function findNearest(figure, layout, across, down) {
  let best = null;
  figure.curves.forEach((curve, number) => {
    curve.points.forEach((point, index) => {
      const [x, y] = locate(figure, layout, curve, point);
      const away = Math.hypot(x - across, y - down);
      if (away <= REACH && (!best || away < best.away)) best = { curve: number, point: index, away };
    });
  });
  return best;
}

export function move(figure, at, key) {
  const last = figure.curves[at.curve].points.length - 1;
  const jump = { ArrowLeft: -1, ArrowRight: 1, PageUp: 10, PageDown: -10, Home: -Infinity, End: Infinity }[key];
  if (jump !== undefined) return { curve: at.curve, point: Math.min(Math.max(at.point + jump, 0), last) };
  const turn = { ArrowUp: -1, ArrowDown: 1 }[key];
  if (turn === undefined) return null;
  const count = figure.curves.length;
  const curve = (at.curve + turn + count) % count;
  const x = figure.curves[at.curve].points[at.point][0];
  const gaps = figure.curves[curve].points.map((point) => Math.abs(point[0] - x));
  return { curve, point: gaps.indexOf(Math.min(...gaps)) };
}

export function attachReadout(root, figure) {
  const plot = root.querySelector(".gx-plot");
  const said = root.querySelector(".gx-read");
  if (!plot || !said || !figure.curves.length) return () => {};
  const hint = said.textContent;
  let at = null;
  const findShown = () => {
    const svgs = [...plot.querySelectorAll(".gx-layout > svg")];
    const layout = Math.max(svgs.findIndex((svg) => svg.getClientRects().length), 0);
    return [svgs[layout], layout];
  };
  const show = () => {
    plot.querySelectorAll(".gx-ring").forEach((ring) => ring.remove());
    if (!at) return void (said.textContent = hint);
    const [svg, layout] = findShown();
    const curve = figure.curves[at.curve];
    const point = curve.points[at.point];
    const [cx, cy] = locate(figure, layout, curve, point);
    const ring = plot.ownerDocument.createElementNS("http://www.w3.org/2000/svg", "circle");
    for (const [name, value] of Object.entries({ class: "gx-ring", cx, cy, r: 6 })) ring.setAttribute(name, value);
    svg.append(ring);
    said.textContent = describe(figure, curve, point);
  };
  const point = (event) => {
    const [svg, layout] = findShown();
    const matrix = svg.getScreenCTM();
    if (!matrix) return;
    const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
    at = findNearest(figure, layout, x, y);
    show();
  };
  const press = (event) => {
    if (event.key === "Escape") at = null;
    else {
      const next = at ? move(figure, at, event.key) : move(figure, { curve: 0, point: 0 }, event.key);
      if (!next) return;
      at = next;
    }
    event.preventDefault();
    show();
  };
  const leave = (event) => {
    if (event.pointerType === "mouse") {
      at = null;
      show();
    }
  };
  const handlers = { pointermove: point, pointerdown: point, pointerleave: leave, keydown: press };
  for (const [kind, handler] of Object.entries(handlers)) plot.addEventListener(kind, handler);
  // The other layout has its points elsewhere.
  const watcher = typeof ResizeObserver === "undefined" ? null : new ResizeObserver(show);
  watcher?.observe(plot);
  return () => {
    watcher?.disconnect();
    for (const [kind, handler] of Object.entries(handlers)) plot.removeEventListener(kind, handler);
    at = null;
    show();
  };
}
