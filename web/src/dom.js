/** Find and create elements. Texts go in as text, never as HTML. */

export function byId(id) {
  return document.getElementById(id);
}

/**
 * @param {string} tag
 * @param {object} properties Set on the element; `style` holds CSS properties.
 * @param {(Node|string)[]} children
 */
export function element(tag, { style, ...properties } = {}, children = []) {
  const made = Object.assign(document.createElement(tag), properties);
  Object.assign(made.style, style);
  made.append(...children);
  return made;
}

/** A small square in the colour of a class. */
export function dot(colour) {
  const made = element("span", { className: "dot", style: { background: colour } });
  made.ariaHidden = "true";
  return made;
}
