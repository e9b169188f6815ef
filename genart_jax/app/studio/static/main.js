// The page: tabs made of the groups of works that the models do.

import { ask, enter, listen } from "./api.js";
import { loadLiked, tile } from "./gallery.js";
import { Panel } from "./panel.js";
import { putFile, redrawSlots, startSlots } from "./slots.js";
import { element, name, relabel, say, speak } from "./words.js";

const ORDER = ["create", "edit", "stylize", "restore", "look", "train"];
const by = (id) => document.getElementById(id);
const panels = new Map();
let about = { models: [] }, open = "create", formsText = "";

const status = (text) => { by("status").textContent = text; by("status").classList.remove("bad"); };

function trouble(error, text = "") {
  status(error ? (error.status === 401 ? say("no_token") : error.message) : text);
  by("status").classList.toggle("bad", Boolean(error));
}

async function start() {
  const chosen = (key, otherwise) => localStorage.getItem(key) ?? otherwise;
  by("language").value = chosen("language", navigator.language.startsWith("zh") ? "zh" : "en");
  by("theme").value = chosen("theme", "auto");
  look();
  await speak(by("language").value);
  relabel();
  startSlots(by("slots"));
  try {
    await enter();
    await loadLiked();
    await refresh(true);
  } catch (error) { trouble(error); return; }
  listen(hear, () => caughtUp().catch(trouble));
}

async function caughtUp() {
  await refresh();
  for (const panel of panels.values()) await panel.look();
  if (about.ready) first();
}

function look() { document.documentElement.dataset.theme = by("theme").value; }

// One after the other, however many models tell of themselves at once: what waits is asked together.
let asking = Promise.resolve(), waits = false;

function refresh(again = false) {
  if (waits && !again) return asking;
  waits = !again;
  asking = asking.catch(() => {}).then(() => { waits = false; return anew(again); });
  return asking;
}

async function anew(again) {
  about = await ask("GET", "/api/about");
  const text = JSON.stringify(about.models.map((model) => [model.name, model.forms.length]));
  if (again || text !== formsText) await build(again);
  formsText = text;
  if (!about.ready) status(about.trouble || say("starting"));
  const bad = about.models.find((model) => model.trouble);
  if (bad) trouble(new Error(`${bad.name}: ${bad.trouble}`));
}

// Models that come later join; what was chosen stays. `again`: all of it anew, in another language.
async function build(again = false) {
  const forms = about.models.flatMap((model) => model.forms);
  const groups = [...new Set(forms.map((form) => form.group))].sort((a, b) => ORDER.indexOf(a) - ORDER.indexOf(b));
  const jobs = (await ask("GET", "/api/jobs")).reverse().filter((job) => job.state === "done");
  if (again) {
    redrawSlots();
    panels.clear();
  }
  for (const group of groups) {
    const own = forms.filter((form) => form.group === group);
    if (panels.has(group)) panels.get(group).update(own);
    else {
      panels.set(group, new Panel(group, own, trouble));
      for (const job of jobs) if (own.some((form) => form.kind === job.kind)) panels.get(group).add(job);
    }
  }
  by("tabs").replaceChildren(...[...groups, "favourites"].map((group) =>
    element("button", { type: "button", "data-tab": group, onclick: () => { status(""); turn(group).catch(trouble); } }, name(group))));
  // Before the first model is there, its tab is waited for, as is one whose model comes later.
  const there = groups.includes(open) || open === "favourites" || !groups.length ? open : groups[0];
  if (again || there !== open || (panels.has(open) && !by("main").contains(panels.get(open).root))) await turn(there);
  else mark();
}

function mark() {
  for (const tab of by("tabs").children) tab.setAttribute("aria-current", tab.dataset.tab === open ? "page" : "false");
}

async function turn(group) {
  open = group;
  mark();
  if (panels.has(group)) by("main").replaceChildren(panels.get(group).root);
  else if (group === "favourites") await favourites();
  else by("main").replaceChildren(element("p", { class: "waits" }, say(about.trouble ? "no_model" : "starting")));
  document.dispatchEvent(new Event("slots"));
}

async function favourites() {
  const both = await loadLiked(), all = both.filter((one) => one.verdict > 0);
  const reset = async () => { await ask("DELETE", "/api/favourites"); await favourites(); };
  const shown = all.map((one) => {
    const words = Object.entries(one.recipe.inputs).filter(([, value]) => typeof value !== "object").map(([key, value]) => `${name(key)} ${value}`).join(", ");
    return tile({ url: `/api/favourites/${one.id}`, source: { favourite: one.id }, recipe: one.recipe, words }, () => favourites());
  });
  by("main").replaceChildren(element("section", { class: "results", "aria-label": name("favourites") },
    element("h2", {}, name("favourites")),
    element("p", {}, say("taste_is", { liked: all.length, others: both.length - all.length }), " ",
      element("button", { type: "button", class: "recall", onclick: reset }, say("reset"))),
    shown.length ? element("div", { class: "tiles" }, ...shown) : element("p", {}, say("no_favourites"))));
}

async function hear(message) {
  if (message.event === "model") await refresh().catch(trouble);
  else if (message.event === "ready") { status(""); await caughtUp().catch(trouble); }
  else if (message.event === "trouble") trouble(new Error(message.text));
  else for (const panel of panels.values()) await panel.hear(message).catch(trouble);
}

// The first picture comes without a click.
function first() {
  const panel = panels.get("create");
  if (panel && !panel.results.children.length && !panel.current) panel.run();
}

// A file that is dropped or opened: a recipe fills the form; any other picture goes into hand A.
async function take(file) {
  try {
    const recipe = await ask("POST", "/api/recipes", file);
    const group = about.models.flatMap((model) => model.forms).find((form) => form.kind === recipe.kind && form.model === recipe.model).group;
    await turn(group);
    panels.get(group).fill(recipe);
    status(say("recipe_read", { name: file.name }));
  } catch (error) {
    if (error.status !== 422 || !file.type.startsWith("image/")) { trouble(error); return; }
    try { await putFile("A", file); status(say("uploaded", { name: file.name })); } catch (worse) { trouble(worse); }
  }
}

by("open").addEventListener("change", (event) => { if (event.target.files[0]) take(event.target.files[0]); event.target.value = ""; });
by("theme").addEventListener("change", () => { localStorage.setItem("theme", by("theme").value); look(); });
by("language").addEventListener("change", async () => {
  localStorage.setItem("language", by("language").value);
  await speak(by("language").value);
  relabel();
  await build(true);
});
document.addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("drop"); });
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("drop"); });
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("drop");
  if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
});
document.addEventListener("models", () => refresh().catch(trouble));
document.addEventListener("trouble", (event) => trouble(event.detail));

start();
