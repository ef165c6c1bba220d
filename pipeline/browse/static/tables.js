// The tables of the dataset: rows, the stage that makes each, its columns, and what is missing.

import { count, h } from "./dom.js";

export function drawTables(root, about) {
  root.append(
    h("h1", {}, "Tables"),
    h("p", { class: "intro" }, "Folders of Arrow files below ", h("code", {}, about.folder), ", as any Arrow reader opens them."),
    about.grid_problem ? h("p", { class: "problem" }, about.grid_problem) : "",
    h("div", { class: "tables" }, about.tables.map(drawTable)),
    ...drawCompared(about.compare),
  );
}

function drawTable(table) {
  return h("details", { class: table.problem ? "table missing" : "table", data: { table: table.name } },
    h("summary", {},
      h("b", {}, table.name),
      h("span", { class: "n" }, table.problem ? "missing" : count(table.rows)),
      h("span", { class: "quiet" }, table.problem ?? table.doc)),
    h("dl", {},
      h("div", {}, h("dt", {}, "made by"), h("dd", {}, h("code", {}, `dvc repro ${table.stage}`))),
      table.params ? h("div", {}, h("dt", {}, "digest of its settings"), h("dd", {}, h("code", {}, table.params))) : null,
      table.columns.map((column) => h("div", {}, h("dt", {}, h("code", {}, column.name)), h("dd", {}, column.doc)))));
}

function drawCompared(compare) {
  const names = Object.keys(compare);
  if (!names.length) return [];
  return [
    h("h2", {}, "Compared with"),
    h("dl", { class: "compared" }, names.map((name) => h("div", {},
      h("dt", {}, name),
      h("dd", {}, h("code", {}, compare[name].folder),
        Object.entries(compare[name].problems)
          .filter(([table]) => ["phrases", "regions", "patch_words"].includes(table))
          .map(([, problem]) => h("p", { class: "problem" }, problem)))))),
  ];
}
