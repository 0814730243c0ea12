/** A text with marked entities, to read. */
import { h } from "preact";
import htm from "htm";
import { Text, direction, nested } from "./text.js";

/** @typedef {import("./types.js").Entity} Entity */
export const html = htm.bind(h);

/** Return the page's text for a confidence. @param {number | undefined} confidence */
export function sure(confidence) {
  return confidence === undefined ? "" : `, confidence ${confidence.toFixed(2)}`;
}

/**
 * A text to read, with nested marks.
 * @param {{text: Text, entities: Entity[], colours: Map<string, string>}} props
 */
export function Reading({ text, entities, colours }) {
  /** @param {import("./text.js").Node[]} nodes @param {number} start @param {number} end @returns {any[]} */
  const pieces = (nodes, start, end) => {
    const found = [];
    let place = start;
    for (const each of nodes) {
      if (place < each.start) found.push(text.slice(place, each.start));
      found.push(html`<mark class="entity" style=${{ "--c": colours.get(each.type) }}
        title=${each.type + sure(each.confidence)}>${pieces(each.inside, each.start, each.end)}<span
        class="tag">${each.type}${each.confidence !== undefined && html` <small>${each.confidence.toFixed(2)}</small>`}
        </span></mark>`);
      place = each.end;
    }
    if (place < end) found.push(text.slice(place, end));
    return found;
  };
  return html`<div class="sentence reading" dir=${direction(text.text)} lang="">
    ${pieces(nested(entities), 0, text.length)}</div>`;
}
