// Captions whose words can be pointed at, focused and held. The server cut them; see pipeline/browse/captions.py.

import { h } from "./dom.js";

/** The captions; `over(lights)`, `out()` and `hold(phrase id)` are called as words are pointed at and clicked. */
export function drawCaptions({ captions, sources }, { over, out, hold }) {
  const onPatches = new Set(sources.flatMap((source) =>
    source.phrases.filter((phrase) => phrase.patches.length).map((phrase) => phrase.phrase_id)));

  const list = h("ol", { class: "captions" }, captions.map((caption) =>
    h("li", {}, h("p", {}, caption.segments.map((segment) => drawSegment(segment, onPatches))), h("span", { class: "id" }, caption.caption_id))));
  const lightsAt = (event) => event.target.closest?.("[data-lights]");
  list.addEventListener("pointerover", (event) => {
    const at = lightsAt(event);
    if (at && event.pointerType !== "touch") over(JSON.parse(at.dataset.lights));
  });
  list.addEventListener("pointerout", (event) => {
    if (lightsAt(event) && !event.relatedTarget?.closest?.("[data-lights]")) out();
  });
  list.addEventListener("focusin", (event) => {
    const at = lightsAt(event);
    if (at?.matches(":focus-visible")) over(JSON.parse(at.dataset.lights));
  });
  list.addEventListener("focusout", () => out());
  list.addEventListener("click", (event) => {
    const at = lightsAt(event);
    if (at) hold(Object.values(JSON.parse(at.dataset.lights))[0][0]);
  });
  list.addEventListener("keydown", (event) => {
    if ((event.key === "Enter" || event.key === " ") && lightsAt(event)) {
      event.preventDefault();
      lightsAt(event).click();
    }
  });
  return list;
}

function drawSegment(segment, onPatches) {
  const lights = Object.keys(segment.lights).length ? JSON.stringify(segment.lights) : null;
  if (segment.word) {
    // Not a button element: that would stand as a block of its own among the words.
    const data = { lights, start: segment.start, end: segment.end };
    const dark = !Object.values(segment.lights).flat().some((id) => onPatches.has(id));
    return h("span", { class: dark ? "word dark" : "word", role: "button", tabindex: "0", "aria-pressed": "false", data }, segment.text);
  }
  if (lights) return h("span", { class: "between", data: { lights } }, segment.text);
  if (segment.left_out) return h("span", { class: "left-out", title: segment.left_out }, segment.text);
  return segment.text;
}

/** Show which words are lit, which a patch carries, and which phrase is held. */
export function markCaptions(list, lit, carried, held = null) {
  for (const piece of list.querySelectorAll("[data-lights]")) {
    const ids = Object.values(JSON.parse(piece.dataset.lights)).flat();
    piece.classList.toggle("lit", ids.some((id) => lit.has(id)));
    piece.classList.toggle("carried", ids.some((id) => carried.has(id)));
    if (piece.tabIndex === 0) piece.setAttribute("aria-pressed", String(held !== null && ids.includes(held)));
  }
}
