// Painting what is missing over picture A: with a finger, a mouse, or the arrow keys and the space bar.

import { ask } from "./api.js";
import { element, name, say } from "./words.js";
import { taken } from "./slots.js";

export function maskField(field) {
  const canvas = element("canvas", { class: "mask", tabindex: 0, role: "img", "aria-label": say("mask_help"), width: 320, height: 320 });
  const size = element("input", { type: "range", min: 1, max: 40, value: 12, "aria-label": say("brush") });
  const clear = element("button", { type: "button", onclick: () => load() }, say("clear"));
  const painted = document.createElement("canvas");
  const picture = new Image();
  const at = { x: 0.5, y: 0.5 };
  let down = false, known = "", touched = false;

  const show = () => {
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, canvas.width, canvas.height);
    if (picture.complete && picture.naturalWidth) pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
    pen.globalAlpha = 0.65;
    pen.drawImage(painted, 0, 0, canvas.width, canvas.height);
    pen.globalAlpha = 1;
    pen.strokeStyle = "#3b4cca";
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(at.x * canvas.width, at.y * canvas.height, radius() * canvas.width, 0, 7);
    pen.stroke();
  };
  const radius = () => Number(size.value) / 200;
  const dab = () => {
    touched = true;
    const pen = painted.getContext("2d");
    pen.fillStyle = "#e0358b"; // seen on any picture; what is sent is white
    pen.beginPath();
    pen.arc(at.x * painted.width, at.y * painted.height, Math.max(0.5, radius() * painted.width), 0, 7);
    pen.fill();
    show();
  };
  const load = () => {
    const one = taken("A");
    known = one ? one.url : "";
    touched = false;
    picture.onload = () => {
      [painted.width, painted.height] = [picture.naturalWidth, picture.naturalHeight];
      canvas.height = Math.round((canvas.width * painted.height) / painted.width);
      show();
    };
    if (one) picture.src = one.url;
  };
  const move = (event) => {
    const box = canvas.getBoundingClientRect();
    at.x = (event.clientX - box.left) / box.width;
    at.y = (event.clientY - box.top) / box.height;
    down ? dab() : show();
  };
  canvas.addEventListener("pointerdown", (event) => { down = true; canvas.setPointerCapture(event.pointerId); move(event); });
  canvas.addEventListener("pointermove", move);
  canvas.addEventListener("pointerup", () => { down = false; });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (step) {
      at.x = Math.min(1, Math.max(0, at.x + step[0] * 0.03));
      at.y = Math.min(1, Math.max(0, at.y + step[1] * 0.03));
      event.shiftKey ? dab() : show();
    } else if (event.key === " ") dab();
    else return;
    event.preventDefault();
  });
  load();
  const read = async () => {
    if (field.optional && !touched) return undefined;
    if (!known) throw new Error(say("put_first", { letter: "A" }));
    const whole = document.createElement("canvas");
    [whole.width, whole.height] = [painted.width, painted.height];
    const pen = whole.getContext("2d");
    pen.drawImage(painted, 0, 0);
    pen.globalCompositeOperation = "source-in";
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, whole.width, whole.height);
    pen.globalCompositeOperation = "destination-over";
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, whole.width, whole.height);
    return ask("POST", "/api/uploads", await new Promise((done) => whole.toBlob(done, "image/png")));
  };
  document.addEventListener("slots", () => { if ((taken("A")?.url ?? "") !== known) load(); });
  return { row: element("div", { class: "row" }, element("span", { class: "label" }, name(field.name)), canvas, size, clear), read, fill: () => {} };
}
