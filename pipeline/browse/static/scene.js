// One image: its captions beside its patches. A word lights its patches, a patch lists its words.

import { ask } from "./api.js";
import { drawCaptions, markCaptions } from "./captions.js";
import { count, counted, h, say } from "./dom.js";
import { drawLineage, drawPatch } from "./details.js";
import { Maps } from "./maps.js";
import { Stage } from "./stage.js";
import { address, change, filtersOf, now } from "./state.js";

export class Scene {
  constructor(root, about) {
    this.root = root;
    this.about = about;
    this.asked = null;
  }

  async show(state) {
    const asked = JSON.stringify([state.image, filtersOf(state)]);
    if (asked !== this.asked) {
      this.asked = asked;
      let found;
      try {
        found = await ask("image", { id: state.image, ...filtersOf(state) });
      } catch (error) {
        if (asked === this.asked) this.tell(error.message);
        return;
      }
      if (asked !== this.asked) return;
      this.found = found;
      this.draw(now());
      scrollTo({ top: 0, behavior: "instant" });
    }
    if (this.found) this.hold(now());
  }

  leave() {
    this.asked = null;
    this.found = null;
    this.root.replaceChildren();
  }

  tell(message) {
    this.found = null;
    this.root.replaceChildren(
      h("div", { class: "empty" }, h("p", {}, message),
        h("a", { class: "button", href: address({ ...filtersOf(now()) }), data: { go: "gallery" } }, "To the gallery")));
  }

  draw(state) {
    const { image, place, captions, sources, rejects, problems } = this.found;
    this.hovered = null;
    this.stages = sources.map((source) => new Stage(source, this.found, {
      pick: (patch) => change({ patch: String(patch) === now().patch ? null : patch }, { quiet: true }),
      over: (patch) => this.overPatch(patch),
    }));
    this.captions = drawCaptions(this.found, {
      over: (lights) => this.hover(lights),
      out: () => this.hover(null),
      hold: (phrase) => change({ phrase: phrase === now().phrase ? null : phrase }, { quiet: true }),
    });
    this.detail = h("div", { class: "detail" });
    this.maps = new Maps(this.found);
    const words = sources[0].phrases.filter((phrase) => phrase.patches.length).length;
    this.root.replaceChildren(
      this.drawHead(state, image, place),
      h("div", { class: "sides" },
        h("div", { class: "stages", data: { count: sources.length } },
          this.stages.map((stage) => stage.root),
          drawLegend(this.found.colours)),
        h("div", { class: "reading" },
          problems.map((problem) => h("p", { class: "problem" }, problem)),
          h("h2", {}, "Captions"),
          captions.length ? this.captions : h("p", { class: "quiet" }, "This image has no caption."),
          words
            ? h("p", { class: "hint" }, "Point at a word to light its patches, click to hold it. Click a patch to list its words. Words with a dotted line are on no patch.")
            : null,
          this.detail)),
      this.maps.root,
      drawRejects(rejects, sources),
    );
    say(`${image.image_id}: ${counted(captions.length, "caption")}, ${counted(words, "phrase")} on patches`);
  }

  drawHead(state, image, place) {
    const link = (id, title, arrow) => id
      ? h("a", { class: "button arrow", href: this.addressOf(id), data: { go: "image" }, "aria-label": title, title }, arrow)
      : h("span", { class: "button arrow", "aria-disabled": "true" }, arrow);
    return h("div", { class: "head" },
      h("a", { class: "back", href: this.back(place), data: { go: "gallery" } }, "Gallery"),
      h("h1", {}, image.image_id),
      h("p", { class: "facts" }, [`${image.width} × ${image.height} px`, image.split].join(" · ")),
      h("p", { class: "steps" },
        h("span", { class: "quiet" }, place.number === null
          ? "not among the filtered"
          : `${count(place.number + 1)} of ${count(place.of)}`),
        link(place.previous, "The image before (←)", "←"),
        link(place.next, "The next image (→)", "→")));
  }

  addressOf(image) {
    return address({ ...filtersOf(now()), image });
  }

  back(place) {
    return address({ ...filtersOf(now()), at: place.number || null });
  }

  close() {
    const at = this.found?.place.number || null;
    change({ image: null, phrase: null, patch: null, at });
  }

  step(which) {
    const id = this.found?.place[which];
    if (id) change({ image: id, phrase: null, patch: null });
  }

  /** Light what the state holds, and say where it comes from. */
  hold(state) {
    this.held = state.phrase ?? null;
    this.patch = state.patch === undefined ? null : Number(state.patch);
    for (const stage of this.stages) stage.mark(this.patch);
    this.light();
    const pieces = [];
    if (this.patch !== null) pieces.push(drawPatch(this.found, this.patch, this.held));
    if (this.held) pieces.push(drawLineage(this.found, this.held));
    this.detail.replaceChildren(...pieces.filter(Boolean));
    this.maps.show(this.held);
  }

  hover(lights) {
    this.hovered = lights;
    this.light();
  }

  overPatch(patch) {
    const words = patch === null ? null : idsOfPatch(this.found, patch);
    markCaptions(this.captions, this.lit(), words ?? (this.patch === null ? new Set() : idsOfPatch(this.found, this.patch)));
  }

  /** By source, the ids of the phrases that are lit. */
  lights() {
    return this.hovered ?? (this.held ? lightsOf(this.found, this.held) : {});
  }

  lit() {
    return new Set(Object.values(this.lights()).flat());
  }

  light() {
    const lights = this.lights();
    for (const stage of this.stages) stage.light(new Set(lights[stage.source.key] ?? []));
    markCaptions(this.captions, this.lit(), this.patch === null ? new Set() : idsOfPatch(this.found, this.patch), this.held);
  }
}

/** A phrase's ids in every source: its own, or those of the phrases that share its characters. */
function lightsOf(found, id) {
  const lights = {};
  for (const source of found.sources) {
    if (source.phrases.some((phrase) => phrase.phrase_id === id)) lights[source.key] = [id];
  }
  for (const caption of found.captions) {
    for (const segment of caption.segments) {
      if (!segment.word || !Object.values(segment.lights).flat().includes(id)) continue;
      for (const [key, ids] of Object.entries(segment.lights)) lights[key] ??= ids;
    }
  }
  return lights;
}

function idsOfPatch(found, patch) {
  return new Set(found.sources.flatMap((source) =>
    source.phrases.filter((phrase) => phrase.patches.includes(patch)).map((phrase) => phrase.phrase_id)));
}

function drawLegend(colours) {
  return h("div", { class: "legend", "aria-hidden": "true" },
    h("span", {}, "0"),
    h("i", { style: { background: `linear-gradient(90deg, ${colours.join(", ")})` } }),
    h("span", {}, "1"),
    h("em", {}, "coverage of the patch"),
    h("em", { class: "outlined" }, "region"));
}

function drawRejects(rejects, sources) {
  if (!rejects.length) return "";
  const texts = new Map(sources.flatMap((source) => source.phrases.map((phrase) => [`phrase:${phrase.phrase_id}`, phrase.text])));
  return h("section", { class: "rejects" },
    h("h2", {}, "Left out of this image"),
    h("table", {}, h("tbody", {}, rejects.map((row) => h("tr", {},
      h("th", { scope: "row" }, row.stage),
      h("td", {}, texts.has(row.key) ? `"${texts.get(row.key)}": ${row.message}` : row.message),
      h("td", { class: "id" }, row.key))))));
}
