// The photographs on the screen: zoom, pan, filters and map are one state, which all stages share.

import { h, mapName } from "./words.js";

const STEP = 1.25;
const LARGEST = 8; // pixels of the screen for each one of the photograph
const MOVE = 0.12; // part of the stage that an arrow key moves by
const SHOWN_BY_BROWSERS = ["image/jpeg", "image/png", "image/webp"];

/** How strongly a map covers the photograph: thin lines need more than areas to be seen. */
export const strength = (map, opacity) => map && !map.scale ? opacity ** 0.25 : opacity;

export class Viewer {
  onchange = () => null; // is called when the look has changed
  look = { redfree: false, contrast: false, inverse: false };
  map = -1; // which map; none at first, since it covers the photograph
  #lastMap = 1; // the first one, stretched to its own range
  opacity = 0.35;
  #zoom = 1; // times what fits
  #x = 0.5; // which part of the photograph is in the middle
  #y = 0.5;
  #actual = false; // one pixel for one
  #stages = [];
  #resized = new ResizeObserver(() => this.draw());

  /** Take away all stages; zoom and place stay where they are. */
  clear() {
    this.#resized.disconnect();
    for (const stage of this.#stages) stage.release();
    this.#stages = [];
  }

  add(element, photo, alt) {
    const stage = new Stage(element, photo, alt, this.#stages.length);
    this.#stages.push(stage);
    this.#resized.observe(element);
    this.#listen(stage);
    this.draw();
  }

  draw() {
    const place = { zoom: this.#zoom, x: this.#x, y: this.#y, actual: this.#actual };
    for (const stage of this.#stages) stage.draw(place, this);
  }

  fit() {
    this.#zoom = 1;
    this.#x = this.#y = 0.5;
    this.#actual = false;
    this.draw();
  }

  showActual() {
    this.#actual = true;
    this.draw();
  }

  /** Zoom about a point of a stage, in pixels from its middle. */
  zoomBy(factor, stage = this.#stages[0], dx = 0, dy = 0) {
    if (!stage) return;
    const before = stage.scale;
    const fit = stage.fitScale;
    const after = Math.min(Math.max(before * factor, fit), Math.max(LARGEST, fit));
    this.#actual = false;
    this.#zoom = after / fit;
    this.#move(stage, (dx / before - dx / after) / stage.width, (dy / before - dy / after) / stage.height);
  }

  pan(dx, dy, stage = this.#stages[0]) {
    if (stage) this.#move(stage, -dx / (stage.scale * stage.width), -dy / (stage.scale * stage.height));
  }

  toggle(name) {
    this.look[name] = !this.look[name];
    this.draw();
    this.onchange();
  }

  showMap(index) {
    if (index >= 0) this.#lastMap = index;
    this.map = index;
    this.draw();
    this.onchange();
  }

  toggleMap() {
    this.showMap(this.map < 0 ? this.#lastMap : -1);
  }

  setOpacity(opacity) {
    this.opacity = opacity;
    this.draw();
    this.onchange();
  }

  /** Do what a key says; tell whether it says anything. */
  press(key, stage) {
    const away = MOVE * stage.element.clientWidth;
    const look = { r: "redfree", c: "contrast", i: "inverse" }[key.toLowerCase()];
    const doing = look ? () => this.toggle(look) : {
      ArrowLeft: () => this.pan(away, 0, stage),
      ArrowRight: () => this.pan(-away, 0, stage),
      ArrowUp: () => this.pan(0, away, stage),
      ArrowDown: () => this.pan(0, -away, stage),
      "+": () => this.zoomBy(STEP, stage),
      "=": () => this.zoomBy(STEP, stage),
      "-": () => this.zoomBy(1 / STEP, stage),
      0: () => this.fit(),
      1: () => this.showActual(),
      a: () => this.toggleMap(),
    }[key.length === 1 ? key.toLowerCase() : key];
    doing?.();
    return Boolean(doing);
  }

  #move(stage, dx, dy) {
    // No further than to the edge; what fits stays in the middle.
    const within = (at, share) => (share >= 1 ? 0.5 : Math.min(Math.max(at, share / 2), 1 - share / 2));
    const scale = this.#actual ? stage.scale : stage.fitScale * this.#zoom;
    this.#x = within(this.#x + dx, stage.element.clientWidth / (scale * stage.width));
    this.#y = within(this.#y + dy, stage.element.clientHeight / (scale * stage.height));
    this.draw();
  }

  #listen(stage) {
    const { element } = stage;
    const fingers = new Map();
    const fromMiddle = (event) => {
      const box = element.getBoundingClientRect();
      return [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
    };
    element.onkeydown = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !this.press(event.key, stage)) return;
      event.preventDefault();
    };
    element.onwheel = (event) => {
      // The wheel scrolls the page, until somebody has turned to the photograph.
      if (!event.ctrlKey && document.activeElement !== element) return;
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY / 400), stage, ...fromMiddle(event));
    };
    element.ondblclick = (event) => this.zoomBy(STEP * STEP, stage, ...fromMiddle(event));
    element.onpointerdown = (event) => {
      fingers.set(event.pointerId, event);
      element.setPointerCapture(event.pointerId);
    };
    element.onpointermove = (event) => {
      const before = fingers.get(event.pointerId);
      if (!before) return;
      const other = [...fingers.values()].find((each) => each.pointerId !== event.pointerId);
      fingers.set(event.pointerId, event);
      if (other) {
        const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1;
        this.zoomBy(apart(event) / apart(before), stage, ...fromMiddle(event));
      } else this.pan(event.clientX - before.clientX, event.clientY - before.clientY, stage);
    };
    element.onpointerup = element.onpointercancel = (event) => fingers.delete(event.pointerId);
  }
}

class Stage {
  constructor(element, photo, alt, index) {
    const { view } = photo;
    this.element = element;
    this.photo = photo;
    this.width = view.width;
    this.height = view.height;
    this.picture = h("img.photo", { alt, draggable: false, src: `data:image/jpeg;base64,${view.picture}` });
    this.map = h("img.map", { alt: "", draggable: false });
    this.layer = h("div.layer", this.picture, this.map);
    element.append(this.layer);
    this.filter = `stretch-${index}`;
    this.picture.addEventListener("load", () => this.#stretch(), { once: true });
  }

  get fitScale() {
    return Math.min(this.element.clientWidth / this.width, this.element.clientHeight / this.height) || 1;
  }

  release() {
    if (this.whole) URL.revokeObjectURL(this.whole);
  }

  draw({ zoom, x, y, actual }, { look, map, opacity }) {
    const [across, down] = [this.element.clientWidth, this.element.clientHeight];
    this.scale = actual ? 1 / devicePixelRatio : this.fitScale * zoom;
    const [width, height] = [this.width * this.scale, this.height * this.scale];
    const place = (room, size, at) =>
      size <= room ? (room - size) / 2 : Math.min(0, Math.max(room - size, room / 2 - at * size));
    this.element.style.touchAction = width > across + 1 || height > down + 1 ? "none" : "pan-y";
    const { style } = this.layer;
    style.width = `${width}px`;
    style.height = `${height}px`;
    style.transform = `translate(${place(across, width, x)}px, ${place(down, height, y)}px)`;
    const filters = { contrast: `url(#${this.filter})`, redfree: "url(#green-only)", inverse: "invert(1)" };
    const used = Object.keys(filters).filter((name) => look[name]).map((name) => filters[name]);
    this.picture.style.filter = used.join(" ") || "none";
    this.picture.classList.toggle("pixels", this.scale * devicePixelRatio >= 3);
    const shown = this.photo.view.maps[map];
    this.map.hidden = !shown;
    this.map.style.opacity = strength(shown, opacity);
    if (shown && this.map.dataset.name !== shown.name) {
      this.map.dataset.name = shown.name;
      this.map.src = `data:image/png;base64,${shown.png}`;
      this.map.alt = mapName(shown);
    }
    if (width * devicePixelRatio > 1.05 * this.picture.naturalWidth && this.picture.complete) this.#showWhole();
  }

  /** Where the screen shows more than the service's picture holds, show the file itself. */
  async #showWhole() {
    if (this.whole !== undefined || !SHOWN_BY_BROWSERS.includes(this.photo.file.type)) return;
    this.whole = URL.createObjectURL(this.photo.file);
    const file = new Image();
    file.src = this.whole;
    await file.decode().catch(() => null);
    if (file.naturalWidth === this.width && file.naturalHeight === this.height) this.picture.src = this.whole;
  }

  /** Make the filter that stretches each colour of the field to the whole range. */
  #stretch() {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 128;
    const context = canvas.getContext("2d");
    context.drawImage(this.picture, 0, 0, 128, 128);
    const pixels = context.getImageData(0, 0, 128, 128).data;
    const stretch = document.getElementById(this.filter)?.firstElementChild ?? newFilter(this.filter);
    [0, 1, 2].forEach((channel) => {
      const values = [];
      for (let at = 0; at < pixels.length; at += 4) {
        if (pixels[at] + pixels[at + 1] + pixels[at + 2] > 40) values.push(pixels[at + channel]);
      }
      values.sort((a, b) => a - b);
      const [low, high] = [0.02, 0.98].map((share) => (values[Math.floor(share * (values.length - 1))] ?? 0) / 255);
      const slope = Math.min(1 / Math.max(high - low, 0.01), 5);
      stretch.children[channel].setAttribute("slope", slope);
      stretch.children[channel].setAttribute("intercept", -low * slope);
    });
  }
}

function newFilter(name) {
  const parts = [..."RGB"].map((channel) => `<feFunc${channel} type="linear"/>`).join("");
  document.getElementById("filters").insertAdjacentHTML("beforeend",
    `<filter id="${name}" color-interpolation-filters="sRGB"><feComponentTransfer>${parts}</feComponentTransfer></filter>`);
  return document.getElementById(name).firstElementChild;
}
