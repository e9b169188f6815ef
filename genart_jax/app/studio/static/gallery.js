// Pictures with what can be done to them: look closer, like, take in hand, download; and before and after.

import { ask, fileOf } from "./api.js";
import { put } from "./slots.js";
import { element, say } from "./words.js";

export const liked = new Map(); // a recipe's text -> { id, verdict }

const keyOf = (recipe) => JSON.stringify([recipe.kind, recipe.model, Object.entries(recipe.inputs).sort(), recipe.index]);

export async function loadLiked() {
  liked.clear();
  const all = await ask("GET", "/api/favourites");
  for (const one of all) liked.set(keyOf(one.recipe), { id: one.id, verdict: one.verdict });
  return all;
}

export function tilesOf(job) {
  const pictures = job.result.pictures ?? [];
  const tiles = pictures.map((picture, index) => {
    const recipe = picture.recipe ?? { kind: job.kind, model: job.model, inputs: job.inputs, index };
    const source = { job: job.id, file: picture.file };
    return tile({ url: fileOf(job.id, picture.file), source, recipe, words: picture.words, file: picture.file });
  });
  const parts = [element("div", { class: "tiles" }, ...tiles)];
  if (job.result.slider && pictures.length === 2) parts.unshift(slider(...pictures.map((one) => fileOf(job.id, one.file))));
  if (job.result.text) parts.unshift(element("p", { class: "said" }, job.result.text));
  return parts;
}

export function tile(picture, removed = null) {
  const name = `${picture.recipe.model}-${picture.recipe.inputs.seed ?? ""}-${picture.recipe.index}.${picture.url.endsWith("gif") ? "gif" : "png"}`;
  const verdict = (value, sign, words) => {
    const button = element("button", { type: "button", class: words, onclick: () => judge(picture, value, removed) }, sign);
    button.mark = () => {
      const on = liked.get(keyOf(picture.recipe))?.verdict === value;
      button.setAttribute("aria-pressed", String(on));
      button.setAttribute("aria-label", say(on ? `un${words}` : words, { words: picture.words }));
    };
    button.mark();
    return button;
  };
  const buttons = [verdict(1, "♥", "like"), verdict(-1, "✕", "dislike")];
  picture.mark = () => buttons.forEach((button) => button.mark());
  const hand = (letter) => element("button", {
    type: "button", "aria-label": say("take", { letter, words: picture.words }), onclick: () => put(letter, picture),
  }, letter);
  return element("figure", { class: "tile" },
    element("button", { type: "button", class: "look", "aria-label": say("enlarge", { words: picture.words }), onclick: () => enlarge(picture) },
      element("img", { src: picture.url, alt: picture.words, draggable: "false" })),
    element("figcaption", { title: picture.words }, picture.words),
    element("div", { class: "acts" }, ...buttons, hand("A"), hand("B"),
      element("a", { href: picture.url, download: name, "aria-label": say("download", { words: picture.words }) }, "↓")));
}

async function judge(picture, verdict, removed) {
  const key = keyOf(picture.recipe), before = liked.get(key);
  try {
    if (before && before.verdict === verdict) {
      await ask("DELETE", `/api/favourites/${before.id}`);
      liked.delete(key);
      if (removed) removed();
    } else if (picture.source.job) {
      const { id } = await ask("POST", "/api/favourites", { ...picture.source, verdict });
      liked.set(key, { id, verdict });
    }
    picture.mark();
  } catch (error) { document.dispatchEvent(new CustomEvent("trouble", { detail: error })); }
}

function enlarge(picture) {
  const dialog = document.getElementById("large");
  dialog.firstElementChild.replaceChildren(
    element("img", { src: picture.url, alt: picture.words }), element("p", {}, picture.words),
    element("pre", {}, JSON.stringify(picture.recipe, null, 1)),
    element("button", { type: "button", onclick: () => dialog.close(), autofocus: true }, say("close")));
  dialog.showModal();
}

function slider(after, before) {
  const top = element("img", { src: after, alt: say("after"), class: "top" });
  const cut = () => { top.style.clipPath = `inset(0 0 0 ${range.value}%)`; };
  const range = element("input", { type: "range", min: 0, max: 100, value: 50, "aria-label": say("slider"), oninput: cut });
  cut();
  return element("div", { class: "compare" }, element("div", {}, element("img", { src: before, alt: say("before") }), top), range,
    element("p", { class: "sides", "aria-hidden": "true" }, element("span", {}, say("before")), element("span", {}, say("after"))));
}
