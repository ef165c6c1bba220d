// The arms' similarity maps of the phrase that is held, before and after fine-tuning.

import { ask, similarity } from "./api.js";
import { h, percent } from "./dom.js";

export class Maps {
  constructor(found) {
    this.found = found;
    this.root = h("section", { class: "maps", hidden: true });
    this.phrase = null;
  }

  async show(phrase) {
    if (phrase === this.phrase) return;
    this.phrase = phrase;
    this.root.hidden = true;
    if (!phrase || !this.found.maps[phrase]) return;
    const told = await ask("similarity", { phrase }).catch(() => null);
    if (phrase !== this.phrase || !told?.maps.length) return;
    const groups = [
      ["After pre-training", told.maps.filter((map) => !map.finetuned)],
      ["After fine-tuning", told.maps.filter((map) => map.finetuned)],
    ].filter(([, maps]) => maps.length);
    const text = this.found.sources[0].phrases.find((each) => each.phrase_id === phrase)?.text ?? phrase;
    this.root.replaceChildren(
      h("h2", {}, "How much each vision token resembles ", h("q", {}, text)),
      h("div", { class: "groups" }, groups.map(([title, maps]) => h("div", {},
        h("h3", {}, title),
        h("div", { class: "panels" }, maps.map((map) => drawMap(map, phrase)))))),
      h("div", { class: "legend" },
        h("span", {}, signed(told.low)),
        h("i", { style: { background: `linear-gradient(90deg, ${told.colours.join(", ")})` } }),
        h("span", {}, signed(told.high)),
        h("em", {}, "cosine of token and words, one scale for all")));
    this.root.hidden = false;
  }
}

const signed = (number) => number.toFixed(2).replace("-", "\u2212");

function drawMap(map, phrase) {
  const { title, mark, colours: [light, dark] } = map.arm;
  const peak = map.coverage[map.peak];
  return h("figure", { data: { map: map.name } },
    h("img", { src: similarity(phrase, map.name), alt: `Similarity map, ${title}`, loading: "lazy" }),
    h("figcaption", {},
      h("span", { class: `arm ${mark}`, style: { color: `light-dark(${light}, ${dark})` } }, title),
      h("small", {}, peak > 0 ? `its most similar patch is covered ${percent(peak)}` : "its most similar patch lies beside the phrase")));
}
