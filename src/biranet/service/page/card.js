// The card of the model: what it is for, where it fails, what it learned from, how it was measured.

import { data, h, number, t } from "./words.js";

export function cardLines(card) {
  if (!card.limits) return [h("p", t("no_card"))];
  const part = (key, ...lines) => [h("h3", t(key)), ...lines];
  const english = (text) => h("p", data(text, "en"));
  return [
    english(`${card.title}. ${card.summary}`),
    ...part("about_use", english(card.intended_use)),
    ...part("about_limits", h("ul", [...card.doubts, ...card.limits].map((limit) => h("li", english(limit))))),
    ...part("about_data", english(`${card.data.name}: ${card.data.photographs}. ${card.data.attribution}`)),
    ...part("about_license", english(card.license)),
    ...part("about_measured", ...card.metrics.map(figures)),
  ];
}

function figures({ how, figures: values }) {
  const rows = Object.values(values).map(({ name, value, ci }) =>
    h("tr", h("th", { scope: "row" }, data(name, "en")), h("td", number(value, 3)),
      h("td", t("to", { low: number(ci[0], 3), high: number(ci[1], 3) }))));
  const head = ["figure", "value", "interval"].map((key) => h("th", { scope: "col" }, t(key)));
  return h("details", h("summary", data(how, "en")),
    h("table.figures", h("thead", h("tr", head)), h("tbody", rows)));
}
