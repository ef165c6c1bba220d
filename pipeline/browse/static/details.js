// What the reader holds, in words: the patch that was clicked, and where a phrase comes from.

import { overlay } from "./api.js";
import { counted, h, percent } from "./dom.js";
import { titleOf } from "./stage.js";
import { address, now } from "./state.js";

/** The words of a patch, by source, most covered first. */
export function drawPatch(found, patch, held) {
  const grid = found.sources.find((source) => source.grid)?.grid;
  if (!grid) return null;
  const [row, column] = [Math.floor(patch / grid[1]) + 1, (patch % grid[1]) + 1];
  return h("section", { class: "patch", id: "patch" },
    h("h2", {}, `Patch in row ${row}, column ${column}`),
    found.sources.map((source) => {
      const here = source.phrases
        .map((phrase) => [phrase, phrase.coverage[phrase.patches.indexOf(patch)] ?? 0])
        .filter(([, coverage]) => coverage > 0)
        .sort(([, a], [, b]) => b - a);
      return [
        found.sources.length > 1 ? h("h3", {}, titleOf(source, found)) : null,
        here.length
          ? h("ul", { class: "carried-words" }, here.map(([phrase, coverage]) => drawCarried(found, phrase, coverage, held)))
          : h("p", { class: "quiet" }, "No phrase covers this patch."),
      ];
    }));
}

function drawCarried(found, phrase, coverage, held) {
  const colour = found.colours[Math.round(coverage * (found.colours.length - 1))];
  return h("li", {},
    h("a", {
      href: address({ ...now(), phrase: phrase.phrase_id }), data: { go: "phrase", phrase: phrase.phrase_id },
      "aria-current": phrase.phrase_id === held ? "true" : null,
    },
      h("span", { class: "text" }, phrase.words.map((word) => h("span", { class: "tag", title: word.role }, word.text))),
      h("span", { class: "bar" }, h("i", { style: { width: `${coverage * 100}%`, background: colour } })),
      h("span", { class: "n" }, percent(coverage))));
}

/** From the patch word down to the characters of its caption and the file of its image. */
export function drawLineage(found, id) {
  const source = found.sources.find((each) => each.phrases.some((phrase) => phrase.phrase_id === id));
  if (!source) return h("p", { class: "problem" }, `This image has no phrase ${id}.`);
  const phrase = source.phrases.find((each) => each.phrase_id === id);
  const caption = found.captions.find((each) => each.caption_id === phrase.caption_id);
  const on = phrase.patches.length > 0;
  return h("section", { class: "lineage", id: "lineage" },
    h("h2", {}, "Where it comes from"),
    h("ol", {},
      step("Patch words", on
        ? [
            h("p", { class: "strong" }, phrase.words.map((word) => h("span", { class: "tag" }, word.text, h("i", {}, word.role)))),
            h("p", {}, `${counted(phrase.patches.length, "patch", "patches")} of ${source.grid ? source.grid.join(" × ") : "the grid"}, the best covered ${percent(Math.max(...phrase.coverage))}, score ${phrase.score.toFixed(2)}, by ${phrase.annotator}`),
          ]
        : h("p", { class: "quiet" }, phrase.why_not ? `None: ${phrase.why_not}.` : "None.")),
      step(phrase.regions.length === 1 ? "Region" : "Regions", phrase.regions.length
        ? phrase.regions.map((region) => h("p", { class: "region" },
            h("span", { class: "n" }, `${region.masked ? "mask within" : "box"} ${box(region.box)} px`),
            `, by ${region.annotator}, score ${region.score.toFixed(2)}`,
            h("span", { class: "id" }, region.region_id)))
        : h("p", { class: "quiet" }, phrase.why_not ? `None: ${phrase.why_not}.` : "None.")),
      step("Phrase", [h("p", {}, phrase.text), h("span", { class: "id" }, phrase.phrase_id)]),
      step("Caption", caption
        ? [
            h("p", { class: "cited", id: "cited" }, cite(caption, phrase)),
            h("p", { class: "n", id: "characters", data: { start: phrase.start, end: phrase.end } },
              `characters ${phrase.start} to ${phrase.end}`),
            h("span", { class: "id" }, caption.caption_id),
          ]
        : h("p", { class: "quiet" }, "The table of captions does not have it.")),
      step("Image", [
        h("p", {}, found.image.path ?? `${counted(found.image.bytes ?? 0, "byte")} in the table images`),
        h("span", { class: "id" }, `SHA-256 ${found.image.sha256}`),
      ])),
    on ? h("p", {}, h("a", { class: "button", href: overlay(id), target: "_blank", rel: "noopener" }, "Open as a picture")) : null);
}

function step(title, inside) {
  return h("li", {}, h("h3", {}, title), inside);
}

function box([x0, y0, x1, y1]) {
  const short = (number) => String(Math.round(number * 10) / 10);
  return `(${[x0, y0, x1, y1].map(short).join(", ")})`;
}

/** The caption with the phrase's characters marked, put together from the server's pieces. */
function cite(caption, phrase) {
  const text = (pieces) => pieces.map((piece) => piece.text).join("");
  const { segments } = caption;
  return [
    text(segments.filter((piece) => piece.end <= phrase.start)),
    h("mark", {}, text(segments.filter((piece) => piece.start >= phrase.start && piece.end <= phrase.end))),
    text(segments.filter((piece) => piece.start >= phrase.end)),
  ];
}
