// What is shown is what the address says: every view can be linked to, reopened and gone back from.

/** What narrows the gallery, by the names that the server knows. */
export const FILTERS = [
  "split", "word", "annotator", "score_min", "score_max", "coverage_min", "coverage_max", "rejects", "where",
];
/*
 * Beside the filters:
 *   view     "left-out" or "tables"; none: the gallery
 *   at       number of the first image that the gallery shows
 *   image    id of the image that is open
 *   phrase   id of the phrase that is held lit
 *   patch    number of the patch whose words are listed
 *   stage, reason   what the left-out rows are narrowed to
 */
const listeners = [];

/** The state: names and values as text; a name without a value is not there. */
export function now() {
  const found = {};
  for (const [name, value] of new URLSearchParams(location.search)) if (value !== "") found[name] = value;
  return found;
}

/** The address of a state. */
export function address(state) {
  const kept = Object.entries(state).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const query = new URLSearchParams(kept).toString().replaceAll("%2F", "/");
  return query ? `/?${query}` : "/";
}

/** Change some of the state; a value of null takes a name out. `quiet`: no new entry in the history. */
export function change(changes, { quiet = false } = {}) {
  const next = address({ ...now(), ...changes });
  if (next === location.pathname + location.search) return;
  history[quiet ? "replaceState" : "pushState"](null, "", next);
  for (const listener of listeners) listener(now());
}

/** Note something in the address without drawing anew. */
export function note(changes) {
  history.replaceState(null, "", address({ ...now(), ...changes }));
}

/** Call `listener` with the state whenever it changes. */
export function onChange(listener) {
  listeners.push(listener);
}

/** The filters of a state, as a query for the server. */
export function filtersOf(state) {
  return Object.fromEntries(FILTERS.filter((name) => state[name]).map((name) => [name, state[name]]));
}

addEventListener("popstate", () => listeners.forEach((listener) => listener(now())));
