/** The page's state of the current sentence, and its changes; nothing here touches page or server. */
import { Text, overlap, wholeWords, withEntity } from "./text.js";

/** @typedef {import("./types.js").Entity} Entity */
/** @typedef {import("./states.js").Item} Item */
/** @typedef {import("./types.js").Range} Range */
/**
 * @typedef {{item: Item | null | undefined, text: Text, words: [number, number][], entities: Entity[],
 *   suggestions: Entity[], last: Entity | null, cursor: Range | null, chosen: string, context: boolean, keys: boolean,
 *   editing: boolean, away: string, problem: string}} Sheet
 *   `item` is null if none is left, undefined before the first; `last` is the entity labelled last; `cursor` selects *
 words by keyboard; `chosen` is a type, "" for the first; `context`, `keys` and `editing` (of types) are True if they *
 are shown; `away` is the reason why the server can't be reached.
 * @typedef {{do: "show", item: Item | null} | {do: "change", entities: Entity[], last: Entity | null}
 *   | {do: "set", to: Partial<Sheet>}} Action
 */

/** @type {Sheet} */
export const START = {
  item: undefined, text: new Text(""), words: [], entities: [], suggestions: [], last: null, cursor: null, chosen: "",
  context: false, keys: false, editing: false, away: "", problem: "",
};

/** Return a sheet after an action. @param {Sheet} sheet @param {Action} action @returns {Sheet} */
export function reduce(sheet, action) {
  if (action.do === "set") return { ...sheet, ...action.to };
  if (action.do === "change") {
    const { entities, last } = action;
    return { ...sheet, entities, last, suggestions: apart(sheet.suggestions, entities) };
  }
  const { item } = action;
  const text = new Text(item ? item.text : "");
  return {
    ...sheet, item, text, words: wholeWords(text, item ? item.words : []), cursor: null, last: null,
    entities: item ? item.entities : [], suggestions: item ? apart(item.suggestions, item.entities) : [],
  };
}

/** Return the entities with all suggestions. @param {Sheet} sheet @returns {Entity[]} */
export function withSuggestions({ entities, suggestions }) {
  return suggestions.reduce(withEntity, entities).map(({ start, end, type }) => ({ start, end, type }));
}

/** Return the entity, or suggestion, at the selected word. @param {Sheet} sheet @param {Entity[]} some */
export function atCursor({ words, cursor }, some) {
  if (!cursor) return undefined;
  const [start, end] = words[cursor.to];
  return some.find((each) => overlap(each, { start, end, type: "" }));
}

/** Return the words selected after a step. @param {Sheet} sheet @param {number} step @param {boolean} extend */
export function stepped({ words, cursor }, step, extend) {
  const most = words.length - 1;
  const before = cursor ? cursor.to : step === 1 ? -1 : most + 1; // without one, a step right goes to the first
  const to = Math.min(most, Math.max(0, before + step));
  return { from: extend && cursor ? cursor.from : to, to };
}

/** @param {Entity[]} suggestions @param {Entity[]} entities */
function apart(suggestions, entities) {
  return suggestions.filter((each) => !entities.some((one) => overlap(one, each)));
}
