// What is asked of the service: a few requests at a time, tried again where it is busy.

const AT_ONCE = 4;
const LONGEST_WAIT_S = 60;

let token = ""; // in memory alone

/** The status of what nobody waits for any more. */
const LEFT = -1;

/** The service gave a sentence instead of an answer, or nothing (status 0). */
export class Refusal extends Error {
  constructor(status, message, wait = 0) {
    super(message);
    this.status = status;
    this.wait = wait;
  }
}

async function once(path, options = {}) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let response;
  let answer;
  try {
    response = await fetch(path, { ...options, headers, cache: "no-store" });
    // An answer that breaks off is none; a refusal by a proxy may be no JSON.
    answer = await (response.ok ? response.json() : response.json().catch(() => null));
  } catch {
    throw new Refusal(0, "");
  }
  if (response.ok) return answer;
  // Without a sentence, a proxy says so of the service; with one, the service of a photograph.
  if ([502, 504].includes(response.status) && !answer?.error) throw new Refusal(0, "");
  const wait = Number(response.headers.get("Retry-After"));
  throw new Refusal(response.status, answer?.error ?? `${response.status} ${response.statusText}`, wait);
}

/** Asks for the page. `whenBusy(seconds)` is told of a wait, `askToken(wrong)` gives the token. */
export class Service {
  #asked = null;
  #running = 0;
  #waiting = [];

  constructor({ whenBusy, askToken }) {
    this.whenBusy = whenBusy;
    this.askToken = askToken;
  }

  models = () => this.#ask("v1/models");
  model = (name) => this.#ask(`v1/models/${encodeURIComponent(name)}`);
  view = (photo, isLeft) => this.#send("v1/view", [photo], [], { first: true, isLeft });

  /** Grade photographs of one patient, or of nobody known; each may name its eye. `begin` is called at their turn. */
  grade(photos, patient, begin) {
    const said = photos.flatMap(({ patientFrom, said: { eye, eyeFrom } }) =>
      [["patient_from", patientFrom], ["eye", eye], ["eye_from", eyeFrom]]);
    return this.#send("v1/grade", photos, [["patient", patient], ...said], { begin });
  }

  async #send(path, photos, fields, how) {
    const body = new FormData();
    for (const photo of photos) body.append("files", photo.file, photo.path);
    for (const [name, value] of fields) body.append(name, value);
    try {
      return await this.#ask(path, { method: "POST", body }, how);
    } catch (refusal) {
      if (!refusal.status) await Promise.all(photos.map(checkFile));
      throw refusal;
    }
  }

  async #ask(path, options, { first = false, begin = () => null, isLeft = () => false } = {}) {
    await this.#turn(first);
    try {
      if (isLeft()) throw new Refusal(LEFT, "");
      begin();
      for (let lost = 0; ;) {
        const sent = token;
        try {
          return await once(path, options);
        } catch (refusal) {
          if (refusal.status === 401) await this.#newToken(sent);
          else if (![429, 503].includes(refusal.status)) throw refusal;
          // Without a time to come again, a process was lost: perhaps by this very photograph.
          else if (refusal.wait || lost++ < 1) await this.#rest(Math.min(refusal.wait || 2, LONGEST_WAIT_S));
          else throw refusal;
        }
      }
    } finally {
      this.#running -= 1;
      this.#waiting.shift()?.();
    }
  }

  /** Wait for a turn; what somebody looks at goes first. */
  async #turn(first) {
    if (this.#running >= AT_ONCE) await new Promise((go) => this.#waiting[first ? "unshift" : "push"](go));
    this.#running += 1;
  }

  async #rest(seconds) {
    this.whenBusy(seconds);
    await new Promise((go) => setTimeout(go, 1000 * seconds));
    this.whenBusy(0);
  }

  /** Ask the user once, however many requests need it. */
  async #newToken(sent) {
    if (sent !== token) return;
    this.#asked ??= this.askToken(sent !== "");
    token = await this.#asked;
    this.#asked = null;
  }
}

/** To a request, a file that is gone or has changed looks like a service that is gone. */
async function checkFile({ file }) {
  await file.slice(0, 1).arrayBuffer().catch(() => {
    throw new Refusal(410, "the file is gone, or has changed since it was chosen; choose it again");
  });
}
