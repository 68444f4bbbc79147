// The page: photographs go to the service case by case, the answers to the list and to the case that is looked at.
// Nothing is kept but in this page, and nothing is sent but to this service.

import { decisionMark, summary } from "./answer.js";
import { cardLines } from "./card.js";
import { Cases, Photo, URGENCY } from "./cases.js";
import { asCsv, asJson, patientRows, photoRows, save } from "./export.js";
import { listenToDrops } from "./files.js";
import { gradeCase, isGuessed } from "./grading.js";
import { dateReport, modelLine, renderReport } from "./report.js";
import { Service } from "./service.js";
import { renderCase } from "./show.js";
import { LANGUAGES } from "./texts.js";
import { Viewer } from "./viewer.js";
import { data, h, languageNow, said, setLanguage, startLanguage, t } from "./words.js";

const VIEWS_KEPT = 12; // pictures in memory

const $ = (id) => document.getElementById(id);

class Page {
  cases = new Cases();
  viewer = new Viewer();
  model = {}; // its card
  looked = new Map(); // which photograph of an eye is looked at
  selected = null;
  already = 0; // files that were added a second time
  busySeconds = 0;
  refusal = null; // why the service does not answer
  #items = new Map();
  #viewed = [];
  #adding = null;
  #timer = null;

  constructor() {
    this.service = new Service({ whenBusy: (seconds) => this.#busy(seconds), askToken });
    this.#listen();
    this.setLanguage();
    this.#loadModel();
  }

  async add(entries, known = null) {
    const fresh = [];
    const touched = new Set();
    this.already = 0;
    for (const entry of entries) {
      const photo = await this.cases.find(entry.file);
      if (!photo) fresh.push(entry);
      else if (known && ["", known.patient].includes(photo.patient)) {
        for (const each of this.cases.move(photo, known)) touched.add(each);
      } else this.already += 1;
    }
    const photos = fresh.map(({ file, path }) => new Photo(file, this.cases.freeName(path), known));
    this.#progress();
    for (const each of this.cases.add(photos)) touched.add(each);
    if (touched.size) this.#moved([...touched]);
  }

  addTo(each, eye) {
    this.#adding = { patient: each.patient, patientFrom: "entered", eye, eyeFrom: "entered" };
    $("photo-input").click();
  }

  async ask(each) {
    const asked = (each.asked = (each.asked ?? 0) + 1);
    const isStale = () => each.asked !== asked || !this.cases.all.includes(each);
    each.state = "waiting";
    this.changed(each);
    try {
      const { rows, ...answer } = await gradeCase(this.service, [...each.photos], each.patient, () => {
        if (isStale()) return;
        each.state = "grading";
        this.changed(each);
      });
      if (isStale()) return;
      for (const [photo, row] of rows) photo.row = row;
      Object.assign(each, answer, { state: "done" });
      this.#learn(each);
    } catch (refusal) {
      if (isStale()) return;
      if (refusal.status === undefined) throw refusal;
      if (refusal.status) return this.#forgetGuesses(each);
      each.state = "waiting";
      this.#alert(refusal);
    }
    this.changed(each);
  }

  /** The service may read names by a pattern of its own; what this page guessed then gives way. */
  #forgetGuesses(each) {
    for (const photo of each.photos.filter(isGuessed)) {
      const patient = photo.patientFrom === "name" && { patient: "", patientFrom: "" };
      const eye = photo.said.eyeFrom === "name" && { eye: "", eyeFrom: "" };
      this.#moved(this.cases.move(photo, { ...patient, ...eye }));
    }
  }

  /** Headers may tell what names do not. */
  #learn(each) {
    for (const photo of [...each.photos]) {
      const { group, group_from: groupFrom, eye, eye_from: eyeFrom } = photo.row;
      if (eye !== undefined) Object.assign(photo, { eye: eye ?? "", eyeFrom: eyeFrom ?? "" });
      if (!group || photo.patient) continue;
      const others = this.cases.all.some((other) => other !== each && other.patient === group);
      if (!others && each.photos.length === 1) {
        Object.assign(photo, { patient: group, patientFrom: groupFrom });
        each.patient = group;
      } else this.#moved(this.cases.move(photo, { patient: group, patientFrom: groupFrom }));
    }
  }

  async see(photo) {
    try {
      photo.seen ??= this.service.view(photo, () => !this.selected.photos.includes(photo));
      photo.view = await photo.seen;
    } catch (refusal) {
      photo.seen = null;
      if (!refusal.status) this.#alert(refusal);
      throw refusal;
    }
    this.#viewed = [...this.#viewed.filter((each) => each !== photo), photo];
    const left = this.#viewed.filter((each) => !this.selected.photos.includes(each));
    for (const each of left.slice(0, Math.max(0, this.#viewed.length - VIEWS_KEPT))) {
      Object.assign(each, { view: null, seen: null });
      this.#viewed.splice(this.#viewed.indexOf(each), 1);
    }
  }

  select(each) {
    const before = this.selected;
    this.selected = each;
    this.viewer.fit();
    for (const one of [before, each]) if (one) this.#drawItem(one);
    this.show();
  }

  look(each, eye, photo) {
    this.looked.set(`${each.id} ${eye}`, photo);
    this.show();
  }

  read(photo, grade) {
    photo.reader = grade;
    this.#drawItem(this.selected);
    this.report();
  }

  move(photo, eye) {
    this.#moved(this.cases.move(photo, { eye, eyeFrom: "entered" }));
  }

  rename(each, patient) {
    const touched = new Set();
    for (const photo of [...each.photos]) {
      for (const one of this.cases.move(photo, { patient, patientFrom: "entered" })) touched.add(one);
    }
    this.#moved([...touched]);
  }

  #moved(some) {
    const touched = some.filter((each) => this.cases.all.includes(each));
    if (!this.cases.all.includes(this.selected)) this.selected = touched[0];
    this.#redrawList();
    this.show();
    for (const each of touched) this.ask(each);
  }

  /** Print, once the photographs are there. */
  print = async () => {
    const each = this.selected;
    const printed = each.shownEyes.map((eye) => each.photosOf(eye)[0]).filter(Boolean);
    await Promise.allSettled(printed.map((photo) => this.see(photo)));
    this.report();
    window.print();
  };

  changed(each) {
    this.#drawItem(each);
    this.#progress();
    this.#sort();
    if (each === this.selected) this.show();
  }

  show() {
    renderCase($("case"), this.selected, this);
    this.report();
  }

  report() {
    renderReport($("report"), this.selected, this.model, this.viewer);
  }

  get #list() {
    return $("order").value ? this.cases.all.toSorted((a, b) => a.rank - b.rank) : this.cases.all;
  }

  /** Put the most urgent first: when somebody asks for it, and once all is answered and nobody is in the list. */
  #sort(isAsked = false) {
    const { all } = this.cases;
    const isBusy = all.some((each) => each.state !== "done") || $("cases").matches(":hover, :focus-within");
    if (!isAsked && (!$("order").value || isBusy || all.every((each) => each.rank === each.urgency))) return;
    for (const each of all) each.rank = each.urgency;
    this.#redrawList();
  }

  #redrawList() {
    this.#items.clear();
    $("cases").replaceChildren(...this.#list.map((each) => this.#item(each)));
    for (const each of this.cases.all) this.#drawItem(each);
    $("patients").hidden = !this.cases.all.length;
    document.body.classList.toggle("has-photos", this.cases.all.length > 0);
    this.#progress();
  }

  #item(each) {
    const button = h("button.case", { onclick: () => {
      this.select(each);
      // On a narrow screen the case stands below the list.
      if ($("case").getBoundingClientRect().left < button.offsetWidth) $("case").scrollIntoView();
    } });
    this.#items.set(each, button);
    return h("li", button);
  }

  #drawItem(each) {
    const button = this.#items.get(each);
    if (!button) return;
    const isSelected = each === this.selected;
    button.tabIndex = isSelected ? 0 : -1;
    button.ariaCurrent = isSelected ? "true" : null;
    button.replaceChildren(
      h("span.case-name", data(each.name)),
      decisionMark(each.decision, "small"),
      h("span.case-eyes", each.state === "done" ? summary(each) : t(each.state)),
    );
  }

  /** Say how far it is, as often as can be listened to. */
  #progress() {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#sayProgress();
    }, 300);
  }

  #sayProgress() {
    const { photos } = this.cases;
    const done = this.cases.all.filter((each) => each.state === "done").flatMap((each) => each.photos);
    const text = [
      photos.length && t("progress", { done: done.length, all: photos.length }),
      this.#tally(),
      this.already && t("already", this),
      this.busySeconds && t("busy", this),
    ].filter(Boolean).join(" · ");
    if ($("progress").textContent !== text) $("progress").textContent = text;
  }

  #tally() {
    return URGENCY.map((decision) => {
      const count = this.cases.all.filter((each) => each.decision === decision).length;
      return count && decision !== "none" && `${count} ${t(`decision_${decision}`).toLocaleLowerCase(languageNow())}`;
    }).filter(Boolean).join(", ");
  }

  #busy(seconds) {
    this.busySeconds = seconds;
    this.#progress();
  }

  /** Say once that the service is gone, or what it says instead of an answer. */
  #alert(refusal) {
    if (this.refusal && this.refusal.message === refusal.message) return;
    this.refusal = refusal;
    const again = h("button", { id: "again", onclick: () => this.#again() }, t("try_again"));
    $("alert").replaceChildren(h("p", refusal.status ? said(refusal.message) : t("gone"), " ", again));
  }

  #again() {
    this.refusal = null;
    $("alert").replaceChildren();
    $("case").focus();
    if (!this.model.name) this.#loadModel();
    for (const each of this.cases.all) if (each.state === "waiting") this.ask(each);
    this.show();
  }

  async #loadModel() {
    try {
      const { models } = await this.service.models();
      this.model = await this.service.model(models[0].name);
    } catch (refusal) {
      if (refusal.status === undefined) throw refusal;
      this.#alert(refusal);
      return;
    }
    this.#drawModel();
    this.show();
  }

  #drawModel() {
    if (!this.model.name) return;
    $("model-line").replaceWith(Object.assign(modelLine(this.model), { id: "model-line" }));
    $("about").hidden = false;
    $("card").replaceChildren(...cardLines(this.model));
  }

  setLanguage() {
    document.title = `${t("title")} – biranet`;
    for (const element of document.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
    this.#redrawList();
    this.#sayProgress();
    this.#drawModel();
    this.show();
    const { refusal } = this;
    this.refusal = null;
    if (refusal) this.#alert(refusal);
  }

  #listen() {
    const option = ([value, name]) => h("option", { value, lang: value, translate: "no" }, name);
    $("language").append(...Object.entries(LANGUAGES).map(option));
    $("language").value = languageNow();
    $("language").onchange = (event) => {
      setLanguage(event.target.value);
      this.setLanguage();
    };
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const paint = (on) => {
      document.documentElement.dataset.theme = on ? "dark" : "light";
      $("dark").setAttribute("aria-pressed", on);
    };
    paint(dark.matches);
    dark.onchange = () => paint(dark.matches);
    $("dark").onclick = () => paint($("dark").getAttribute("aria-pressed") !== "true");
    $("choose-photos").onclick = () => {
      this.#adding = null;
      $("photo-input").click();
    };
    $("choose-folder").onclick = () => $("folder-input").click();
    for (const input of [$("photo-input"), $("folder-input")]) {
      input.onchange = () => {
        const files = [...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
        input.value = "";
        this.add(files, input.id === "photo-input" ? this.#adding : null);
      };
    }
    listenToDrops($("drop"), (files) => this.add(files));
    $("cases").onkeydown = (event) => this.#walk(event);
    $("order").onchange = () => this.#sort(true);
    $("cases").onpointerleave = () => this.#sort();
    $("cases").onfocusout = ({ relatedTarget }) => $("cases").contains(relatedTarget) || this.#sort();
    const saveCsv = (name, rows) => save(name, "text/csv", asCsv(rows(this.cases.all)));
    $("csv-photos").onclick = () => saveCsv("biranet_grades.csv", photoRows);
    $("csv-patients").onclick = () => saveCsv("biranet_grades_patients.csv", patientRows);
    $("json").onclick = () => save("biranet_grades.json", "application/json", asJson(this.cases.all, this.model));
    addEventListener("beforeprint", dateReport);
    addEventListener("beforeunload", (event) => {
      if (this.cases.photos.some((photo) => photo.reader)) event.preventDefault();
    });
  }

  #walk(event) {
    const step = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
    if (!step) return;
    event.preventDefault();
    const list = this.#list;
    const at = Math.min(Math.max(list.indexOf(this.selected) + step, 0), list.length - 1);
    this.select(list[at]);
    this.#items.get(this.selected).focus();
  }
}

function askToken(isWrong) {
  $("token-wrong").textContent = isWrong ? t("token_wrong") : "";
  $("token-input").value = "";
  $("token").showModal();
  return new Promise((give) => {
    $("token").onclose = () => {
      const token = $("token-input").value.trim();
      give(/^[!-~]+$/.test(token) ? token : askToken(token !== ""));
    };
  });
}

startLanguage();
new Page();
