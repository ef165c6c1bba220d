// What the stages could not use, row by row, with the reason of each.

import { ask } from "./api.js";
import { count, counted, h } from "./dom.js";
import { address, change } from "./state.js";

const PAGE = 100;

export class LeftOut {
  constructor(root, about) {
    this.root = root;
    this.about = about;
  }

  async show(state) {
    const asked = JSON.stringify([state.stage, state.reason]);
    if (asked === this.asked) return;
    this.asked = asked;
    this.rows = h("tbody");
    this.more = h("button", { class: "button", hidden: true, onclick: () => this.loadMore(state) }, "Show more");
    this.told = h("p", { class: "quiet" });
    this.loaded = 0;
    this.root.replaceChildren(
      h("h1", {}, "Left out"),
      h("p", { class: "intro" }, "What a stage could not use, with the reason. Rows in = rows out + rows left out, in every stage."),
      this.drawReasons(state),
      this.told,
      h("table", { class: "rows" },
        h("thead", {}, h("tr", {}, ["Stage", "Why", "Row", "Image"].map((title) => h("th", { scope: "col" }, title)))),
        this.rows),
      this.more);
    await this.load(state);
  }

  drawReasons(state) {
    const stages = [...new Set(this.about.rejects.map((each) => each.stage))];
    if (!stages.length) return h("p", { class: "empty" }, "Nothing was left out.");
    const choice = (title, rows, stage, reason) => h("a", {
      href: address({ view: "left-out", stage, reason }), data: { go: "left-out" },
      "aria-current": (state.stage ?? null) === stage && (state.reason ?? null) === reason ? "true" : null,
    }, title, h("span", { class: "n" }, count(rows)));
    const total = (rows) => rows.reduce((sum, each) => sum + each.rows, 0);
    return h("div", { class: "reasons" },
      h("div", {}, h("h2", {}, "Every stage"), choice("all of it", total(this.about.rejects), null, null)),
      stages.map((stage) => {
        const rows = this.about.rejects.filter((each) => each.stage === stage);
        return h("div", {}, h("h2", {}, stage), choice("all of it", total(rows), stage, null),
          rows.map((each) => choice(each.reason.replaceAll("_", " "), each.rows, stage, each.reason)));
      }));
  }

  /** The next rows, unless they were asked for already. The button keeps the focus, as a disabled one would not. */
  async loadMore(state) {
    const { more } = this;
    if (more.hasAttribute("aria-disabled")) return;
    more.setAttribute("aria-disabled", "true");
    await this.load(state);
    more.removeAttribute("aria-disabled");
  }

  async load(state) {
    const query = { stage: state.stage, reason: state.reason, offset: this.loaded, limit: PAGE };
    const { rows } = this;
    let found, failure;
    try {
      found = await ask("rejects", query);
    } catch (error) {
      failure = error;
    }
    if (rows !== this.rows) return; // another stage or reason is shown by now
    if (failure) {
      this.told.textContent = failure.message;
      return;
    }
    this.loaded += found.rejects.length;
    this.told.textContent = counted(found.rows, "row");
    this.more.hidden = this.loaded >= found.rows;
    this.rows.append(...found.rejects.map((row) => h("tr", {},
      h("td", {}, row.stage),
      h("td", {}, row.message),
      h("td", { class: "id" }, row.key),
      h("td", { class: "id" }, row.image_id
        ? h("a", { href: address({ image: row.image_id }), data: { go: "image" } }, row.image_id)
        : h("span", { class: "quiet" }, "not in the dataset")))));
  }
}
