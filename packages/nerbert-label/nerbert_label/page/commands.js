/** Actions on the current sentence, and their keys. */
import { useEffect, useRef } from "preact/hooks";
import { say } from "./api.js";
import { focusSentence } from "./saver.js";
import { atCursor, stepped, withSuggestions } from "./sheet.js";
import { WORD, betweenSpaces, direction, spanOf, withEntity, withSame } from "./text.js";

/** @typedef {import("./saver.js").Saver} Saver */
/** @typedef {import("./types.js").Entity} Entity */
/** @typedef {import("./types.js").LabelType} LabelType */
const BURST = 250; // milliseconds between keys that belong together
const CODES = /^(?:Key|Digit)(.)$/;
export const KEYS = [
  ["1–9, letters", "choose the type, or label the chosen words with it"],
  ["click, drag", "label words; with Alt characters"],
  ["double click, ↑", "the whole word between spaces"], ["← →", "go to a word; with Shift choose several"],
  ["Home, End", "go to the first or last word"], ["Enter", "accept the sentence"],
  ["Shift Enter", "accept all suggestions and the sentence"], ["a", "accept all suggestions"],
  ["s", "accept the suggestion at the word"], ["m", "label the same words everywhere in the sentence"],
  ["Backspace", "remove the label at the word"], ["x", "reject: not a sentence to learn from"], ["Space", "skip"],
  ["Ctrl Z", "undo, any number of steps"], ["c", "show the sentences around it"], ["/", "find a type"],
  ["Esc", "let go"],
  ["?", "show these keys"],
];

/** Return the chosen type. @param {Saver} saver @param {LabelType[]} types */
export function chosenType(saver, types) {
  return types.find((each) => each.name === saver.sheet.chosen) || types[0];
}

/** Label a span; without a type, let the user create one. @param {Saver} saver @param {Entity} one */
export function label(saver, one) {
  const { entities, text } = saver.sheet;
  if (!one.type) saver.set({ editing: true });
  else saver.change(withEntity(entities, one), `${text.slice(one.start, one.end)} is ${one.type}`, one);
}

/** Choose a type, for the selected words if there are any. @param {Saver} saver @param {string} name */
export function choose(saver, name) {
  const { cursor, text, words } = saver.sheet;
  saver.set({ chosen: name });
  if (!cursor) say(`${name} is chosen`);
  else {
    const [start, end] = spanOf(text, words, cursor);
    if (WORD.test(text.slice(start, end))) label(saver, { start, end, type: name });
    else saver.queue.then(() => saver.set({ problem: "Punctuation alone is no label: go to a word, or to several." }));
  }
}

/** @param {Saver} saver @param {Entity | null | undefined} one */
export function remove(saver, one) {
  const { entities } = saver.sheet;
  const left = one ? entities.filter((each) => each.start !== one.start || each.end !== one.end) : entities;
  if (one && left.length < entities.length) saver.change(left, `${one.type} removed`);
}

/** Accept the sentence; without types, let the user create some. @param {Saver} saver @param {LabelType[]} types */
export function accept(saver, types) {
  if (types.length) saver.answer("accept");
  else saver.set({ editing: true });
}

/** Accept the sentence with all suggestions. @param {Saver} saver */
export function acceptWithSuggestions(saver) {
  saver.answer("accept", withSuggestions(saver.sheet));
}

/** @param {Saver} saver */
function takeOne(saver) {
  const one = atCursor(saver.sheet, saver.sheet.suggestions) || saver.sheet.suggestions[0];
  if (one) label(saver, { start: one.start, end: one.end, type: one.type });
}

/** @param {Saver} saver */
function takeAll(saver) {
  if (saver.sheet.suggestions.length) saver.change(withSuggestions(saver.sheet), "All suggestions accepted");
}

/** Label the same words everywhere. @param {Saver} saver */
function labelSame(saver) {
  const { text, words, entities, last } = saver.sheet;
  const one = atCursor(saver.sheet, entities) || last || entities[entities.length - 1];
  if (!one) return;
  const wanted = withSame(text, words, entities, one);
  saver.change(wanted, `${wanted.length - entities.length} more`);
}

/** Select words, and announce them. @param {Saver} saver @param {import("./types.js").Range} cursor */
function go(saver, cursor) {
  saver.set({ cursor, problem: "" });
  const { sheet } = saver;
  const [known, suggested] = [sheet.entities, sheet.suggestions].map((some) => atCursor(sheet, some));
  const mark = known ? `, ${known.type}` : suggested ? `, ${suggested.type} is suggested` : "";
  say(sheet.text.slice(...spanOf(sheet.text, sheet.words, cursor)) + mark);
}

/** @param {number} by @param {boolean} [extend] @returns {(saver: Saver) => void} */
const step = (by, extend = false) => (saver) => go(saver, stepped(saver.sheet, by, extend));

/** @type {Record<string, (saver: Saver, types: LabelType[]) => void>} */
const COMMANDS = {
  Enter: accept, "Shift+Enter": (saver, types) => (types.length ? acceptWithSuggestions(saver) : accept(saver, types)),
  x: (saver) => saver.answer("reject"), " ": (saver) => saver.answer("skip"), a: takeAll, s: takeOne, m: labelSame,
  Backspace: removeHere, Delete: removeHere,
  c: (saver) => saver.set({ context: !saver.sheet.context }), "?": (saver) => saver.set({ keys: !saver.sheet.keys }),
  "/": () => document.getElementById("find-type")?.focus(),
  Escape: (saver) => saver.set(saver.sheet.keys ? { keys: false } : { cursor: null }),
  ArrowRight: step(1), ArrowLeft: step(-1), "Shift+ArrowRight": step(1, true), "Shift+ArrowLeft": step(-1, true),
  Home: step(-Infinity), End: step(Infinity), "Shift+Home": step(-Infinity, true), "Shift+End": step(Infinity, true),
  ArrowUp: (saver) => saver.sheet.cursor && go(saver, betweenSpaces(saver.sheet.text, saver.sheet.words,
    saver.sheet.cursor)),
};

/** @param {Saver} saver */
function removeHere(saver) {
  remove(saver, saver.sheet.cursor ? atCursor(saver.sheet, saver.sheet.entities) : saver.sheet.last);
}

/**
 * Let keys act on the sentence while it is shown, and warn users who leave before everything is saved.
 * @param {Saver} saver @param {LabelType[]} types @param {boolean} shown
 */
export function useKeyboard(saver, types, shown) {
  const latest = useRef({ types, shown });
  latest.current = { types, shown };
  useEffect(() => {
    let lost = -BURST; // when the last key was lost
    /** @param {KeyboardEvent} event */
    const press = (event) => {
      if (!latest.current.shown || saver.sheet.editing || !isForSentence(event)) return;
      const isCommand = event.ctrlKey || event.metaKey;
      if (saver.undoing && !isCommand && !event.altKey) {
        event.preventDefault(); // it is meant for the sentence that undo brings back
        saver.queue.then(() => setTimeout(() => press(event)));
      } else if (!isCommand && (saver.moving || event.timeStamp - lost < BURST)) {
        lost = event.timeStamp; // other keys typed ahead are dropped, too: a part of them would label wrongly
        event.preventDefault();
      } else act(saver, latest.current.types, event);
    };
    /** @param {Event} event */
    const warn = (event) => saver.waiting && event.preventDefault();
    document.addEventListener("keydown", press);
    addEventListener("beforeunload", warn);
    return () => {
      document.removeEventListener("keydown", press);
      removeEventListener("beforeunload", warn);
    };
  }, []);
}

/** Perform the action of a key. @param {Saver} saver @param {LabelType[]} types @param {KeyboardEvent} event */
function act(saver, types, event) {
  const pressed = types.some((each) => each.key === event.key.toLowerCase()) ? event.key : latin(event);
  if (event.ctrlKey || event.metaKey) {
    if (event.shiftKey || pressed.toLowerCase() !== "z") return;
    event.preventDefault();
    saver.undo();
    return;
  }
  if (event.altKey) return;
  const { item } = saver.sheet;
  let key = event.shiftKey && pressed.length > 1 ? `Shift+${pressed}` : pressed;
  if (item && direction(item.text) === "rtl") key = mirrored(key);
  const run = item || key === "?" ? COMMANDS[key.length === 1 ? key.toLowerCase() : key] : undefined;
  const type = item && types.find((each) => each.key && each.key === pressed.toLowerCase());
  const held = event.repeat && !key.includes("Arrow"); // a held key answers one sentence
  if (run || held || type) event.preventDefault();
  if (held) return;
  if (run) run(saver, types);
  else if (type) choose(saver, type.name);
}

/** @param {KeyboardEvent} event */
function isForSentence({ target, key }) {
  if (!(target instanceof Element)) return true;
  if (target.closest("input, textarea, select, dialog")) return false;
  return !(["Enter", " "].includes(key) && target.closest("button, summary, a, [role=dialog]"));
}

/**
 * Return a key as on a keyboard with Latin letters and with digits without Shift: by position, if it has others.
 * @param {KeyboardEvent} event
 */
function latin(event) {
  if (event.key.length > 1 || /[ a-z0-9/?]/i.test(event.key)) return event.key;
  if (event.code === "Slash") return event.shiftKey ? "?" : "/";
  const found = event.shiftKey ? null : CODES.exec(event.code);
  return found ? found[1].toLowerCase() : event.key;
}

/** @param {string} key */
function mirrored(key) {
  return key.endsWith("Right") ? key.replace("Right", "Left") : key.replace("Left", "Right");
}
