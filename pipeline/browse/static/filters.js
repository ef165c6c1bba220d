// The panel beside the gallery that narrows it.

import { ask } from "./api.js";
import { byId, count, h, settled } from "./dom.js";
import { change, FILTERS, filtersOf, now } from "./state.js";

const SHOWN_WORDS = 14;
const TITLES = { annotator: "annotator", word: "word", split: "split", rejects: "left out", where: "filter" };

export class FilterPanel {
  constructor(about) {
    this.about = about;
    this.where = h("input", {
      id: "where", type: "text", spellcheck: "false", autocomplete: "off", autocapitalize: "off",
      placeholder: "score < 0.3 and word = 'cup'", "aria-describedby": "where-told",
      onkeydown: (event) => event.key === "Enter" && set({ where: this.where.value.trim() }),
      onchange: () => set({ where: this.where.value.trim() }),
    });
    this.told = h("p", { id: "where-told", class: "told", role: "alert" });
    this.word = h("input", {
      id: "word", type: "search", spellcheck: "false", autocomplete: "off", placeholder: "any",
      onkeydown: (event) => event.key === "Enter" && set({ word: this.word.value.trim() }),
      onchange: () => set({ word: this.word.value.trim() }),
      oninput: settled(() => this.offerWords(this.word.value), 120),
    });
    this.words = h("div", { class: "choices words" });
    this.choices = { split: h("div", { class: "choices" }), annotator: h("div", { class: "choices" }) };
    this.rejects = h("select", { id: "rejects", onchange: () => set({ rejects: this.rejects.value }) },
      h("option", { value: "" }, "All images"),
      h("option", { value: "any" }, "With something left out"),
      h("option", { value: "none" }, "With nothing left out"),
      about.rejects.map((each) => h("option", { value: `${each.stage}/${each.reason}` },
        `${each.stage}: ${each.reason.replaceAll("_", " ")} (${count(each.rows)})`)));
    this.ranges = Object.fromEntries(["score_min", "score_max", "coverage_min", "coverage_max"].map((name) => [
      name, number(name)]));
    this.root = h("details", { class: "filters", open: matchMedia("(min-width: 60rem)").matches },
      h("summary", {}, "Filters"),
      h("form", { onsubmit: (event) => event.preventDefault() },
        field("Filter", "where", this.where, this.told,
          h("details", { class: "columns" }, h("summary", {}, "What it can name"),
            h("p", {}, about.columns.map((name) => h("code", {}, name))))),
        group("Split", this.choices.split),
        field("Word", "word", this.word, this.words),
        group("Annotator", this.choices.annotator),
        range("Score", this.ranges.score_min, this.ranges.score_max),
        range("Best patch’s coverage", this.ranges.coverage_min, this.ranges.coverage_max),
        field("Left out", "rejects", this.rejects),
        this.clearer = h("button", { type: "button", class: "button", hidden: true, onclick: () => this.clear() },
          "Clear the filters")));
    this.offerWords("");
  }

  /** Fill the fields from the state. */
  show(state) {
    for (const [name, input] of Object.entries({ where: this.where, word: this.word, ...this.ranges })) {
      if (document.activeElement !== input) input.value = state[name] ?? "";
    }
    this.rejects.value = state.rejects ?? "";
    radios(this.choices.split, "split", state.split ?? "",
      [["", "all", this.about.images], ...this.about.splits.map((each) => [each.split, each.split, each.images])]);
    radios(this.choices.annotator, "annotator", state.annotator ?? "",
      [["", "all", null], ...this.about.annotators.map((each) => [each.annotator, each.annotator, each.rows])]);
    for (const button of this.words.children) {
      button.setAttribute("aria-pressed", String(button.dataset.word === (state.word ?? "").toLowerCase()));
    }
    this.clearer.hidden = Object.keys(filtersOf(state)).length === 0;
  }

  /** The most frequent words that start so. */
  async offerWords(starting) {
    const found = await ask("words", { starting, limit: SHOWN_WORDS }).catch(() => []);
    const chosen = (now().word ?? "").toLowerCase();
    this.words.replaceChildren(...found.map((each) =>
      h("button", {
        type: "button", data: { word: each.word }, "aria-pressed": String(each.word === chosen),
        onclick: () => set({ word: each.word === now().word ? null : each.word }),
      }, each.word, h("span", { class: "n" }, count(each.rows)))));
    if (!found.length && starting) this.words.replaceChildren(h("span", { class: "quiet" }, "No such word."));
  }

  /** What is filtered by, each to be taken away. */
  chips(state) {
    const shown = [];
    for (const name of ["where", "split", "word", "annotator", "rejects"]) {
      if (!state[name]) continue;
      // The codes of rejects are written as words; all else is the user's own text, or the dataset's.
      const text = name === "rejects" ? state[name].replaceAll("_", " ") : state[name];
      shown.push([`${TITLES[name]}: ${text}`, { [name]: null }]);
    }
    for (const name of ["score", "coverage"]) {
      const [low, high] = [state[`${name}_min`], state[`${name}_max`]];
      if (low || high) {
        const text = low && high ? `${low} to ${high}` : low ? `from ${low}` : `up to ${high}`;
        shown.push([`${name} ${text}`, { [`${name}_min`]: null, [`${name}_max`]: null }]);
      }
    }
    return h("ul", { class: "chips" }, shown.map(([text, changes]) => h("li", {},
      h("button", { onclick: () => set(changes), "aria-label": `Take away ${text}` }, text, h("span", {}, "×")))));
  }

  tell(message) {
    this.told.textContent = message;
    this.where.setAttribute("aria-invalid", String(Boolean(message)));
    if (message) this.root.open = true;
  }

  clear() {
    this.tell("");
    set(Object.fromEntries(FILTERS.map((name) => [name, null])));
  }

  focus() {
    this.root.open = true;
    byId("where").focus();
    byId("where").select();
  }
}

/** Filters start the gallery again from its first image. */
function set(changes) {
  change({ ...changes, at: null });
}

function number(name) {
  return h("input", {
    type: "number", min: 0, max: 1, step: "any", inputmode: "decimal", placeholder: name.endsWith("min") ? "0" : "1",
    "aria-label": name.replace("_min", " from").replace("_max", " up to"), name,
    onchange: (event) => set({ [name]: event.target.value }),
    onkeydown: (event) => event.key === "Enter" && set({ [name]: event.target.value }),
  });
}

function field(title, id, ...inside) {
  return h("div", { class: "field" }, h("label", { for: id }, title), inside);
}

function group(title, inside) {
  return h("fieldset", { class: "field" }, h("legend", {}, title), inside);
}

function range(title, low, high) {
  return group(title, h("div", { class: "range" }, low, h("span", {}, "to"), high));
}

function radios(into, name, chosen, values) {
  into.replaceChildren(...values.map(([value, title, rows]) =>
    h("label", { class: "choice" },
      h("input", { type: "radio", name, value, checked: value === chosen, onchange: () => set({ [name]: value }) }),
      h("span", {}, title, rows === null ? null : h("span", { class: "n" }, count(rows))))));
}
