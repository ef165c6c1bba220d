// Small helpers for building the page. Text always goes in as text, never as HTML.

/** An HTML element: properties, then children (elements, strings, null). */
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** The same for SVG. */
export function s(tag, properties = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children);
}

function fill(node, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(node.style, value);
    else if (name === "data") Object.assign(node.dataset, Object.fromEntries(Object.entries(value).filter(([, each]) => each !== null && each !== undefined)));
    else if (name === "value" || name === "checked") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export const byId = (id) => document.getElementById(id);

const WHOLE = new Intl.NumberFormat("en");
export const count = (number) => WHOLE.format(number);

/** "1 image", "2,000 images". */
export function counted(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

export const percent = (share) => `${Math.round(share * 100)}\u202f%`;

/** Tell a screen reader. */
export function say(text) {
  byId("status").textContent = text;
}

/** Whether a key press is meant for a field that is being typed in. */
export function typing(event) {
  const at = event.target;
  return at.matches?.("input:not([type=radio]):not([type=checkbox]), textarea, select") ?? false;
}

/** Run `work` once nothing has called for `wait` milliseconds. */
export function settled(work, wait) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...values), wait);
  };
}
