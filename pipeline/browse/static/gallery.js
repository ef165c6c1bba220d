// The gallery: only the images in view (and a screenful around them) are in the page and asked for.

import { ask, thumbnail, whyNot } from "./api.js";
import { count, counted, h, s, say, settled } from "./dom.js";
import { FilterPanel } from "./filters.js";
import { address, change, filtersOf, note, now } from "./state.js";

const PAGE = 60;
const KEPT_PAGES = 40;
const NARROWEST = 184; // pixels of a card
const BELOW = 74; // pixels under its picture
const GAP = 20;
const ROW_GAP = 26;
const TALLEST = 12_000_000; // pixels that every browser scrolls through; longer galleries come in stretches

export class Gallery {
  constructor(root, about) {
    this.about = about;
    this.filters = new FilterPanel(about);
    this.summary = h("div", { class: "summary" });
    this.canvas = h("div", { class: "cards", role: "list", "aria-label": "Images" });
    this.stretches = h("div", { class: "stretches" });
    this.message = h("div", { class: "empty", hidden: true });
    root.append(
      this.filters.root,
      h("div", { class: "results" }, this.summary, this.message, this.canvas, this.stretches),
    );
    this.root = root;
    this.asked = null;
    this.cards = new Map();
    this.pages = new Map();
    addEventListener("scroll", () => this.scrolled(), { passive: true });
    addEventListener("resize", settled(() => this.layOut(true), 80));
    this.noteAt = settled(() => this.root.hidden || note({ at: this.first() || null }), 160);
    this.canvas.addEventListener("keydown", (event) => this.move(event));
  }

  /** Draw what the state asks for. */
  async show(state) {
    this.filters.show(state);
    const asked = JSON.stringify(filtersOf(state));
    if (asked === this.asked) {
      this.layOut(true);
      return;
    }
    this.asked = asked;
    this.pages.clear();
    this.clear();
    this.total = null;
    if (this.about.problem) return this.tell(this.about.problem);
    const start = Math.floor(Number(state.at ?? 0) / PAGE);
    try {
      const found = await this.page(start);
      if (asked !== this.asked) return;
      this.total = found.images;
      this.filters.tell("");
      this.summarise(found, state);
    } catch (error) {
      if (asked !== this.asked) return;
      this.asked = null;
      this.filters.tell(error.message);
      this.summary.replaceChildren();
      this.tell("Nothing is shown until the filter can be read.");
      return;
    }
    if (this.total === 0) {
      const none = this.about.images === 0 ? "The dataset has no images." : "No image is left by these filters.";
      return this.tell(none, this.about.images > 0);
    }
    this.message.hidden = true;
    this.layOut(true);
  }

  tell(text, offer = false) {
    this.canvas.style.height = "0";
    this.stretches.replaceChildren();
    this.message.hidden = false;
    this.message.replaceChildren(
      h("p", {}, text),
      offer ? h("button", { class: "button", onclick: () => this.filters.clear() }, "Clear the filters") : "",
    );
  }

  summarise(found, state) {
    const filtered = Object.keys(filtersOf(state)).length > 0;
    this.summary.replaceChildren(
      h("h1", { id: "counts", data: { images: found.images, rows: found.patch_words } },
        h("b", {}, count(found.images)), found.images === 1 ? " image" : " images",
        h("span", { class: "quiet" }, ` with ${counted(found.patch_words, "patch word")}`)),
      filtered ? this.filters.chips(state) : "",
    );
    say(`${counted(found.images, "image")}, ${counted(found.patch_words, "patch word")}`);
  }

  /** A page of the server's answer, asked for once. */
  page(number) {
    if (!this.pages.has(number)) {
      const query = { ...filtersOf(now()), offset: number * PAGE, limit: PAGE };
      const answer = ask("gallery", query);
      answer.catch(() => this.pages.delete(number));
      this.pages.set(number, answer);
      while (this.pages.size > KEPT_PAGES) this.pages.delete(this.pages.keys().next().value);
    }
    return this.pages.get(number);
  }

  /** Columns, sizes and the canvas's height; `jump`: scroll to where the state says. */
  layOut(jump = false) {
    if (this.root.hidden || !this.total) return;
    const width = this.canvas.clientWidth;
    this.columns = Math.max(2, Math.floor((width + GAP) / (NARROWEST + GAP)));
    this.side = (width - GAP * (this.columns - 1)) / this.columns;
    this.rowHeight = this.side + BELOW + ROW_GAP;
    this.stretch = Math.floor(TALLEST / this.rowHeight) * this.columns;
    const at = Math.min(Number(now().at ?? 0), this.total - 1);
    this.from = Math.floor(at / this.stretch) * this.stretch;
    this.until = Math.min(this.from + this.stretch, this.total);
    const rows = Math.ceil((this.until - this.from) / this.columns);
    this.canvas.style.height = `${rows * this.rowHeight}px`;
    this.offerStretches();
    this.clear();
    if (jump) {
      const row = Math.floor((at - this.from) / this.columns);
      scrollTo({ top: row ? this.top() + row * this.rowHeight - 8 : 0, behavior: "instant" });
    }
    this.fill();
  }

  offerStretches() {
    const parts = [];
    if (this.from > 0) parts.push(["Earlier images", this.from - this.stretch]);
    if (this.until < this.total) parts.push(["Later images", this.until]);
    this.stretches.replaceChildren(
      ...(parts.length
        ? [h("p", {}, `Images ${count(this.from + 1)} to ${count(this.until)} of ${count(this.total)}`)]
        : []),
      ...parts.map(([title, at]) =>
        h("button", { class: "button", onclick: () => { change({ at }); this.layOut(true); } }, title)),
    );
  }

  top() {
    return this.canvas.getBoundingClientRect().top + scrollY;
  }

  /** Number of the first image in view. */
  first() {
    if (!this.total) return 0;
    const row = Math.max(0, Math.floor((scrollY - this.top() + this.rowHeight * 0.4) / this.rowHeight));
    return Math.min(this.from + row * this.columns, this.total - 1);
  }

  scrolled() {
    if (this.root.hidden || !this.total) return;
    requestAnimationFrame(() => this.fill());
    this.noteAt();
  }

  clear() {
    for (const card of this.cards.values()) card.remove();
    this.cards.clear();
  }

  /** Put the cards in view into the page and take the others out. */
  fill() {
    if (this.root.hidden || !this.total) return;
    const above = scrollY - this.top();
    const firstRow = Math.max(0, Math.floor((above - innerHeight / 2) / this.rowHeight));
    const lastRow = Math.ceil((above + innerHeight * 1.5) / this.rowHeight);
    const first = this.from + firstRow * this.columns;
    const last = Math.min(this.from + lastRow * this.columns, this.until);
    for (const [number, card] of this.cards) {
      if ((number < first || number >= last) && !card.contains(document.activeElement)) {
        card.remove();
        this.cards.delete(number);
      }
    }
    for (let number = first; number < last; number++) {
      if (!this.cards.has(number)) this.place(number);
    }
  }

  place(number) {
    const place = number - this.from;
    const card = h("div", {
      class: "card waiting",
      role: "listitem",
      "aria-setsize": this.total,
      "aria-posinset": number + 1,
      style: {
        width: `${this.side}px`,
        height: `${this.side + BELOW}px`,
        transform: `translate(${(place % this.columns) * (this.side + GAP)}px, ${Math.floor(place / this.columns) * this.rowHeight}px)`,
      },
    });
    this.cards.set(number, card);
    this.canvas.append(card);
    this.page(Math.floor(number / PAGE)).then(
      (found) => {
        if (this.cards.get(number) !== card) return;
        card.classList.remove("waiting");
        card.append(drawCard(found.cards[number % PAGE], number));
      },
      () => {},
    );
  }

  /** Arrow keys go from card to card. */
  move(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns };
    const link = event.target.closest("a[data-number]");
    if (!link || !(event.key in steps)) return;
    event.preventDefault();
    this.focus(Number(link.dataset.number) + steps[event.key]);
  }

  /** Bring a card into view and focus it. */
  async focus(number) {
    if (number < this.from || number >= this.until) return;
    const y = this.top() + Math.floor((number - this.from) / this.columns) * this.rowHeight;
    if (y < scrollY + 80) scrollTo({ top: y - 90, behavior: "instant" });
    else if (y + this.rowHeight > scrollY + innerHeight) {
      scrollTo({ top: y + this.rowHeight - innerHeight + 16, behavior: "instant" });
    }
    this.fill();
    await this.page(Math.floor(number / PAGE));
    this.cards.get(number)?.querySelector("a")?.focus({ preventScroll: true });
  }

  typeFilter() {
    this.filters.focus();
  }
}

function drawCard(card, number) {
  const image = h("img", {
    src: thumbnail(card),
    alt: "",
    decoding: "async",
    class: Math.max(card.width, card.height) < 200 ? "pixels" : null,
    onerror: async () => {
      const why = await whyNot(thumbnail(card));
      image.replaceWith(h("span", { class: "missing", title: why }, h("b", {}, "No picture"), why));
    },
  });
  const lit = card.lit.length ? spotlight(card.lit) : null;
  const fit = card.width >= card.height
    ? { width: "100%", height: `${(100 * card.height) / card.width}%` }
    : { height: "100%", width: `${(100 * card.width) / card.height}%` };
  return h(
    "a",
    { href: address({ ...now(), at: null, image: card.image_id }), data: { go: "image", number } },
    h("span", { class: "frame" }, h("span", { class: "fit", style: fit }, image, lit)),
    h("span", { class: "said" }, card.caption ?? h("i", {}, "no caption")),
    h("span", { class: "meta" },
      h("span", { class: "id" }, card.image_id),
      h("span", {}, counted(card.patch_words, "phrase"))),
  );
}

/** What the filters found stands out: the rest of the picture is dimmed, a patch by what is not covered of it. */
function spotlight(lit) {
  const patches = new Map();
  for (const phrase of lit) {
    phrase.patches.forEach((patch, i) => {
      const key = patch.join(" ");
      patches.set(key, Math.max(patches.get(key) ?? 0, phrase.coverage[i]));
    });
  }
  const boxes = [...patches].map(([key, coverage]) => [...key.split(" ").map(Number), coverage]);
  const holes = boxes.map(([x, y, width, height]) => `M${x} ${y}h${width}v${height}h${-width}z`).join("");
  return s("svg", { class: "lit", viewBox: "0 0 1 1", preserveAspectRatio: "none", "aria-hidden": "true" },
    s("path", { d: `M0 0H1V1H0Z${holes}`, "fill-rule": "evenodd", "fill-opacity": 0.62 }),
    boxes.map(([x, y, width, height, coverage]) =>
      s("rect", { x, y, width, height, "fill-opacity": 0.45 * (1 - coverage) })));
}
