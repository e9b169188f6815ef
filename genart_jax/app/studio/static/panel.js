// A tab: the works of one group, each with its form; what was made of it, the newest first.

import { ask } from "./api.js";
import { Curves } from "./curves.js";
import { makeForm } from "./form.js";
import { tilesOf } from "./gallery.js";
import { element, name, say } from "./words.js";

const MOST = 40; // results that a tab shows; the server keeps more

export class Panel {
  constructor(group, forms, trouble) {
    [this.group, this.forms, this.trouble, this.current] = [group, forms, trouble, null];
    this.model = element("select", { "aria-label": say("model"), onchange: () => this.choose() });
    this.kind = element("select", { "aria-label": say("kind"), onchange: () => this.show() });
    this.place = element("div");
    this.go = element("button", { type: "submit", class: "go", form: `form-${group}` }, name(group === "create" ? "create" : "go"));
    this.stop = element("button", { type: "button", hidden: true, onclick: () => this.cancel() }, say(group === "train" ? "stop" : "cancel"));
    this.bar = element("progress", { max: 1, hidden: true, "aria-label": say("progress") });
    this.preview = element("div", { class: "preview" });
    this.results = element("div", { class: "results", "aria-live": "off", "data-empty": say("nothing_yet") });
    this.zoom = element("input", { type: "range", min: 127, max: 320, value: 127, "aria-label": say("size"),
      oninput: () => this.results.style.setProperty("--tile", `${this.zoom.value}px`) });
    this.root = element("section", { class: "panel", "aria-label": name(group) },
      element("div", { class: "side" },
        element("div", { class: "row" }, element("span", { class: "label" }, say("model")), this.model),
        element("div", { class: "row kinds" }, element("span", { class: "label" }, say("kind")), this.kind),
        this.place, element("div", { class: "row buttons" }, this.go, this.stop), this.bar),
      element("div", { class: "main" }, element("div", { class: "row zoom" }, element("span", { class: "label" }, say("size")), this.zoom), this.preview, this.results));
    this.update(forms);
  }

  // What is chosen stays, unless it is there no more.
  update(forms) {
    this.forms = forms;
    const before = this.model.value, models = [...new Set(forms.map((form) => form.model))];
    this.model.replaceChildren(...models.map((model) => element("option", { value: model }, model)));
    if (models.includes(before)) this.model.value = before;
    if (this.model.value !== before) this.choose();
  }

  choose(kind = "") {
    const kinds = this.forms.filter((form) => form.model === this.model.value).map((form) => form.kind);
    this.kind.replaceChildren(...kinds.map((one) => element("option", { value: one }, name(one))));
    if (kinds.includes(kind)) this.kind.value = kind;
    this.kind.parentElement.hidden = kinds.length < 2;
    this.show();
  }

  show() {
    const form = this.forms.find((one) => one.model === this.model.value && one.kind === this.kind.value);
    this.form = makeForm(form.fields, () => this.run());
    this.form.form.id = `form-${this.group}`;
    const steers = this.forms.some((one) => one.model === form.model && one.kind === "steer");
    const lacks = form.lacks?.length ? element("p", { class: "help lacks" },
      say(steers ? "lacks_steer" : "lacks", { names: form.lacks.map(name).join(", ") })) : "";
    this.place.replaceChildren(element("p", { class: "help" }, say(`help.${form.kind}`)), lacks, this.form.form);
  }

  fill(recipe) {
    this.model.value = recipe.model;
    this.choose(recipe.kind);
    this.form.fill(recipe.inputs);
  }

  async run() {
    if (this.current) return;
    try {
      this.busy({ id: "" });
      this.began = performance.now();
      const inputs = await this.form.read();
      this.busy(await ask("POST", "/api/jobs", { kind: this.kind.value, model: this.model.value, inputs }));
      await this.look();
    } catch (error) {
      this.busy(null);
      this.trouble(error);
    }
  }

  // A job may have ended before this page knew its number.
  async look() {
    const job = this.current && this.current.id ? await ask("GET", `/api/jobs/${this.current.id}`) : null;
    if (job && ["done", "failed", "cancelled"].includes(job.state)) this.ended(job);
  }

  cancel() {
    if (this.current && this.current.id) ask("DELETE", `/api/jobs/${this.current.id}`).catch(this.trouble);
  }

  busy(job) {
    this.current = job;
    this.go.setAttribute("aria-disabled", String(Boolean(job)));
    this.stop.hidden = this.bar.hidden = !job;
    this.bar.removeAttribute("value");
    this.picture = element("div");
    this.curves = new Curves();
    this.preview.replaceChildren(this.picture, this.curves.root);
  }

  async hear(message) {
    if (!this.current || message.job !== this.current.id) return;
    if (message.event === "progress") {
      if (message.share) this.bar.value = message.share;
      if (message.live) this.live(message);
      if (message.curve) this.curves.add(message.step, message.curve);
      if (message.text) this.trouble(null, message.text);
    } else if (message.event !== "running") await this.look();
  }

  // What there is of a picture while it is made.
  live(message) {
    const source = `/api/jobs/${message.job}/files/live.png?step=${message.live}`;
    this.picture.replaceChildren(element("img", { src: source, alt: say("so_far") }));
  }

  ended(job) {
    if (!this.current || this.current.id !== job.id) return;
    this.busy(null);
    if (job.state === "done") {
      const seconds = ((performance.now() - this.began) / 1000).toFixed(2);
      this.add(job);
      this.root.dataset.seconds = seconds;
      this.trouble(null, say("made", { count: job.result.pictures?.length ?? 0, seconds }));
    } else this.trouble(null, job.state === "cancelled" ? say("cancelled") : job.note);
  }

  add(job) {
    while (this.results.children.length >= MOST) this.results.lastElementChild.remove();
    const curves = new Curves();
    for (const [step, values] of job.result.curves ?? []) curves.add(step, values);
    this.results.prepend(element("article", { "data-job": job.id },
      element("h2", {}, `${name(job.kind)} · ${job.model}${"seed" in job.inputs ? ` · ${name("seed")} ${job.inputs.seed}` : ""} `,
        element("button", { type: "button", class: "recall", onclick: () => this.fill(job) }, say("recall"))),
      ...(job.result.curves ? [curves.root] : []), ...tilesOf(job)));
  }
}
