/** Texts by code points, as the server counts them, and the entities in them; nothing here touches the page. */
/** @typedef {import("./types.js").Entity} Entity */
/** @typedef {import("./types.js").Range} Range */

const RIGHT_TO_LEFT = /^[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u;
export const WORD = /[^\p{P}\p{Z}\p{C}]/u; // symbols count: $5, emoji
const SPACELESS = /[\p{sc=Han}\p{sc=Hira}\p{sc=Kana}\p{sc=Thai}\p{sc=Laoo}\p{sc=Khmr}\p{sc=Mymr}]/u;

/** A text whose offsets count code points. */
export class Text {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
    const places = [0];
    for (const char of text) places.push(places[places.length - 1] + char.length);
    /** The offset of each code point in UTF-16 units, which JavaScript counts. */
    this.places = Uint32Array.from(places);
    this.length = places.length - 1;
  }

  /** @param {number} start @param {number} end @returns {string} */
  slice(start, end) {
    return this.text.slice(this.places[start], this.places[end]);
  }

  /** Return the code point at an offset in UTF-16 units. @param {number} unit */
  pointAt(unit) {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.places[middle] < unit) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Return start and end of the graphemes (characters as readers see them) around code points. */
  characters() {
    const found = [...new Intl.Segmenter(undefined, { granularity: "grapheme" }).segment(this.text)];
    return found.map((each) => [this.pointAt(each.index), this.pointAt(each.index + each.segment.length)]);
  }
}

/**
 * Return words that don't split graphemes: words inside an emoji with joiners become one.
 * @param {Text} text @param {[number, number][]} words @returns {[number, number][]}
 */
export function wholeWords(text, words) {
  const borders = new Set(text.characters().map(([, end]) => end));
  /** @type {[number, number][]} */
  const found = [];
  let open = false;
  for (const [start, end] of words) {
    if (open) found[found.length - 1][1] = end;
    else found.push([start, end]);
    open = !borders.has(end);
  }
  return found;
}

/** Return the direction of a text, by its first letter. @param {string} text @returns {"ltr" | "rtl"} */
export function direction(text) {
  const letter = /\p{L}/u.exec(text);
  return letter && RIGHT_TO_LEFT.test(letter[0]) ? "rtl" : "ltr";
}

/**
 * Return the code points of some words, without punctuation at both ends unless that would leave nothing.
 * @param {Text} text @param {[number, number][]} all @param {Range} range @returns {[number, number]}
 */
export function spanOf(text, all, range) {
  let [first, last] = [Math.min(range.from, range.to), Math.max(range.from, range.to)];
  const whole = [all[first][0], all[last][1]];
  /** @param {number} place */
  const bare = (place) => !WORD.test(text.slice(...all[place]));
  while (last > first && bare(last)) last -= 1;
  while (first < last && bare(first)) first += 1;
  return bare(first) && first === last ? [whole[0], whole[1]] : [all[first][0], all[last][1]];
}

/**
 * Return a range of words, extended to the spaces around it; words of scripts without spaces aren't extended.
 * @param {Text} text @param {[number, number][]} all @param {Range} range @returns {Range}
 */
export function betweenSpaces(text, all, range) {
  let [from, to] = [Math.min(range.from, range.to), Math.max(range.from, range.to)];
  /** @param {number} place true if a word and the next one are parts of one */
  const joins = (place) => place >= 0 && place + 1 < all.length && all[place][1] === all[place + 1][0]
    && [place, place + 1].every((each) => !SPACELESS.test(text.slice(...all[each])));
  while (joins(from - 1)) from -= 1;
  while (joins(to)) to += 1;
  return { from, to };
}

/** @param {Entity} one @param {Entity} other */
export function overlap(one, other) {
  return one.start < other.end && other.start < one.end;
}

/**
 * Return entities with a new one, which replaces the entities that it overlaps.
 * @param {Entity[]} entities @param {Entity} one
 */
export function withEntity(entities, one) {
  return [...entities.filter((each) => !overlap(each, one)), one].sort((a, b) => a.start - b.start);
}

/**
 * Return entities with all other mentions of the same words, as the same type, except where they overlap entities.
 * @param {Text} text @param {[number, number][]} all @param {Entity[]} entities @param {Entity} one
 */
export function withSame(text, all, entities, one) {
  const starts = new Set(all.map((each) => each[0]));
  const ends = new Set(all.map((each) => each[1]));
  const size = one.end - one.start;
  const wanted = text.slice(one.start, one.end);
  let found = entities;
  for (let start = 0; start + size <= text.length; start += 1) {
    const other = { start, end: start + size, type: one.type };
    const isSame = starts.has(start) && ends.has(other.end) && text.slice(start, other.end) === wanted;
    if (isSame && !found.some((each) => overlap(each, other))) found = withEntity(found, other);
  }
  return found;
}

/**
 * Return entities as a tree: each contains those inside it. An entity that crosses another starts at the other's end.
 * @typedef {Entity & {inside: Node[]}} Node
 * @param {Entity[]} entities @returns {Node[]}
 */
export function nested(entities) {
  /** @type {Node} */
  const root = { start: 0, end: Infinity, type: "", inside: [] };
  const open = [root];
  for (const each of [...entities].sort((a, b) => a.start - b.start || b.end - a.end)) {
    while (open[open.length - 1].end <= each.start) open.pop();
    let parent = open[open.length - 1];
    let start = each.start;
    while (each.end > parent.end) {
      start = Math.max(start, parent.end);
      open.pop();
      parent = open[open.length - 1];
    }
    start = Math.max(start, parent.start);
    if (start >= each.end) continue;
    const node = { ...each, start, inside: [] };
    parent.inside.push(node);
    open.push(node);
  }
  return root.inside;
}

/** Return a type's default colour. @param {number} place */
export function colourOf(place) {
  const colours = ["#e69f00", "#56b4e9", "#009e73", "#dddd00", "#5b3fd0", "#d55e00", "#cc79a7", "#7a7a7a"];
  return colours[place % colours.length];
}
