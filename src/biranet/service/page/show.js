// The case that is looked at: what to do first, then each eye with its photograph, grades and probabilities.

import {
  actionsOf, altText, decisionMark, eyeName, eyeOrigin, gradeLines, GRADES, meaningOf, named, NO_PHOTO, patientOrigin,
  probabilityTable, readerWords, reasonsOf,
} from "./answer.js";
import { choice, data, h, mapName, number, said, t } from "./words.js";

/** Draw a case anew. `app` has the viewer, the model and what a user can do. */
export function renderCase(element, each, app) {
  const { id: focused, selectionStart: caret } = document.activeElement ?? {};
  app.viewer.clear();
  staged.clear();
  element.replaceChildren();
  if (!each) {
    element.append(h("div.nothing", h("h2", t("nothing"))));
    return;
  }
  element.append(
    head(each, app),
    verdict(each, app),
    toolbar(each, app),
    h("div", { className: `eyes of-${each.shownEyes.length}` }, each.shownEyes.map((eye) => panel(each, eye, app))),
  );
  refreshTools(app.viewer);
  const again = document.getElementById(focused ?? "");
  again?.focus({ preventScroll: true });
  if (again && Number.isInteger(caret)) again.setSelectionRange(caret, caret);
  showPhotos(each, app);
}

let typed = {}; // the patient that somebody is typing: an answer that comes meanwhile draws the case anew

function head(each, app) {
  const name = h("input", { id: "patient-name", autocomplete: "off", size: 18 });
  name.value = typed.of === each ? typed.text : each.patient;
  name.oninput = () => { typed = { of: each, text: name.value }; };
  name.placeholder = t("patient_unknown");
  return h("form.case-head", { onsubmit: (event) => {
    event.preventDefault();
    typed = {};
    app.rename(each, name.value.trim());
  } },
    h("label", h("span", t("patient")), " ", name),
    h("button", { id: "rename" }, t("rename")),
    patientOrigin(each),
    h("button", { type: "button", id: "print", className: "print", onclick: app.print }, t("print")),
  );
}

function verdict(each, app) {
  if (each.state !== "done" || each.problem) {
    const words = each.state === "done" ? said(each.problem) : t(each.state);
    return h("div.verdict-box.none", h("h2", decisionMark("none")), h("p", words));
  }
  const [actions, reasons] = [actionsOf(each), reasonsOf(each)];
  return h("div", { className: `verdict-box ${each.decision.replaceAll(" ", "-")}` },
    h("div.decided",
      h("h2", decisionMark(each.decision)),
      meaningOf(each),
      !each.patient && !NO_PHOTO.includes(each.decision) &&
        h("p", t("whose"), !each.photos[0].eye && ` ${t("which")}`),
      each.photos.some((photo) => photo.decision === "refused") &&
        h("button", { id: "ask-again", onclick: () => app.ask(each) }, t("try_again"))),
    (actions.length > 0 || reasons.length > 0) && h("div.why",
      actions.length > 0 && [h("h3", t("do_now")), h("ul.actions", actions)],
      reasons.length > 0 && [h("h3", t("why")), h("ul.reasons", reasons)]),
  );
}

const staged = new Map(); // photographs by the element under them

function toolbar(each, app) {
  const { viewer } = app;
  const maps = each.photos.find((photo) => photo.view?.maps.length)?.view.maps ?? [];
  const press = (id, act) => h("button", { id, onclick: act }, t(id));
  const zoom = (id, sign, factor) =>
    h("button", { id, "aria-label": t(id), onclick: () => viewer.zoomBy(factor) }, sign);
  const toggle = (name) => h("button", {
    id: name, onclick: () => viewer.toggle(name),
  }, t(name));
  const choose = (event) => viewer.showMap(Number(event.target.value));
  const layers = [[-1, t("no_map")], ...maps.map((map, index) => [index, mapName(map)])];
  viewer.onchange = () => {
    refreshTools(viewer);
    for (const [element, photo] of staged) tellStage(element, photo, viewer);
    app.report();
  };
  const slider = h("input", {
    type: "range", id: "opacity", min: 0, max: 100, step: 5, value: Math.round(100 * viewer.opacity),
    oninput: (event) => viewer.setOpacity(Number(event.target.value) / 100),
  });
  return h("div.tools", { role: "group", "aria-label": t("tools") },
    h("div.buttons",
      press("fit", () => viewer.fit()), press("actual", () => viewer.showActual()),
      zoom("zoom_out", "−", 1 / 1.25), zoom("zoom_in", "+", 1.25),
    ),
    h("div.buttons", toggle("redfree"), toggle("contrast"), toggle("inverse")),
    maps.length ? [
      h("label", t("map"), " ", choice({ id: "map", onchange: choose }, layers, viewer.map)),
      h("label.opacity", t("opacity"), " ", slider),
    ] : null,
    h("details.keys", h("summary", t("keys")), h("p", { id: "keys-hint" }, t("keys_hint"))),
  );
}

function refreshTools(viewer) {
  for (const [name, on] of Object.entries(viewer.look)) document.getElementById(name)?.setAttribute("aria-pressed", on);
  const layers = document.getElementById("map");
  if (!layers) return;
  layers.value = viewer.map;
  document.getElementById("opacity").disabled = viewer.map < 0;
}

/** The photograph of an eye that was chosen; else the one that answers for it. */
function lookedAt(each, eye, app) {
  const photos = each.photosOf(eye);
  return photos.find((photo) => photo === app.looked.get(`${each.id} ${eye}`)) ?? photos[0];
}

function panel(each, eye, app) {
  const photos = each.photosOf(eye);
  const shown = lookedAt(each, eye, app);
  const answer = each.eye(eye);
  const title = h("h3", { id: `head-${eye}` }, eyeName(eye));
  if (!shown) {
    return h("section.eye", { "aria-labelledby": `head-${eye}` }, title,
      h("div.stage.empty", h("p", t("missing")),
        h("button", { id: `add-${eye}`, onclick: () => app.addTo(each, eye) }, t(`add_${eye}`))),
      each.state === "done" && h("p.eye-verdict", decisionMark("retake")));
  }
  return h("section.eye", { "aria-labelledby": `head-${eye}` },
    h("div.eye-head", title, eyeChoice(shown, eye, app)),
    h("div.stage", {
      id: `stage-${eye}`, "data-eye": eye, tabIndex: 0, role: "group", "aria-describedby": "keys-hint",
      "aria-label": t("stage", { eye: t(`eye_${eye}`) }),
    }, h("p.loading", t("loading"))),
    h("p.hint.under", { id: `under-${eye}`, translate: "no" }, shown.path),
    photos.length > 1 && strip(each, eye, photos, shown, app),
    each.state === "done" && shown.row && answers(each, eye, shown, answer, app),
  );
}

function eyeChoice(photo, eye, app) {
  const choose = (event) => app.move(photo, event.target.value);
  const eyes = [["right", t("eye_right")], ["left", t("eye_left")], ["", t("eye_unknown")]];
  return h("div.which",
    choice({ id: `which-${eye}`, "aria-label": t("which_eye"), onchange: choose }, eyes, photo.eye), eyeOrigin(photo));
}

/** All photographs of an eye, to choose the one that is looked at. */
function strip(each, eye, photos, shown, app) {
  const answering = each.eye(eye)?.file;
  return h("div.strip", { role: "group", "aria-label": t("other_photos") },
    photos.map((photo, at) => h("button", {
      id: `photo-${photo.id}`, "aria-pressed": photo === shown,
      onclick: () => app.look(each, eye, photo),
    }, t("photo_n", { n: at + 1, all: photos.length }), " ", decisionMark(photo.decision, "small"),
    photo.path === answering && eye !== "unknown" ? ` ${t("answers")}` : "")));
}

function answers(each, eye, photo, answer, app) {
  const { row } = photo;
  const parts = [];
  if (answer?.decision && photo.decision !== "refused") {
    parts.push(h("p.eye-verdict", decisionMark(answer.decision)));
    if (answer.file && answer.file !== photo.path) parts.push(h("p.hint", t("by_other")));
    if (eye !== "unknown") parts.push(h("p.means", t(`eye_means_${answer.decision}`)));
  } else parts.push(h("p.eye-verdict", decisionMark(photo.decision)));
  if (photo.usable) parts.push(...gradeLines(row), ...probabilityTable(row, app.model.rules?.fitted_on));
  else {
    // What is to be taken again says why.
    const isRetake = row.action?.startsWith("retake: ");
    parts.push(h("p.grade", t("no_grade"), !isRetake && [": ", said(row.reason)]));
    if (row.action) parts.push(h("p.advice", said(row.action)));
  }
  return h("div.answers", parts, readerChoice(eye, photo, app));
}

function readerChoice(eye, photo, app) {
  const words = h("p.reader-words", { id: `reader-words-${eye}` }, readerWords(photo));
  const onchange = (event) => {
    app.read(photo, event.target.value);
    words.textContent = readerWords(photo);
  };
  const grades = [
    ["", t("reader_none")], ...GRADES.map((grade) => [grade, named(grade)]), ["ungradable", t("reader_ungradable")],
  ];
  return h("div.reader",
    h("label", t("reader"), " ", choice({ id: `reader-${eye}`, onchange }, grades, photo.reader)), words);
}

/** Put the photographs on their stages, once the service has given them. */
async function showPhotos(each, app) {
  await Promise.all([...document.querySelectorAll("#case .stage[data-eye]")].map(async (element) => {
    const { eye } = element.dataset;
    const photo = lookedAt(each, eye, app);
    if (!photo.view && each.state !== "done") {
      element.replaceChildren(h("p.loading", t(each.state)));
      return;
    }
    try {
      await app.see(photo);
    } catch (refusal) {
      const why = refusal.message && [" ", said(refusal.message)];
      if (element.isConnected) element.replaceChildren(h("p.loading", t("no_picture"), why));
      return;
    }
    if (!element.isConnected || !photo.view) return;
    if (!photo.view.picture) {
      element.replaceChildren(h("p.loading", t("no_picture")));
      return;
    }
    stage(element, eye, photo, app);
    if (!document.getElementById("map")) document.querySelector("#case .tools").replaceWith(toolbar(each, app));
    refreshTools(app.viewer);
    app.report();
  }));
}

function legend({ scale, outlined }) {
  if (!scale) {
    return outlined.flatMap(({ color, words, number: found }) => {
      const line = h("span.colors.line");
      line.style.background = color;
      return [line, " ", said(words), found === null ? " " : ` ${found} `];
    });
  }
  const colors = h("span.colors");
  colors.style.background = `linear-gradient(90deg, ${scale.colors})`;
  return [t("to", { low: number(scale.low, 2), high: number(scale.high, 2) }), colors];
}

function stage(element, eye, photo, app) {
  element.replaceChildren();
  app.viewer.add(element, photo, altText(eye, photo));
  staged.set(document.getElementById(`under-${eye}`), photo);
  tellStage(document.getElementById(`under-${eye}`), photo, app.viewer);
}

/** What stands under a photograph: name, size, and what the colours over it mean. */
function tellStage(element, photo, viewer) {
  const { width, height, maps } = photo.view;
  element.replaceChildren(data(photo.path), ` · ${width} × ${height} px`);
  const map = maps[viewer.map];
  if (map) element.append(" · ", ...legend(map), " · ", said(map.note));
}
