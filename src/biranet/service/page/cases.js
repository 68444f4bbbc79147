// What was dropped, as cases: a patient with all photographs, or a photograph of which nobody knows whose it is.

const EYES = {};
for (const word of ["left", "l", "os", "le", "oi", "og", "oe"]) EYES[word] = "left";
for (const word of ["right", "r", "od", "re"]) EYES[word] = "right";

const LAST = new RegExp(`^(?:(.+?)[-_ ])?(${Object.keys(EYES).join("|")})(?:[-_ ]?eye)?$`, "i");
const WITHIN = /^(?:(.+?)[-_ ])?(left|right|od|os)[-_ ]/i;

// What tells of no patient (as in `datasets/patients.py`).
const WORDS =
  "macula|mac|dis[ck]|onh|optic(?:dis[ck]|nerve)?|nerve|fovea|nasal|temporal|superior|inferior|central|cent(?:re|er)|" +
  "posterior|pole|peripher(?:y|al)|field|fundus|retinal?|view|eyes?|colou?r|redfree|red|green|cfp|images?|img|im|" +
  "photos?|fotos?|pict?(?:ures?)?|bild|dsc[nf]?|dcim|scans?|snapshot|captures?|frames?|copy|visit[ae]?s?|" +
  "session|exam|v";
const DATE = "(?:(?:19|20)\\d\\d[-_.]?(?:0[1-9]|1[0-2])[-_.]?(?:0[1-9]|[12]\\d|3[01])|" +
  "\\d\\d?[-_.]\\d\\d?[-_.](?:19|20)\\d\\d)(?!\\d)";
const NO_PATIENT = new RegExp(
  `(?:(?<!\\p{L})(?:${WORDS})|(?<!\\d)${DATE})(?:[^\\p{L}\\d]*\\d+)*(?![\\p{L}\\d])`, "giu");

/**
 * Guess patient and eye from a path. The name must tell the eye, as its last word or as a word that means nothing
 * else; the patient is what stands before it, with the folders below the one that was dropped. Where the name tells a
 * view alone, or nothing but the eye, the folder may be the patient (`ofFolder`), unless it is a date or the like.
 */
export function readName(path) {
  const folders = path.split("/");
  const stem = folders.pop().replace(/( \(\d+\))?(\.[^.]*)?$/, "");
  const match = LAST.exec(stem) ?? WITHIN.exec(stem);
  if (!match) return { patient: "", eye: "", ofFolder: false };
  const eye = EYES[match[2].toLowerCase()];
  const before = match[1] ?? "";
  const name = telling(before);
  const ofFolder = !name && !/\d/.test(stem) && telling(folders.at(-1) ?? "") !== "";
  const below = before ? folders.slice(1) : folders.slice(-1);
  return { patient: name || ofFolder ? [...below, name].filter(Boolean).join("/") : "", eye, ofFolder };
}

const telling = (words) => words.replace(NO_PATIENT, "").replace(/^[-_. ()]+|[-_. ()]+$/g, "");

let count = 0;

export class Photo {
  constructor(file, path, known = null) {
    const { patient, eye, ofFolder } = known ?? readName(path);
    const from = known ? "entered" : "name";
    this.id = ++count;
    this.file = file;
    this.path = path;
    this.patient = patient;
    this.patientFrom = patient && from;
    this.ofFolder = ofFolder;
    const [dropped] = path.split("/");
    this.dropped = dropped === path || dropped.toLowerCase() in EYES ? "" : dropped; // the folder that was
    this.eye = eye;
    this.eyeFrom = eye && from;
    this.said = { eye, eyeFrom: this.eyeFrom }; // to the service, which may know better by a header
    this.before = {}; // what was known of either, before somebody entered something else
    this.row = null; // what the service says of it
    this.view = null; // its picture and maps
    this.reader = ""; // the reader's own grade
  }

  get usable() {
    return this.row?.status === "ok";
  }

  /** What is to be done, where the photograph answers for itself. */
  get decision() {
    if (!this.row) return "none";
    if (this.usable) return this.row.decision;
    return ["unreadable", "refused"].find((status) => status === this.row.status) ?? "retake";
  }
}

/** Decisions in the order in which somebody must act on them. */
export const URGENCY = ["refer", "ask a human", "retake", "refused", "none", "unreadable", "do not refer"];

export class Case {
  rank = Infinity; // in a list with the most urgent first

  constructor(patient) {
    this.id = ++count;
    this.patient = patient;
    this.photos = [];
    this.state = "waiting"; // grading, done
    this.eyes = [];
    this.answer = null; // what the service says of the patient
    this.problem = "";
  }

  get decision() {
    if (this.state !== "done" || this.problem) return "none";
    return this.answer?.decision ?? this.photos[0].decision;
  }

  /** Lowest for the most urgent; of one decision, for the highest grade. */
  get urgency() {
    if (this.state !== "done") return Infinity;
    const grade = (this.answer ?? this.photos[0].row).predicted_grade ?? 0;
    return 5 * URGENCY.indexOf(this.decision) - grade;
  }

  get name() {
    return this.patient || this.photos[0]?.path || "";
  }

  eye(name) {
    return this.eyes.find((each) => each.eye === name) ?? null;
  }

  photosOf(eye) {
    const first = this.eye(eye)?.file;
    const photos = this.photos.filter((photo) => (photo.eye || "unknown") === eye);
    return photos.sort((a, b) => (b.path === first) - (a.path === first) || a.id - b.id);
  }

  /** The eyes to show, the right one on the left of the screen, as it sits opposite. */
  get shownEyes() {
    if (!this.patient) return [this.photos[0].eye || "unknown"];
    const unknown = this.photosOf("unknown").length > 0;
    const named = this.photos.some((photo) => photo.eye);
    return [...(named || !unknown ? ["right", "left"] : []), ...(unknown ? ["unknown"] : [])];
  }
}

async function isSame(...files) {
  const [one, other] = await Promise.all(files.map((file) => file.arrayBuffer().catch(() => null)));
  if (!one || !other) return false; // one of them is gone
  const bytes = new Uint8Array(other);
  return new Uint8Array(one).every((byte, at) => byte === bytes[at]);
}

/** All cases, by patient; photographs of unknown patients are cases of their own. */
export class Cases {
  all = [];
  #names = new Set();

  get photos() {
    return this.all.flatMap((each) => each.photos);
  }

  /** The photograph that a file is, from whatever folder, if it is here already. */
  async find(file) {
    const alike = this.photos.filter((photo) => photo.file.name === file.name && photo.file.size === file.size);
    for (const photo of alike) if (await isSame(file, photo.file)) return photo;
    return null;
  }

  /** A name that no other photograph has. */
  freeName(path) {
    const [, stem, ending] = /^([^]*?)(\.[^./]*)?$/.exec(path);
    let name = path;
    for (let at = 2; this.#names.has(name); at += 1) name = `${stem} (${at})${ending ?? ""}`;
    this.#names.add(name);
    return name;
  }

  /** Take photographs in. Gives all cases that must be asked for. */
  add(photos) {
    const touched = new Set();
    for (const photo of photos) {
      const isOther = ({ dropped }) => dropped && photo.dropped && dropped !== photo.dropped;
      // In another folder, the same number may be somebody else's.
      if (photo.patientFrom === "name" && this.#of(photo.patient)?.photos.some(isOther)) {
        photo.patient = `${photo.dropped}/${photo.patient}`;
      }
      touched.add(this.place(photo));
    }
    for (const each of [...touched]) {
      const guessed = each.photos.filter((photo) => photo.ofFolder && photo.patientFrom === "name");
      // A folder with several photographs of an eye may be of several people.
      if (new Set(guessed.map((photo) => photo.eye)).size === guessed.length) continue;
      for (const photo of guessed) {
        for (const one of this.move(photo, { patient: "", patientFrom: "" })) touched.add(one);
      }
    }
    return new Set(this.all.filter((each) => touched.has(each)));
  }

  #of = (patient) => patient && this.all.find((each) => each.patient === patient);

  /** Put a photograph where it belongs; the case must be asked for anew. */
  place(photo) {
    let found = this.#of(photo.patient);
    if (!found) this.all.push((found = new Case(photo.patient)));
    found.photos.push(photo);
    found.state = "waiting";
    return found;
  }

  /** Change whose photograph it is. Gives all cases that must be asked for anew, and those that are gone. */
  move(photo, change) {
    const from = this.all.find((each) => each.photos.includes(photo));
    for (const what of ["patient", "eye"]) {
      if (!(what in change)) continue;
      const isGuess = photo[what] && !photo[`${what}From`].startsWith("entered");
      if (isGuess && photo[what] !== change[what]) photo.before[what] = photo[what];
      if ([undefined, "", photo.before[what]].includes(change[what])) delete photo.before[what];
    }
    Object.assign(photo, change);
    if ("eye" in change) photo.said = { eye: change.eye, eyeFrom: change.eyeFrom };
    if (photo.patient === from.patient) {
      from.state = "waiting";
      return [from];
    }
    from.photos = from.photos.filter((each) => each !== photo);
    const to = this.place(photo);
    if (from.photos.length) from.state = "waiting";
    else {
      this.all[this.all.indexOf(from)] = to;
      to.rank = Math.min(to.rank, from.rank);
    }
    this.all = [...new Set(this.all)];
    return [to, ...(from.photos.length ? [from] : [])];
  }
}
