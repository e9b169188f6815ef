// A form made of fields as the server tells them: what a model's uses take.

import { ask } from "./api.js";
import { element, name, say } from "./words.js";
import { maskField } from "./mask.js";
import { slotField } from "./slots.js";
import { zipped } from "./zip.js";

const PICTURE = /\.(png|jpe?g|webp|gif|bmp|tiff?)$/i;
let number = 0;

export function makeForm(fields, submit) {
  const controls = new Map();
  const form = element("form", { class: "form", novalidate: true, onsubmit: (event) => { event.preventDefault(); submit(); } });
  for (const field of fields) {
    const control = (MAKERS[field.kind] ?? text)(field);
    controls.set(field.name, control);
    form.append(control.row);
  }
  return {
    form,
    read: async () => {
      const out = {};
      for (const [key, control] of controls) {
        const value = await control.read();
        if (value !== undefined) out[key] = value;
      }
      return out;
    },
    fill: (values) => { for (const [key, control] of controls) if (key in values) control.fill(values[key]); },
    control: (key) => controls.get(key),
  };
}

function labelled(field, input, ...more) {
  const id = `field-${++number}`;
  input.id = id;
  input.name = field.name;
  return element("div", { class: "row" }, element("label", { for: id }, name(field.name)), input, ...more);
}

function select(field, options) {
  const input = element("select", {}, ...options.map(([value, text]) => element("option", { value }, text)));
  if (field.default) input.value = field.default;
  return { row: labelled(field, input), read: () => input.value, fill: (value) => { input.value = value; } };
}

const classes = (field) => select(field, [
  ["any", say("any")], ...field.choices.map((word) => [word, name(word)]), ...(field.hidden ? [["none", say("none")]] : []),
]);

const choice = (field) => select(field, field.choices.map((word) => [word, name(word)]));

function flag(field) {
  const input = element("input", { type: "checkbox" });
  input.checked = Boolean(field.default);
  return { row: labelled(field, input), read: () => input.checked, fill: (value) => { input.checked = value; } };
}

function slider(field) {
  const step = field.high - field.low > 2 ? 0.1 : 0.05;
  const input = element("input", { type: "range", min: field.low, max: field.high, step, value: field.default });
  const shown = element("output", {}, String(field.default));
  const show = () => { shown.textContent = String(Number(Number(input.value).toFixed(2))); };
  input.addEventListener("input", show);
  return { row: labelled(field, input, shown), read: () => Number(input.value), fill: (value) => { input.value = value; show(); } };
}

function whole(field) {
  const input = element("input", { type: "number", inputmode: "numeric", min: field.low, max: field.high, step: 1, value: field.default });
  const read = () => {
    const value = Number(input.value);
    if (!Number.isInteger(value) || value < field.low || value > field.high || input.value === "")
      throw new Error(say("wanted_number", { name: name(field.name), low: field.low, high: field.high }));
    return value;
  };
  return { row: labelled(field, input), read, fill: (value) => { input.value = value; } };
}

// A seed is kept, or drawn anew for each run.
function seed(field) {
  const plain = whole(field);
  const keep = element("input", { type: "checkbox", id: `keep-${++number}` });
  let fresh = true;
  plain.row.append(element("span", { class: "keep" }, keep, element("label", { for: keep.id }, say("keep"))));
  const read = () => {
    if (!keep.checked && !fresh) plain.fill(Math.floor(Math.random() * 2 ** 31));
    fresh = false;
    return plain.read();
  };
  plain.row.querySelector("input").addEventListener("input", () => { fresh = true; });
  return { row: plain.row, read, fill: (value) => { plain.fill(value); fresh = true; } };
}

// A zip, or a folder, whose pictures are zipped here.
function archive(field) {
  const zip = element("input", { type: "file", accept: ".zip,application/zip", name: field.name });
  const folder = element("input", { type: "file", webkitdirectory: true, name: `${field.name}-folder` });
  const chosen = element("span", { class: "taken" }, say("none_chosen"));
  let files = null, sent = null;
  for (const input of [zip, folder]) input.addEventListener("change", () => {
    [files, sent] = [[...input.files], null];
    if (input === folder) files = files.filter((file) => PICTURE.test(file.name));
    chosen.textContent = input === zip ? files[0]?.name ?? say("none_chosen") : say("chosen", { count: files.length });
  });
  const read = async () => {
    if (!files?.length) throw new Error(say("zip_first"));
    // The folder's own name is left away: those in it become classes.
    const whole = files[0].webkitRelativePath ? await zipped(files.map((file) => [file.webkitRelativePath.split("/").slice(1).join("/"), file])) : files[0];
    sent ??= await ask("POST", "/api/archives", whole);
    return sent;
  };
  const button = (words, input) => element("label", { class: "file" }, element("span", {}, say(words)), input);
  const row = element("div", { class: "row" }, element("span", { class: "label" }, name(field.name)),
    element("div", { class: "files" }, button("choose_zip", zip), button("choose_folder", folder), chosen));
  return { row, read, fill: () => {} };
}

const text = (field) => ({ row: element("p", {}, say("unknown_field", { name: field.name })), read: () => undefined, fill: () => {} });

const MAKERS = {
  class: classes, choice, flag, number: slider, integer: (field) => (field.name === "seed" ? seed(field) : whole(field)),
  archive, liked: () => ({ row: "", read: () => undefined, fill: () => {} }),
  picture: slotField, place: slotField, mask: maskField,
};
