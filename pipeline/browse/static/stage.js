// The picture under its patch grid, as one annotation source sees it.

import { picture, whyNot } from "./api.js";
import { counted, h, percent, s, say } from "./dom.js";

const FAINT = 0.5; // opacity of a patch that is hardly covered
const FULL = 0.72; // and of one that is wholly covered; the picture has to be seen through it
let stages = 0;

/** What a source is called: its annotator, with its dataset where several are shown. */
export function titleOf({ dataset, annotator }, found) {
  const name = annotator ?? (found.sources.some((each) => each.annotator) ? "all together" : "no annotator");
  const datasets = new Set(found.sources.map((each) => each.dataset));
  return datasets.size > 1 ? `${dataset} · ${name}` : name;
}

export class Stage {
  /** `on`: {pick(patch), over(patch or null)}. */
  constructor(source, found, on) {
    this.source = source;
    this.found = found;
    this.on = on;
    this.clip = `lit-${(stages += 1)}`;
    this.cursor = null;
    const { width, height } = found.image;
    const href = picture(found.row, found.image);
    const pixels = Math.max(width, height) < 320 ? "pixels" : null;
    this.shapes = s("clipPath", { id: this.clip });
    this.patches = s("g", { class: "patches" });
    this.regions = s("g", { class: "regions" });
    this.lines = s("g", { class: "lines" });
    this.marked = s("g", { class: "marked", visibility: "hidden" }, s("rect", { class: "halo" }), s("rect", { class: "line" }));
    this.hit = s("rect", { class: "hit", width, height });
    this.image = s("image", { href, width, height, class: pixels, onerror: () => this.missing(href) });
    this.svg = s("svg",
      { viewBox: `0 0 ${width} ${height}`, tabindex: "0", role: "application", "aria-label": this.describe() },
      s("defs", {}, this.shapes),
      this.image,
      s("g", { "clip-path": `url(#${this.clip})` }, s("image", { href, width, height, class: `grey ${pixels ?? ""}` })),
      this.patches, this.lines, this.regions, this.marked, this.hit);
    this.readout = h("p", { class: "readout" });
    this.frame = h("div", { class: "frame" }, this.svg);
    this.root = h("figure", { class: "stage", data: { source: source.key } },
      h("figcaption", {}, this.title()), this.frame,
      source.problem ? h("p", { class: "problem" }, source.problem) : null, this.readout);
    this.drawLines();
    this.listen();
    this.read(null);
  }

  title() {
    const rows = this.source.phrases.filter((phrase) => phrase.patches.length).length;
    return [
      h("b", {}, titleOf(this.source, this.found)),
      h("span", {}, counted(rows, "phrase on patches", "phrases on patches")),
    ];
  }

  describe() {
    if (!this.source.grid) return "The picture. Its patches cannot be placed.";
    const [rows, columns] = this.source.grid;
    return `The picture under ${rows} rows of ${columns} patches. Arrow keys move, Enter lists a patch’s words.`;
  }

  box(patch) {
    const columns = this.source.grid[1];
    const [row, column] = [Math.floor(patch / columns), patch % columns];
    const { x, y } = this.source;
    return { x: x[column], y: y[row], width: x[column + 1] - x[column], height: y[row + 1] - y[row] };
  }

  drawLines() {
    if (!this.source.grid) return;
    const { x, y } = this.source;
    const path = [...x.map((at) => `M${at} ${y[0]}V${y.at(-1)}`), ...y.map((at) => `M${x[0]} ${at}H${x.at(-1)}`)];
    this.lines.append(s("path", { d: path.join("") }));
  }

  /** Light the phrases with these ids: each patch with the highest coverage that one of them gives it. */
  light(ids) {
    const best = new Map();
    const outlines = [];
    for (const phrase of this.source.phrases) {
      if (!ids.has(phrase.phrase_id)) continue;
      phrase.patches.forEach((patch, i) => best.set(patch, Math.max(best.get(patch) ?? 0, phrase.coverage[i])));
      outlines.push(...phrase.regions.map((region) => region.outline));
    }
    const lit = this.source.grid && !this.source.problem ? [...best].sort(([a], [b]) => a - b) : [];
    this.shapes.replaceChildren(...lit.map(([patch]) => s("rect", this.box(patch))));
    this.patches.replaceChildren(...lit.map(([patch, coverage]) => s("rect", {
      ...this.box(patch),
      fill: this.colour(coverage),
      "fill-opacity": FAINT + (FULL - FAINT) * coverage,
      data: { patch, coverage },
    })));
    this.regions.replaceChildren(
      ...outlines.map((d) => s("path", { d, class: "halo" })), ...outlines.map((d) => s("path", { d, class: "line" })));
    this.root.classList.toggle("has-lit", lit.length > 0);
    this.silent(ids, lit.length);
  }

  /** Say why a phrase lights nothing here. */
  silent(ids, lit) {
    this.lit = ids;
    const chosen = this.source.phrases.filter((phrase) => ids.has(phrase.phrase_id));
    if (ids.size && !lit) {
      const why = chosen.map((phrase) => phrase.why_not).find(Boolean);
      this.readout.textContent = why ? `On no patch: ${why}.` : chosen.length ? "On no patch." : "Not among this source’s phrases.";
    } else if (chosen.length) {
      const score = chosen[0].score;
      const computed = chosen.some((phrase) => phrase.computed) ? ", worked out from this annotator’s regions alone" : "";
      this.readout.textContent = `${counted(lit, "patch", "patches")}${score === null ? "" : `, score ${score.toFixed(2)}`}${computed}`;
    } else this.read(this.cursor);
  }

  colour(share) {
    const colours = this.found.colours;
    return colours[Math.round(share * (colours.length - 1))];
  }

  /** Outline a patch. */
  mark(patch) {
    this.cursor = patch;
    const there = patch !== null && this.source.grid && patch >= 0 && patch < this.source.grid[0] * this.source.grid[1];
    this.marked.setAttribute("visibility", there ? "visible" : "hidden");
    if (!there) return;
    for (const rect of this.marked.children) {
      for (const [name, value] of Object.entries(this.box(patch))) rect.setAttribute(name, value);
    }
  }

  listen() {
    this.hit.addEventListener("pointermove", (event) => this.point(this.at(event)));
    this.hit.addEventListener("pointerleave", () => this.point(null));
    this.hit.addEventListener("click", (event) => {
      const patch = this.at(event);
      if (patch !== null) this.on.pick(patch);
    });
    this.svg.addEventListener("keydown", (event) => this.key(event));
  }

  point(patch) {
    if (patch === this.pointed) return;
    this.pointed = patch;
    this.on.over(patch);
    this.read(patch);
  }

  /** The patch under the pointer; null outside the grid. */
  at(event) {
    if (!this.source.grid) return null;
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.svg.getScreenCTM().inverse());
    const column = this.source.x.findLastIndex((edge) => edge <= point.x);
    const row = this.source.y.findLastIndex((edge) => edge <= point.y);
    const [rows, columns] = this.source.grid;
    return row >= 0 && row < rows && column >= 0 && column < columns ? row * columns + column : null;
  }

  key(event) {
    if (!this.source.grid) return;
    const [rows, columns] = this.source.grid;
    const at = this.cursor ?? 0;
    const [row, column] = [Math.floor(at / columns), at % columns];
    const moves = {
      ArrowLeft: [row, Math.max(column - 1, 0)],
      ArrowRight: [row, Math.min(column + 1, columns - 1)],
      ArrowUp: [Math.max(row - 1, 0), column],
      ArrowDown: [Math.min(row + 1, rows - 1), column],
    };
    if (event.key in moves) {
      event.preventDefault();
      const [r, c] = this.cursor === null ? [0, 0] : moves[event.key];
      this.mark(r * columns + c);
      this.on.over(this.cursor);
      say(this.read(this.cursor));
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      if (this.cursor !== null) this.on.pick(this.cursor);
    }
  }

  /** What the patch shows, under the picture. */
  read(patch) {
    if (patch === null || !this.source.grid) {
      if (this.lit?.size) this.silent(this.lit, this.patches.childElementCount);
      else this.readout.textContent = this.source.grid ? `${this.source.grid.join(" × ")} patches` : "";
      return "";
    }
    const columns = this.source.grid[1];
    const words = this.source.phrases
      .filter((phrase) => phrase.patches.includes(patch))
      .map((phrase) => `${phrase.text} ${percent(phrase.coverage[phrase.patches.indexOf(patch)])}`);
    const text = `Row ${Math.floor(patch / columns) + 1}, column ${(patch % columns) + 1}: ${words.join(", ") || "no words"}`;
    this.readout.textContent = text;
    return text;
  }

  async missing(href) {
    const why = await whyNot(href);
    this.image.remove();
    this.frame.classList.add("without");
    this.frame.append(h("p", { class: "missing" }, h("b", {}, "No picture"), why));
  }
}
