// Texts in the language that is chosen, and how to put them on the page.

import { LANGUAGES, SAID, TEXTS } from "./texts.js";

let language = "en";

export function startLanguage() {
  const wanted = (navigator.languages ?? [navigator.language]).map((each) => each.slice(0, 2));
  setLanguage(wanted.find((each) => each in LANGUAGES) ?? "en");
}

export function setLanguage(name) {
  language = name;
  document.documentElement.lang = name;
}

export const languageNow = () => language;

/** The text of a key, with values in place of its {names}. */
export function t(key, values = {}) {
  const text = TEXTS[language][key];
  if (text === undefined) throw new Error(`no text ${key}`);
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

export const number = (value, digits) =>
  value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });

/** Make an element, as "tag.class". Properties, if any, are set, `data` and `aria` by name; then come its children. */
export function h(kind, ...children) {
  const properties = children[0]?.constructor === Object ? children.shift() : {};
  const [tag, ...classes] = kind.split(".");
  const element = document.createElement(tag);
  element.classList.add(...classes);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined) continue;
    if (/^(aria-|data-|role$|for$|translate$|lang$|list$)/.test(name)) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.flat(Infinity).filter((child) => ![null, undefined, false, ""].includes(child)));
  return element;
}

/** Make a list to choose from: [value, text] of each, and the value that is chosen. */
export function choice(properties, options, value) {
  const element = h("select", properties, options.map(([each, text]) => h("option", { value: each }, text)));
  element.value = value;
  return element;
}

/** What is not ours to translate: names, numbers, what a card says. */
export const data = (text, lang) => h("span", { translate: "no", lang }, String(text));

/** A picture of index.html, beside words that say the same. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#icon-${name.replaceAll(" ", "-")}`);
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

/** Name a map, with whose scale it is on. */
export const mapName = ({ label, scale }) =>
  [label, scale?.words].filter(Boolean).map((words) => translate(words) ?? words).join(", ");

/** What the service says in words, translated piece by piece; what is not known stays English. */
export function said(sentence) {
  const known = translate(sentence);
  if (known !== null) return known;
  const retake = /^(retake): (.+?)(?: \((.+)\))?$/.exec(sentence);
  if (!retake) return data(sentence, "en");
  return h("span", said(retake[1]), ": ", said(retake[2]), retake[3] && [" (", said(retake[3]), ")"]);
}

const VALUES = /\d+|\b(?:left|right)\b/g;

function translate(sentence) {
  if (language === "en") return sentence;
  const words = SAID[language];
  const values = sentence.match(VALUES) ?? [];
  const text = words[sentence.replace(VALUES, "{n}")];
  return text === undefined ? null : text.replace(/\{n\}/g, () => {
    const value = values.shift();
    return words[value] ?? value;
  });
}

const OF_THE_PATIENT = /^(the headers of its files|find out whose)/;

/** Reasons and actions of a patient, each with its eye: [eye or "", sentence]. */
export function pieces(sentences) {
  let eye = "";
  return sentences.split(/; (?![^(]*\))/).filter(Boolean).map((piece) => {
    const [, named, rest] = /^(?:(left|right|unknown) eye: )?([^]*)$/.exec(piece);
    eye = named ?? (OF_THE_PATIENT.test(rest) ? "" : eye);
    return [eye, rest];
  });
}
