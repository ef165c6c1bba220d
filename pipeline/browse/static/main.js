// The page: which view is open, and what every view shares.

import { ask } from "./api.js";
import { byId, count, h } from "./dom.js";
import { Gallery } from "./gallery.js";
import { listenForKeys } from "./keys.js";
import { LeftOut } from "./left_out.js";
import { Scene } from "./scene.js";
import { address, now, onChange } from "./state.js";
import { drawTables } from "./tables.js";

const VIEWS = [
  ["", "Images", (about) => about.images],
  ["left-out", "Left out", (about) => about.rejects.reduce((sum, each) => sum + each.rows, 0)],
  ["tables", "Tables", () => null],
];

let about, gallery, scene, leftOut;

async function start() {
  try {
    about = await ask("dataset");
  } catch (error) {
    byId("failure").hidden = false;
    byId("failure").textContent = error.message;
    return;
  }
  byId("folder").textContent = about.folder;
  byId("folder").title = about.folder;
  gallery = new Gallery(byId("gallery"), about);
  scene = new Scene(byId("scene"), about);
  leftOut = new LeftOut(byId("left-out"), about);
  drawTables(byId("tables"), about);
  listenForKeys({ gallery, scene });
  document.addEventListener("click", followLinks);
  onChange(show);
  show(now());
}

/** Links with data-go change the state instead of loading the page again. */
function followLinks(event) {
  const link = event.target.closest("a[data-go]");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
  event.preventDefault();
  history.pushState(null, "", link.getAttribute("href"));
  show(now());
}

function show(state) {
  const open = state.image ? "scene" : state.view === "left-out" || state.view === "tables" ? state.view : "gallery";
  drawViews(open);
  for (const id of ["gallery", "scene", "left-out", "tables"]) byId(id).hidden = id !== open;
  document.title = state.image ? `${state.image} · patchwords` : "patchwords";
  if (open === "gallery") gallery.show(state);
  if (open === "scene") scene.show(state);
  else scene.leave();
  if (open === "left-out") leftOut.show(state);
}

function drawViews(open) {
  byId("views").replaceChildren(
    ...VIEWS.map(([view, title, rows]) =>
      h(
        "a",
        {
          href: address(view ? { view } : {}),
          data: { go: view || "gallery" },
          "aria-current": open === (view || "gallery") ? "page" : null,
        },
        title,
        rows(about) === null ? null : h("span", { class: "n" }, count(rows(about))),
      ),
    ),
  );
}

start();
