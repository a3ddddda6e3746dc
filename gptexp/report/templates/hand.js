// What the tools share: they stand over the figures' own SVG and read it. Without them the page reads whole.
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

