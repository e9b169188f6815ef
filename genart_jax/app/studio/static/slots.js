// Two pictures in hand, A and B: what fields of the kinds "picture" and "place" take.

import { ask } from "./api.js";
import { element, name, say } from "./words.js";

const slots = { A: null, B: null };
const watchers = new Set();
let bar = null;

export function startSlots(place) {
  bar = place;
  draw();
}

export const taken = (letter) => slots[letter];

export function put(letter, picture) {
  slots[letter] = picture;
  draw();
  for (const watcher of watchers) watcher();
  document.dispatchEvent(new Event("slots"));
}

export async function putFile(letter, file) {
  const source = await ask("POST", "/api/uploads", file);
  put(letter, { url: URL.createObjectURL(file), source, recipe: null, words: file.name.slice(0, 60) });
}

export function redrawSlots() {
  watchers.clear();
  draw();
}

function draw() {
  bar.replaceChildren(...Object.keys(slots).map((letter) => {
    const one = slots[letter];
    const input = element("input", { type: "file", accept: "image/*", onchange: () => input.files[0] && upload(letter, input.files[0]) });
    const words = `${letter}: ${one ? one.words : say("empty")}`;
    return element("div", { class: "slot" },
      one ? element("img", { src: one.url, alt: words }) : element("span", { class: "hole", "aria-hidden": "true" }, letter),
      element("span", { class: "words" }, words),
      element("label", { class: "file small" }, element("span", {}, say("upload", { letter })), input));
  }));
}

async function upload(letter, file) {
  try { await putFile(letter, file); } catch (error) { document.dispatchEvent(new CustomEvent("trouble", { detail: error })); }
}

// "b" and "style" take B, all others A.
export const letterOf = (field) => (["b", "style"].includes(field.name) ? "B" : "A");

export function slotField(field) {
  const letter = letterOf(field), shown = element("span", { class: "taken" });
  const show = () => {
    const one = slots[letter];
    shown.replaceChildren(one ? element("img", { src: one.url, alt: one.words }) : "", element("span", {}, one ? "" : say("put_first", { letter })));
  };
  watchers.add(show);
  show();
  const read = () => {
    const one = slots[letter];
    if (!one) throw new Error(say("put_first", { letter }));
    if (field.kind === "picture") return one.source;
    if (!one.recipe || one.recipe.model !== field.model || one.recipe.kind !== "create")
      throw new Error(say("not_drawn", { letter, model: field.model }));
    return one.recipe;
  };
  const row = element("div", { class: "row" }, element("span", { class: "label" }, `${name(field.name)} (${letter})`), shown);
  return { row, read, fill: () => {}, watch: (what) => watchers.add(what) };
}
