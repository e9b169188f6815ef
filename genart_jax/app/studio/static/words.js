// Words of the page in the reader's language, and small helpers to build elements.

let words = {};

export async function speak(language, page = "") {
  words = await (await fetch(`/static/${page}${language}.json`)).json();
  document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
}

export const say = (key, values = {}) =>
  Object.entries(values).reduce((text, [name, value]) => text.replace(`{${name}}`, value), words[key] ?? key.replaceAll("_", " "));

// Words that models use: names of fields and classes; what is not in the list is said as it is.
export const name = (word) => words[`name.${word}`] ?? String(word).replaceAll("_", " ");

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== undefined && value !== null) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function relabel(root = document) {
  for (const one of root.querySelectorAll("[data-word]")) one.textContent = say(one.dataset.word);
  for (const one of root.querySelectorAll("[data-label]")) one.setAttribute("aria-label", say(one.dataset.label));
}
