// Builds page elements; text is always inserted as text, so that guests' input never becomes markup.

/** Creates an element: `el("li", { class: "card" }, child, "text", null)`; listeners as `onclick`. */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Replaces the children only if the fingerprint changed, so that focus and selection survive. */
export function fill(parent, children, fingerprint) {
  const print = JSON.stringify(fingerprint);
  if (parent.dataset.print === print) return;
  parent.dataset.print = print;
  parent.replaceChildren(...children());
}
