// The keyboard: what works everywhere. The patch grid and the gallery handle arrows themselves.

import { byId, h, typing } from "./dom.js";
import { change, now } from "./state.js";

const KEYS = [
  ["/", "type a filter"],
  ["← ↑ → ↓", "in the gallery: from image to image"],
  ["Enter", "open the image; hold a word or a patch"],
  ["← →", "in an image: the one before, the next"],
  ["Tab", "from word to word of the captions, then to the patches"],
  ["← ↑ → ↓", "on the patches: from patch to patch"],
  ["Esc", "let go of the patch, then of the word, then back to the gallery"],
  ["?", "this list"],
];

export function listenForKeys({ gallery, scene }) {
  const dialog = byId("keys");
  dialog.append(
    h("h2", {}, "Keyboard"),
    h("dl", {}, KEYS.map(([keys, what]) => h("div", {}, h("dt", {}, h("kbd", {}, keys)), h("dd", {}, what)))),
    h("form", { method: "dialog" }, h("button", { class: "button" }, "Close")),
  );
  byId("keys-button").addEventListener("click", () => dialog.showModal());

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || dialog.open) return;
    if (event.key === "Escape") return escape(event);
    if (typing(event)) return;
    if (event.key === "/") {
      event.preventDefault();
      if (now().image || now().view) change({ image: null, phrase: null, patch: null, view: null });
      gallery.typeFilter();
    } else if (event.key === "?") {
      dialog.showModal();
    } else if (now().image && !event.target.closest?.(".stage svg") && (event.key === "ArrowLeft" || event.key === "ArrowRight")) {
      event.preventDefault();
      scene.step(event.key === "ArrowLeft" ? "previous" : "next");
    }
  });

  function escape(event) {
    if (typing(event)) return event.target.blur();
    const state = now();
    if (state.patch) change({ patch: null });
    else if (state.phrase) change({ phrase: null });
    else if (state.image) scene.close();
  }
}
