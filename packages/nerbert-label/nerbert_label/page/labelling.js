/** A sentence to label by mouse, finger and keyboard. */
import { useMemo, useRef, useState } from "preact/hooks";
import { html, sure } from "./sentence.js";
import { Text, betweenSpaces, direction, spanOf } from "./text.js";

/** @typedef {import("./types.js").Entity} Entity */
/** @typedef {import("./types.js").Range} Range */
const [DOUBLE, NEAR] = [400, 6]; // milliseconds and pixels between the clicks of a double click

/**
 * A sentence to label. `onRange` is called with the selected code points; `cursor` is the keyboard's selection.
 * @param {{text: Text, words: [number, number][], entities: Entity[], suggestions: Entity[], cursor: Range | null,
 *   colours: Map<string, string>, onRange: (start: number, end: number) => void, onRemove: (one: Entity) => void,
 *   type: string, onRetype: (one: Entity) => void, onTake: (one: Entity) => void, onDismiss: (one: Entity) => void}} props
 */
export function Labelling(props) {
  const { text, words, entities, suggestions, cursor, colours, type } = props;
  const [dragged, setDragged] = useState(/** @type {Range | null} */ (null));
  const [exact, setExact] = useState(false);
  const [over, setOver] = useState(-1); // the word under the mouse, which may be in two pieces
  const from = useRef(/** @type {number | null} */ (null));
  const last = useRef({ time: -DOUBLE, x: 0, y: 0, word: 0 }); // a click on a word
  const all = useMemo(() => atoms(text, words, entities, suggestions), [text, words, entities, suggestions]);

  /** @param {PointerEvent} event @returns {number | null} the word, or with Alt the character, at the pointer */
  const placeAt = (event) => ((dragged ? exact : event.altKey) ? characterAt(text, event) : wordAt(event));
  /** @param {PointerEvent} event */
  const down = (event) => {
    const target = /** @type {Element} */ (event.target);
    const isButton = target.closest("button") !== null;
    if (isButton) event.preventDefault(); // the sentence keeps the keyboard focus
    if (isButton || event.button !== 0) return;
    const { time, x, y, word } = last.current;
    last.current.time = -DOUBLE;
    if (event.timeStamp - time < DOUBLE && Math.hypot(event.clientX - x, event.clientY - y) < NEAR) {
      event.preventDefault(); // the element at the pointer may have moved there: the label's name is new
      props.onRange(...spanOf(text, words, betweenSpaces(text, words, { from: word, to: word })));
      return;
    }
    from.current = placeAt(event);
    if (from.current === null) return;
    if (event.pointerType !== "touch") event.preventDefault(); // otherwise the browser selects text
    const box = /** @type {HTMLElement} */ (event.currentTarget);
    box.setPointerCapture(event.pointerId); // a drag may leave the box
    box.focus({ preventScroll: true });
    setDragged({ from: from.current, to: from.current });
    setExact(event.altKey);
    if (!event.altKey) last.current = { time: event.timeStamp, x: event.clientX, y: event.clientY, word: from.current };
  };
  /** @param {PointerEvent} event */
  const move = (event) => {
    setOver((event.pointerType === "mouse" ? wordAt(event) : null) ?? -1);
    const place = from.current === null ? null : placeAt(event);
    if (place !== null && from.current !== null) setDragged({ from: from.current, to: place });
  };
  const up = () => {
    const range = dragged;
    from.current = null;
    setDragged(null);
    if (!range) return;
    if (exact) props.onRange(...charactersOf(text, range));
    else props.onRange(...spanOf(text, words, range));
  };
  const stop = () => {
    from.current = null;
    setDragged(null);
  };
  const shown = dragged || cursor;
  const [low, high] = shown ? [Math.min(shown.from, shown.to), Math.max(shown.from, shown.to)] : [-1, -1];

  /** @param {Atom} atom */
  const piece = (atom) => {
    const byPoint = dragged !== null && exact;
    const place = byPoint ? atom.start : atom.word;
    const chosen = atom.word >= 0 && place <= high && (byPoint ? atom.end > low : place >= low);
    const state = chosen ? "word chosen" : atom.word === over && over >= 0 ? "word over" : "word";
    return html`<span class=${state} data-word=${atom.word} data-start=${atom.start}
      >${text.slice(atom.start, atom.end)}</span>`;
  };
  const marked = all.map(({ mark, pieces }) => {
    if (!mark) return pieces.map(piece);
    const last = { ...pieces[pieces.length - 1] }; // the character that always stays with the type's name
    last.start += new Text(text.slice(last.start, last.end)).characters().pop()?.[0] || 0;
    const isLabel = entities.includes(mark);
    const said = text.slice(mark.start, mark.end);
    const shade = { "--c": colours.get(mark.type), "--p": String(mark.confidence ?? 1) };
    const head = pieces.map((each) => piece({ ...each, end: Math.min(each.end, last.start) }));
    return html`<span class=${isLabel ? "entity" : "entity suggested"} style=${shade}>${head}<span class="end">${
      piece(last)}<span class="tag"><button class="type" type="button" tabindex="-1"
        title=${isLabel ? "Change to the chosen type" : `Take this suggestion${sure(mark.confidence)}`}
        aria-label=${isLabel ? `${said}: ${mark.type}. Change the type` : `${said}: ${mark.type}? Take it`}
        onClick=${() => (isLabel ? props.onRetype(mark) : props.onTake(mark))}
        >${mark.type}${isLabel ? "" : "?"}</button>${!isLabel && type !== mark.type && html`<button class="as"
        type="button" tabindex="-1" title=${`Take as ${type}, the chosen type`} style=${{ "--c": colours.get(type) }}
        aria-label=${`${said}: take as ${type}`} onClick=${() => props.onRetype(mark)}>⇄</button>`}<button
        class="cross" type="button" tabindex="-1"
        aria-label=${`Remove ${mark.type} from ${said}`}
        onClick=${() => (isLabel ? props.onRemove(mark) : props.onDismiss(mark))}>×</button></span></span></span>`;
  });
  return html`<div class="sentence" dir=${direction(text.text)} lang="" tabindex="0" id="sentence" role="application"
    aria-label="Sentence to label. Arrow keys choose words." onPointerDown=${down} onPointerMove=${move}
    onPointerUp=${up} onPointerCancel=${stop} onPointerLeave=${() => setOver(-1)}>${marked}</div>`;
}

/**
 * @typedef {{start: number, end: number, word: number}} Atom A piece of text inside one word, or between words (-1).
 * @typedef {{mark: Entity | null, pieces: Atom[]}} Marked
 */

/**
 * Return the text, split at words and marks, grouped by mark.
 * @param {Text} text @param {[number, number][]} words @param {Entity[]} entities @param {Entity[]} suggestions
 * @returns {Marked[]}
 */
function atoms(text, words, entities, suggestions) {
  const marks = [...entities, ...suggestions].sort((a, b) => a.start - b.start);
  const cuts = new Set([0, text.length]);
  for (const [start, end] of words) cuts.add(start).add(end);
  for (const each of marks) cuts.add(each.start).add(each.end);
  const places = [...cuts].sort((a, b) => a - b);
  /** @type {Marked[]} */
  const found = [];
  let word = 0;
  let mark = 0;
  for (let n = 0; n + 1 < places.length; n += 1) {
    const [start, end] = [places[n], places[n + 1]];
    while (word < words.length && words[word][1] <= start) word += 1;
    while (mark < marks.length && marks[mark].end <= start) mark += 1;
    const inWord = word < words.length && words[word][0] <= start;
    const one = mark < marks.length && marks[mark].start <= start ? marks[mark] : null;
    if (!found.length || found[found.length - 1].mark !== one) found.push({ mark: one, pieces: [] });
    found[found.length - 1].pieces.push({ start, end, word: inWord ? word : -1 });
  }
  return found;
}

/** Return the index of the word at a pointer; null between words. @param {PointerEvent} event */
function wordAt(event) {
  const under = document.elementFromPoint(event.clientX, event.clientY);
  const place = under && under.closest("#sentence [data-word]");
  const word = place instanceof HTMLElement ? Number(place.dataset.word) : -1;
  return word < 0 ? null : word;
}

/** Return the code point at a pointer; null outside the text. @param {Text} text @param {PointerEvent} event */
function characterAt(text, event) {
  const caret = document.caretPositionFromPoint(event.clientX, event.clientY);
  const piece = caret && caret.offsetNode.parentElement && caret.offsetNode.parentElement.closest("[data-start]");
  if (!caret || !(piece instanceof HTMLElement)) return null;
  return text.pointAt(text.places[Number(piece.dataset.start)] + caret.offset);
}

/** Return whole characters (graphemes) between two carets. @param {Text} text @param {Range} range */
function charactersOf(text, range) {
  const [low, high] = [Math.min(range.from, range.to), Math.max(range.from, range.to)];
  const all = text.characters();
  const touched = all.filter(([start, end]) => start < Math.max(high, low + 1) && end > low);
  const [first, last] = [touched[0] || all[all.length - 1], touched[touched.length - 1] || all[all.length - 1]];
  return /** @type {[number, number]} */ ([first[0], last[1]]);
}
