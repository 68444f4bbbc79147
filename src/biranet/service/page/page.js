// The page: photographs go to the service case by case, the answers to the list and to the case that is looked at.
// Nothing is kept but in this page, and nothing is sent but to this service.

import { decisionMark, stateOf, summary } from "./answer.js";
import { cardLines } from "./card.js";
import { Cases, Photo } from "./cases.js";
import { asCsv, asJson, patientRows, photoRows, save } from "./export.js";
import { listenToDrops } from "./files.js";
import { gradeCase, isGuessed } from "./grading.js";
import { dateReport, modelLine, renderReport } from "./report.js";
import { Service } from "./service.js";
import { renderCase } from "./show.js";
import { LANGUAGES } from "./texts.js";
import { Viewer } from "./viewer.js";
import { data, h, languageNow, mapName, said, setLanguage, startLanguage, t } from "./words.js";

const VIEWS_KEPT = 12; // pictures in memory

const $ = (id) => document.getElementById(id);

class Page {
  cases = new Cases();
  viewer = new Viewer();
  model = { name: "", sha256: "", version: "", fittedOn: null, card: null };
  looked = new Map(); // which photograph of an eye is looked at
  selected = null;
  busySeconds = 0;
  refusal = null; // why the service does not answer
  #items = new Map();
  #viewed = [];
  #adding = null;
  #timer = null;

  constructor() {
    this.service = new Service({ whenBusy: (seconds) => this.#busy(seconds), askToken });
    this.viewer.describeMap = (map) => t("alt_map", { map: mapName(map) });
    this.#listen();
    this.setLanguage();
    this.#loadModel();
  }

  add(entries, known = null) {
    const photos = [];
    for (const { file, path } of entries) {
      const name = this.cases.freeName(file, path);
      if (name) photos.push(new Photo(file, name, known));
    }
    const touched = this.cases.add(photos);
    if (touched.size) this.#moved([...touched]);
  }

  addTo(each, eye) {
    this.#adding = { patient: each.patient, eye };
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
        each.state = "asking";
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
    const nothing = { patient: "", patientFrom: "", eye: "", eyeFrom: "" };
    for (const photo of each.photos.filter(isGuessed)) this.#moved(this.cases.move(photo, nothing));
  }

  /** Headers may tell what names do not. */
  #learn(each) {
    for (const photo of [...each.photos]) {
      const { group, group_from: groupFrom, eye, eye_from: eyeFrom } = photo.row;
      if (eye !== undefined && eye !== photo.eye) Object.assign(photo, { eye: eye ?? "", eyeFrom });
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
    this.#moved(this.cases.move(photo, { eye, eyeFrom: eye && "labels" }));
  }

  rename(each, patient) {
    const touched = new Set();
    for (const photo of [...each.photos]) {
      for (const one of this.cases.move(photo, { patient, patientFrom: patient && "labels" })) touched.add(one);
    }
    this.#moved([...touched].filter((one) => this.cases.all.includes(one)));
  }

  #moved(touched) {
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
    if (each === this.selected) this.show();
  }

  show() {
    renderCase($("case"), this.selected, this);
    this.report();
  }

  report() {
    renderReport($("report"), this.selected, this.model, this.viewer);
  }

  #redrawList() {
    this.#items.clear();
    $("cases").replaceChildren(...this.cases.all.map((each) => this.#item(each)));
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
      h("span.case-eyes", each.state === "done" ? summary(each) : t(stateOf(each))),
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
    const bad = done.filter((photo) => !photo.usable).length;
    const words = photos.length
      ? [t("progress", { done: done.length, all: photos.length }), bad ? t("progress_bad", { bad }) : "", this.#tally()]
      : [];
    if (this.busySeconds) words.push(t("busy", { seconds: this.busySeconds }));
    const text = words.filter(Boolean).join(" · ");
    if ($("progress").textContent !== text) $("progress").textContent = text;
  }

  #tally() {
    const counts = ["refer", "ask a human", "retake", "do not refer", "unreadable", "refused"].map((decision) => [
      this.cases.all.filter((each) => each.decision === decision).length,
      t(`decision_${decision}`).toLocaleLowerCase(languageNow()),
    ]);
    return counts.filter(([count]) => count).map(([count, words]) => `${count} ${words}`).join(", ");
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
      const [{ name }] = models;
      const card = await this.service.model(name);
      const { sha256, biranet: version, rules } = card;
      Object.assign(this.model, { name, card, sha256, version, fittedOn: rules.fitted_on });
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
    $("card").replaceChildren(...cardLines(this.model.card));
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
    const last = this.cases.all.length - 1;
    const at = Math.min(Math.max(this.cases.all.indexOf(this.selected) + step, 0), last);
    this.select(this.cases.all[at]);
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
