// What the page asks, for programs that ask it themselves: made of /openapi.json.

import { ask } from "./api.js";
import { element, relabel, say, speak } from "./words.js";

async function start() {
  await speak(localStorage.getItem("language") ?? (navigator.language.startsWith("zh") ? "zh" : "en"));
  document.documentElement.dataset.theme = localStorage.getItem("theme") ?? "auto";
  relabel();
  const { paths } = await ask("GET", "/openapi.json");
  const rows = Object.entries(paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, one]) =>
    element("tr", {}, element("th", { scope: "row" }, element("code", {}, `${method.toUpperCase()} ${path}`)), element("td", {}, one.description ?? one.summary))));
  document.getElementById("main").replaceChildren(element("h2", {}, say("requests")), element("p", {}, say("requests_help")), element("table", {}, element("tbody", {}, ...rows)));
}

start().catch((error) => { document.getElementById("status").textContent = error.status === 401 ? say("no_token") : error.message; });
