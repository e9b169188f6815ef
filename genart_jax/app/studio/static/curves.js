// Curves of a training as it goes on: each figure in its own scale, with its newest value.

import { element, name } from "./words.js";

const WIDTH = 320, HEIGHT = 48;

export class Curves {
  constructor() {
    this.rows = new Map();
    this.root = element("div", { class: "curves" });
  }

  add(step, values) {
    for (const [key, value] of Object.entries(values)) {
      if (!this.rows.has(key)) {
        const canvas = element("canvas", { width: WIDTH, height: HEIGHT, role: "img" });
        const text = element("span", {});
        this.rows.set(key, { points: [], canvas, text });
        this.root.append(element("div", {}, text, canvas));
      }
      const row = this.rows.get(key);
      row.points.push([step, value]);
      row.text.textContent = `${name(key)} ${value.toPrecision(3)}`;
      row.canvas.setAttribute("aria-label", row.text.textContent);
      draw(row);
    }
  }
}

function draw({ points, canvas }) {
  const pen = canvas.getContext("2d"), values = points.map((point) => point[1]).filter(Number.isFinite);
  const low = Math.min(...values), high = Math.max(...values), first = points[0][0], length = points[points.length - 1][0] - first || 1;
  pen.clearRect(0, 0, WIDTH, HEIGHT);
  pen.strokeStyle = getComputedStyle(canvas).color;
  pen.lineWidth = 2;
  pen.beginPath();
  for (const [step, value] of points)
    pen.lineTo(((step - first) / length) * WIDTH, HEIGHT - 3 - ((value - low) / (high - low || 1)) * (HEIGHT - 6));
  pen.stroke();
}
