// One case at the service: all photographs together or, where that is refused, each by itself.

export const isGuessed = ({ patientFrom, said }) => [patientFrom, said.eyeFrom].includes("name");

/**
 * Ask for a case. Gives the row of each photograph, the rows of eyes, that of the patient, and why that is missing. A
 * service that is gone, or that reads names otherwise than they were guessed here (422), is a Refusal.
 */
export async function gradeCase(service, photos, patient, begin) {
  try {
    return answerOf(photos, await service.grade(photos, patient, begin));
  } catch (refusal) {
    if (!refusal.status || (refusal.status === 422 && photos.some(isGuessed))) throw refusal;
    if (photos.length === 1) return onlyRows([refusedRow(photos[0], refusal)]);
    return gradeSingly(service, photos, patient, refusal);
  }
}

async function gradeSingly(service, photos, patient, refusal) {
  const [good, rows] = [[], []];
  for (const photo of photos) {
    try {
      rows.push(...answerOf([photo], await service.grade([photo], patient)).rows);
      good.push(photo);
    } catch (alone) {
      if (!alone.status) throw alone;
      rows.push(refusedRow(photo, alone));
    }
  }
  if (good.length === photos.length) return onlyRows(rows, refusal.message);
  if (!good.length) return onlyRows(rows);
  const rest = await gradeCase(service, good, patient);
  for (const [{ eye }, { status }] of rows) if (status === "refused") tellUnanswered(eye, rest);
  return { ...rest, rows: [...rows, ...rest.rows] };
}

/** An eye that the service has not seen has a photograph all the same. */
function tellUnanswered(eye, { eyes, answer }) {
  const row = eyes.find((each) => each.eye === eye && each.status === "missing");
  if (!row) return;
  for (const [what, now] of [["reason", "was not answered"], ["action", "try again"]]) {
    answer[what] = answer[what].replace(`${eye} eye: ${row[what]}`, `${eye} eye: ${now}`);
    row[what] = now;
  }
}

const answerOf = (photos, { photos: rows, eyes, patients }) =>
  ({ rows: photos.map((photo, at) => [photo, rows[at]]), eyes, answer: patients[0] ?? null, problem: "" });

const onlyRows = (rows, problem = "") => ({ rows, eyes: [], answer: null, problem });

/** A photograph that got no answer, as a row like the others; in brackets the status of HTTP. */
function refusedRow(photo, { status, message }) {
  const whose = { group: photo.patient, group_from: photo.patientFrom, eye: photo.eye, eye_from: photo.eyeFrom };
  return [photo, { file: photo.path, status: "refused", reason: `${message} (${status})`, action: "", ...whose }];
}
