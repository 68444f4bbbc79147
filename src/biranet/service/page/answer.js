// What the program answers for a photograph, an eye and a patient, in words; on the screen and on paper.

import { data, h, icon, languageNow, number, pieces, said, t } from "./words.js";

export const GRADES = [0, 1, 2, 3, 4];

export const gradeName = (grade) => t("grade_is", { grade, name: t(`grade_${grade}`) });

/** A decision: words, a shape and a colour, in this order of weight. */
export function decisionMark(decision, className = "") {
  const kind = decision.replaceAll(" ", "-");
  const shape = icon(decision === "refused" ? "none" : decision);
  return h("span", { className: `decision ${kind} ${className}` }, shape, t(`decision_${decision}`));
}

export const eyeName = (eye) => (eye === "unknown" ? t("eye_unknown") : `${t(`eye_${eye}`)} (${t(`short_${eye}`)})`);

/** Where something is known from, and what somebody has put it in place of. */
const origin = (from, before) => from && h("span", { className: `origin ${from}` }, t(`from_${from}`),
  from === "entered" && before && [", ", t("in_place_of"), " ", data(before)]);

export const eyeOrigin = ({ eyeFrom, before: { eye } }) => origin(eyeFrom, eye && t(`short_${eye}`));

/** A guess where one photograph is guessed. The patient of a header is a code for whom it names. */
export function patientOrigin({ patient, photos }) {
  const { patientFrom, before } = photos.find((photo) => photo.patientFrom === "name") ?? photos[0];
  return patient && origin(patientFrom === "header" ? "code" : patientFrom, before.patient);
}

/** Decisions on files of which no photograph was seen. */
export const NO_PHOTO = ["unreadable", "refused"];

/** What a decision means; without a patient, the answer is for one photograph. */
export const meaningOf = ({ patient, decision }) =>
  !NO_PHOTO.includes(decision) && h("p.means", t(patient ? `means_${decision}` : `eye_means_${decision}`));

/** What to do now for a patient, eye by eye; empty where the decision says all. */
export function actionsOf(each) {
  const action = each.answer ? each.answer.action : each.photos[0]?.row?.action;
  return sentences(action);
}

/** The eyes that decide, and what contradicts or is missing. */
export function reasonsOf(each) {
  const reason = each.answer ? each.answer.reason : each.photos[0]?.row?.reason;
  const decides = ({ decision, predicted_grade: grade }) =>
    grade !== null && decision === each.decision && ["refer", "ask a human"].includes(decision);
  const inOrder = each.shownEyes.map((eye) => each.eye(eye)).filter(Boolean);
  const lines = inOrder.filter(decides).map(({ eye, decision, predicted_grade: grade }) => {
    const words = t(`decision_${decision}`).toLocaleLowerCase(languageNow());
    return h("li", `${t(`eye_${eye}`)}: ${words}, ${gradeName(grade)}`);
  });
  return [...lines, ...sentences(reason)];
}

function sentences(text) {
  return pieces(text ?? "").map(([eye, sentence]) => h("li", eye && [`${t(`eye_${eye}`)}: `], said(sentence)));
}

/** The grades of a case in a line: the program's, and the reader's own. */
export function summary(each) {
  return each.shownEyes.flatMap((eye) => {
    const photos = each.photosOf(eye);
    const grade = each.eye(eye)?.predicted_grade ?? photos[0]?.row?.predicted_grade ?? null;
    if (eye === "unknown" && grade === null) return [];
    const name = t(eye === "unknown" ? "grade" : `short_${eye}`);
    const reader = photos.find((photo) => photo.reader)?.reader;
    const words = grade ?? (photos.length ? "–" : t("missing_short"));
    return h("span", `${name} ${words}`, reader && ` (${t("reader_short")} ${reader})`);
  });
}

export function gradeLines(row) {
  const lines = [h("p.grade", gradeName(row.predicted_grade))];
  if (GRADES.some((grade) => row[`p${grade}`] > row[`p${row.predicted_grade}`])) {
    lines.push(h("p.hint", t("not_most", { mean: number(row.expected_grade, 1) })));
  }
  if (row.lowest_grade === null || row.lowest_grade === undefined) return lines;
  const set = GRADES.slice(row.lowest_grade, row.highest_grade + 1);
  const ends = [...new Set([set[0], set.at(-1)])];
  const text =
    ends.length === 1 ? named(ends[0]) : t("to", { low: named(ends[0]), high: named(ends[1]) });
  const hint = h("span.hint", t("possible_hint"));
  return [...lines, h("p.set", t("possible", { set: text }), " ", hint)];
}

export const named = (grade) => `${grade} (${t(`grade_${grade}`)})`;

/** The five probabilities as bars with their numbers, and what they were calibrated on. */
export function probabilityTable(row, calibratedOn) {
  const inSet = (grade) => row.lowest_grade !== null && grade >= row.lowest_grade && grade <= row.highest_grade;
  const rows = GRADES.map((grade) => {
    const share = row[`p${grade}`];
    const bar = h("span.bar", {});
    bar.style.width = `${100 * share}%`;
    const mark = grade === row.predicted_grade ? t("is_grade") : inSet(grade) ? t("in_set") : "";
    return h("tr", { className: grade === row.predicted_grade ? "is-grade" : inSet(grade) ? "in-set" : "" },
      h("th", { scope: "row" }, named(grade)),
      h("td.share", number(share, 2)),
      h("td.bars", h("span.rail", bar)),
      h("td.mark", mark),
    );
  });
  const referable = row.p2 + row.p3 + row.p4;
  return [
    h("table.shares",
      h("caption", t("probabilities")),
      h("tbody", rows),
      h("tfoot", h("tr",
        h("th", { scope: "row" }, t("referable")),
        h("td.share", number(referable, 2)),
        h("td"), h("td"),
      )),
    ),
    h("p.hint", calibration(row, calibratedOn)),
  ];
}

function calibration(row, calibratedOn) {
  if (calibratedOn) {
    return [t("calibrated_on"), " ", data(calibratedOn, "en"), "."];
  }
  return row.temperature === 1 ? t("not_calibrated") : t("calibrated", { temperature: number(row.temperature, 2) });
}

export function readerWords(photo) {
  if (!photo.reader) return "";
  const graded = photo.reader !== "ungradable";
  const own = graded ? gradeName(Number(photo.reader)) : t("reader_ungradable");
  const same = graded ? photo.row?.predicted_grade === Number(photo.reader) : !photo.usable;
  return `${t("reader")}: ${own}, ${t(same ? "reader_same" : "reader_differs")}`;
}

export function altText(eye, photo) {
  const answer = photo.usable
    ? `${t(`decision_${photo.row.decision}`)}, ${gradeName(photo.row.predicted_grade)}`
    : t(`decision_${photo.decision}`);
  return t("alt_photo", { eye: t(`eye_${eye}`), name: photo.path, answer });
}
