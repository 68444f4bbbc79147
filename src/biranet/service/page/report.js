// One page of paper for one patient. It stands in the page, unseen, so that printing it needs nothing else.

import {
  actionsOf, altText, decisionMark, eyeName, eyeOrigin, gradeLines, meaningOf, patientOrigin, probabilityTable,
  readerWords, reasonsOf,
} from "./answer.js";
import { strength } from "./viewer.js";
import { data, h, languageNow, mapName, said, t } from "./words.js";

const MOST_LIMITS = 3;

const dateNow = () => new Date().toLocaleString(languageNow(), { dateStyle: "long", timeStyle: "short" });

export function renderReport(element, each, model, viewer) {
  element.replaceChildren();
  element.lang = document.documentElement.lang;
  const isReady = Boolean(each) && each.decision !== "none";
  document.body.classList.toggle("has-report", isReady);
  if (!isReady) return;
  const eyes = each.shownEyes;
  element.append(
    h("div.report-head",
      h("h1", t("report")),
      each.patient ? h("p", `${t("patient")}: `, h("strong", data(each.patient)), " ", patientOrigin(each)) : h("p", t("patient_unknown")),
      h("p", { id: "report-date" }, t("report_date", { date: dateNow() })),
    ),
    h("div.report-answer",
      h("p.verdict", decisionMark(each.decision)),
      meaningOf(each),
      h("div.report-lists", list("do_now", actionsOf(each)), list("why", reasonsOf(each))),
    ),
    h("div", { className: `report-eyes of-${eyes.length}` }, eyes.map((eye) => eyeOnPaper(each, eye, model, viewer))),
    h("div.report-foot",
      h("p.signature", t("report_reader")),
      modelLine(model),
      model.limits && h("p", `${t("report_limits")}: `, data(model.limits.slice(0, MOST_LIMITS).join(" "), "en")),
      h("p.disclaimer", t("disclaimer")),
    ),
  );
}

const list = (key, lines) => lines.length > 0 && h("div", h("h2", t(key)), h("ul", lines));

/** A page may be open for long before it is printed. */
export function dateReport() {
  const element = document.getElementById("report-date");
  if (element) element.textContent = t("report_date", { date: dateNow() });
}

function eyeOnPaper(each, eye, model, viewer) {
  const answer = each.eye(eye);
  const [photo] = each.photosOf(eye);
  const head = h("h2", eyeName(eye), " ", photo && eyeOrigin(photo));
  const verdict = (decision) => h("p.verdict", decisionMark(decision));
  if (!photo) return h("section", head, verdict("retake"), h("p", t("missing")));
  return h("section",
    head,
    photo.view ? photo.view.picture && pictureOnPaper(eye, photo, viewer) : h("p", t("loading")),
    verdict(answer?.decision || photo.decision),
    photo.usable ? gradeLines(photo.row) : h("p", said(photo.row?.reason || "")),
    photo.usable && probabilityTable(photo.row, model.rules?.fitted_on),
    photo.reader && h("p.reader", readerWords(photo)),
    h("p.hint", data(photo.path)),
  );
}

function pictureOnPaper(eye, photo, viewer) {
  const shown = photo.view.maps[viewer.map];
  const picture = h("img", { src: `data:image/jpeg;base64,${photo.view.picture}`, alt: altText(eye, photo) });
  if (!shown) return h("figure", h("div.paper", picture));
  const map = h("img", { src: `data:image/png;base64,${shown.png}`, alt: mapName(shown) });
  map.style.opacity = strength(shown, viewer.opacity);
  return h("figure",
    h("div.paper", picture, map),
    h("figcaption", mapName(shown), ". ", said(shown.note)),
  );
}

export function modelLine(model) {
  const { name, sha256, biranet } = model;
  const digest = h("span.digest", { translate: "no" }, sha256);
  const known = [t("model"), " ", data(`${name} · SHA-256 `), digest, data(` · biranet ${biranet}`)];
  return h("p.model-line", name && known);
}
