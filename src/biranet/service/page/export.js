// What leaves the page: the tables of the service, with the reader's own grades beside the program's.

import { t } from "./words.js";

/** Mark what a spreadsheet would compute as text, as `biranet.spreadsheet_cells` does. */
export function asCell(text) {
  const formula = /^'*(?:[=@\t\r\n\uff1d\uff20]|[-+\uff0b\uff0d](?=[^]))/.test(text);
  const isNumber = /^(?:[-+](?:\d+[.,]?\d*|[.,]\d+)(?:[eE][-+]?\d+)?|[-+]inf)$/.test(text);
  return formula && !isNumber ? `'${text}` : text;
}

export function asCsv(rows) {
  // A photograph that was refused has few columns; the others say their order.
  const longest = rows.toSorted((a, b) => Object.keys(b).length - Object.keys(a).length);
  const columns = [...new Set(longest.flatMap(Object.keys))];
  const cell = (value) => {
    const text = asCell(value === null || value === undefined ? "" : String(value));
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [columns, ...rows.map((row) => columns.map((name) => row[name]))]
    .map((cells) => `${cells.map(cell).join(",")}\n`)
    .join("");
}

/** The highest grade that the reader gave to a photograph of an eye; else `ungradable`, if that; else nothing. */
export function readerOf(photos) {
  const given = photos.map((photo) => photo.reader).filter(Boolean);
  return given.filter((grade) => grade !== "ungradable").sort().at(-1) ?? given[0] ?? "";
}

export function photoRows(cases) {
  return answered(cases).flatMap((each) =>
    each.photos
      .filter((photo) => photo.row)
      .map((photo) => ({ ...photo.row, file: photo.path, reader_grade: photo.reader })),
  );
}

function eyeRows(cases) {
  return answered(cases).flatMap((each) =>
    each.eyes.map((row) => ({ ...row, reader_grade: readerOf(each.photosOf(row.eye)) })),
  );
}

export function patientRows(cases) {
  return answered(cases)
    .filter((each) => each.answer)
    .map((each) => ({
      ...each.answer,
      left_reader_grade: readerOf(each.photosOf("left")),
      right_reader_grade: readerOf(each.photosOf("right")),
    }));
}

const answered = (cases) => cases.filter((each) => each.state === "done");

export function asJson(cases, { name: model, sha256, biranet }) {
  const [exported, disclaimer] = [new Date().toISOString(), t("disclaimer")];
  const tables = { photos: photoRows(cases), eyes: eyeRows(cases), patients: patientRows(cases) };
  return JSON.stringify({ model, sha256, biranet, exported, disclaimer, ...tables }, null, 1);
}

export function save(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
