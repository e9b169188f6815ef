// Questions, one after the other. Keys: 1 left or real, 2 right or made, 0 neither.

import { ask, enter } from "./api.js";
import { element, relabel, say, speak } from "./words.js";

const main = document.getElementById("main"), status = document.getElementById("status");
const KEYS = { pairs: { 1: "left", 2: "right", 0: "neither" }, real: { 1: "real", 2: "made" }, scales: {} };
let judge = sessionStorage.getItem("judge") ?? "", now = null, shown = 0, busy = false;

const trouble = (error) => {
  status.textContent = error.status === 401 ? say("no_token") : error.message;
  status.classList.add("bad");
};

async function start() {
  const language = document.getElementById("language");
  language.value = localStorage.getItem("language") ?? (navigator.language.startsWith("zh") ? "zh" : "en");
  language.addEventListener("change", async () => { localStorage.setItem("language", language.value); await words(); now ? show(now) : who(); });
  const words = async () => { await speak(language.value, "judge-"); relabel(); };
  await words();
  try {
    await enter();
    judge = (await ask("GET", "/api/who")).judge || judge;
    if (judge) show(await ask("POST", "/api/next", { judge }));
    else who();
  } catch (error) { trouble(error); }
}

function who() {
  const input = element("input", { id: "judge", maxlength: 40, autocomplete: "off" });
  main.replaceChildren(element("form", { class: "who", onsubmit: async (event) => {
    event.preventDefault();
    try {
      const first = await ask("POST", "/api/next", { judge: input.value.trim() });
      judge = input.value.trim();
      sessionStorage.setItem("judge", judge);
      show(first);
    } catch (error) { trouble(error); }
  } }, element("label", { for: "judge" }, say("your_name")), input, element("button", { class: "go" }, say("begin"))));
}

function show(question) {
  now = question;
  status.classList.remove("bad");
  status.textContent = question.sides.length ? say("question", { number: question.number + 1, total: question.total }) : "";
  if (!question.sides.length) { main.replaceChildren(element("p", {}, say("thanks"))); return; }
  const source = (side) => `/api/pictures/${encodeURIComponent(judge)}/${question.number}/${side}`;
  const picture = (side, i) => element("img", { src: source(side), alt: say("picture_number", { number: i + 1 }) });
  const pairs = question.ask === "pairs";
  const pictures = question.sides.map((side, i) => pairs
    ? element("button", { type: "button", "data-choice": side, "aria-label": say("prefer", { number: i + 1 }), onclick: () => vote({ choice: side }) }, picture(side, i))
    : element("figure", {}, picture(side, i)));
  main.replaceChildren(element("h2", {}, say(`ask_${question.ask}`)), element("div", { class: "pictures" }, ...pictures),
    question.ask === "scales" ? scales(question) : element("div", { class: "answers" }, ...Object.entries(KEYS[question.ask])
      .map(([key, choice]) => element("button", { type: "button", "data-choice": choice, onclick: () => vote({ choice }) }, `${key}: ${say(choice)}`))));
  main.focus();
  shown = performance.now();
}

function scales(question) {
  const comment = element("textarea", { maxlength: 500, rows: 2, "aria-label": say("comment") });
  const sets = question.scales.map((scale) => element("fieldset", {}, element("legend", {}, say(scale)),
    ...[1, 2, 3, 4, 5].map((value) => element("label", {}, element("input", { type: "radio", name: scale, value }), String(value)))));
  return element("form", { onsubmit: (event) => {
    event.preventDefault();
    const chosen = Object.fromEntries(question.scales.map((scale) => [scale, Number(event.target.elements[scale].value)]));
    if (Object.values(chosen).every(Boolean)) vote({ scales: chosen, comment: comment.value });
    else trouble(new Error(say("choose_all")));
  } }, ...sets, element("label", {}, say("comment"), comment), element("div", { class: "answers" }, element("button", { class: "go" }, say("next"))));
}

async function vote(answer) {
  if (busy) return;
  busy = true;
  try {
    show(await ask("POST", "/api/vote", { judge, number: now.number, seconds: (performance.now() - shown) / 1000, ...answer }));
  } catch (error) { trouble(error); }
  busy = false;
}

document.addEventListener("keydown", (event) => {
  if (!now || !now.sides.length || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select")) return;
  const choice = KEYS[now.ask][event.key];
  if (choice) vote({ choice });
});

start();
