/** Label: one sentence a screen, by mouse, finger or keyboard; every change is saved before the next one counts. */
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Refused, ask, insist, newName, say, tabName, words } from "./api.js";
import { Learn } from "./learn.js";
import { Labelling, html } from "./sentence.js";
import { Text, direction, overlap, spanOf, wholeWords, withEntity, withSame } from "./text.js";
import { Tour } from "./tour.js";
import { Load, TypeBar, TypesEditor } from "./setup.js";

/** @typedef {import("./types.js").Entity} Entity */
/** @typedef {import("./types.js").Item} Item */
/** @typedef {import("./types.js").Range} Range */
/** @typedef {import("./types.js").State} State */
const POLL = 2000;
const BURST = 250; // milliseconds between keys that belong together
const CODES = /^(?:Key|Digit)(.)$/;
const KEYS = [
  ["1–9, letters", "choose the type, or label the chosen words with it"],
  ["click, drag", "label words; with Alt characters"],
  ["← →", "go to a word; with Shift choose several"], ["Enter", "accept the sentence"],
  ["Shift Enter", "accept all suggestions and the sentence"], ["a", "accept all suggestions"],
  ["s", "accept the suggestion at the word"], ["m", "label the same words everywhere in the sentence"],
  ["Backspace", "remove the label at the word"], ["x", "reject: not a sentence to learn from"], ["Space", "skip"],
  ["Ctrl Z", "undo, any number of steps"], ["c", "show the sentences around it"], ["/", "find a type"],
  ["Esc", "let go"],
  ["?", "show these keys"],
];

/** @param {{state: State, setState: (state: State) => void, shown: boolean}} props */
export function Label({ state, setState, shown }) {
  const [item, setItem] = useState(/** @type {Item | null | undefined} */ (undefined));
  const [entities, setEntities] = useState(/** @type {Entity[]} */ ([]));
  const [suggestions, setSuggestions] = useState(/** @type {Entity[]} */ ([]));
  const [chosen, setChosen] = useState("");
  const [cursor, setCursor] = useState(/** @type {Range | null} */ (null));
  const [context, setContext] = useState(false);
  const [keys, setKeys] = useState(false);
  const [editing, setEditing] = useState(false);
  const [away, setAway] = useState("");
  const [problem, setProblem] = useState("");
  const last = useRef(/** @type {Entity | null} */ (null));
  const queue = useRef(Promise.resolve());
  const revision = useRef(0);
  const moving = useRef(false);
  const lost = useRef(-BURST); // when the last key was lost
  const undoing = useRef(0);
  const shows = useRef(0);
  const waiting = useRef(0);
  const tab = useMemo(tabName, []);
  const text = useMemo(() => new Text(item ? item.text : ""), [item]);
  const all = useMemo(() => wholeWords(text, item ? item.words : []), [text]);
  const type = state.types.find((each) => each.name === chosen) || state.types[0];
  const colours = useMemo(() => new Map(state.types.map((each) => [each.name, each.colour])), [state.types]);

  const show = useCallback((/** @type {{item: Item | null, state: State}} */ found) => {
    shows.current += 1;
    setState(found.state);
    setItem(found.item);
    setEntities(found.item ? found.item.entities : []);
    setSuggestions(found.item ? apart(found.item.suggestions, found.item.entities) : []);
    setCursor(null);
    last.current = null;
    revision.current = found.item ? found.item.revision : 0;
    if (found.item && found.item.test) say("This sentence is kept apart for the test.");
    focusSentence();
  }, []);
  /** Do one thing after the other, so that what was labelled first is saved first. */
  const then = useCallback((/** @type {() => Promise<void>} */ work) => {
    waiting.current += 1;
    queue.current = queue.current.then(work).catch(async (error) => {
      setProblem(words(error));
      if (!(error instanceof Refused && error.status === 409 && item)) return;
      await insist("label/open", { tab, id: item.id }, setAway).then(show, (again) => setProblem(words(again)));
    });
    queue.current.then(() => {
      waiting.current -= 1;
    });
    return queue.current;
  }, [item]);
  const next = useCallback(() => then(async () => show(await insist("label/next", { tab }, setAway))), [then]);
  useEffect(() => {
    if (state.counts.sentences && item === undefined) next();
  }, [state.counts.sentences]);
  useEffect(() => {
    if (!state.learning) return undefined;
    const timer = setInterval(() => ask("label").then(setState, () => undefined), POLL);
    return () => clearInterval(timer);
  }, [state.learning !== null]);

  /** @param {Entity[]} wanted @param {import("./types.js").Answer} answer */
  const store = async (wanted, answer) => {
    if (!item) return;
    const placed = wanted.map(({ start, end, type: name }) => ({ start, end, type: name }));
    const body = { tab, id: item.id, revision: revision.current, entities: placed, answer, request: newName() };
    const found = await insist("label/save", body, setAway);
    revision.current = found.revision;
    setState(found.state);
    setProblem("");
  };
  /** @param {Entity[]} wanted @param {string} done */
  const change = (wanted, done) => {
    if (moving.current || undoing.current) return;
    setEntities(wanted);
    setSuggestions(apart(suggestions, wanted));
    say(done);
    const showing = shows.current;
    then(() => (showing === shows.current ? store(wanted, "") : Promise.resolve())); // else it was meant for another
  };
  /** @param {number} start @param {number} end @param {string} [name] */
  const label = (start, end, name = type && type.name) => {
    if (!name) {
      setEditing(true);
      return;
    }
    const one = { start, end, type: name };
    last.current = one;
    change(withEntity(entities, one), `${text.slice(start, end)} is ${name}`);
  };
  /** @param {import("./types.js").Answer} answer @param {Entity[]} [wanted] */
  const answer = (answer, wanted = entities) => {
    if (!item || moving.current || undoing.current) return;
    moving.current = true; // what is pressed until the next sentence is there is meant for neither
    const showing = shows.current;
    then(async () => {
      if (showing !== shows.current) return;
      await store(wanted, answer);
      const found = await insist("label/next", { tab }, setAway);
      show(found);
      const test = found.item && found.item.test ? "For the test: " : "";
      const following = found.item ? test + found.item.text : "All sentences are done.";
      say(answer === "accept" ? `Accepted. ${following}` : following);
    }).then(() => {
      moving.current = false;
    });
  };
  const undo = () => {
    undoing.current += 1;
    then(async () => {
      const found = await insist("label/undo", { tab, request: newName() }, setAway);
      if (found.item) {
        show(found);
        say("Undone");
      } else say("Nothing to undo");
    }).then(() => {
      undoing.current -= 1;
    });
  };
  const acceptAll = () => suggestions.reduce(withEntity, entities)
    .map(({ start, end, type: name }) => ({ start, end, type: name }));
  /** @param {number} place */
  const wordAt = (place) => ({ start: all[place][0], end: all[place][1], type: "" });
  /** @param {Entity[]} some */
  const under = (some) => (cursor ? some.find((each) => overlap(each, wordAt(cursor.to))) : undefined);

  /** @param {number} step @param {boolean} extend */
  const go = (step, extend) => {
    if (!item) return;
    const most = all.length - 1;
    const to = cursor === null ? (step > 0 ? 0 : most) : Math.min(most, Math.max(0, cursor.to + step));
    const range = { from: extend && cursor ? cursor.from : to, to };
    setCursor(range);
    const marks = [entities, suggestions].map((some) => some.find((each) => overlap(each, wordAt(to))));
    const mark = marks[0] ? `, ${marks[0].type}` : marks[1] ? `, ${marks[1].type} is suggested` : "";
    say(text.slice(...spanOf(text, all, range)) + mark);
  };
  useEffect(() => {
    const places = document.querySelectorAll("#sentence .chosen");
    if (cursor && places.length) places[places.length - 1].scrollIntoView({ block: "nearest" });
  }, [cursor]);
  /** @param {string} key @returns {boolean} whether a type has this key */
  const byKey = (key) => {
    const found = state.types.find((each) => each.key && each.key === key.toLowerCase());
    if (!found) return false;
    setChosen(found.name);
    if (cursor && item) {
      const [start, end] = spanOf(text, all, cursor);
      label(start, end, found.name);
    } else say(`${found.name} is chosen`);
    return true;
  };
  const same = () => {
    const one = under(entities) || last.current || entities[entities.length - 1];
    if (!one || !item) return;
    const wanted = withSame(text, all, entities, one);
    change(wanted, `${wanted.length - entities.length} more`);
  };
  /** @type {Record<string, () => void>} */
  const commands = {
    Enter: () => answer("accept"), "Shift+Enter": () => answer("accept", acceptAll()), x: () => answer("reject"),
    " ": () => answer("skip"), a: () => suggestions.length && change(acceptAll(), "All suggestions accepted"), m: same,
    s: () => {
      const one = under(suggestions) || suggestions[0];
      if (one) label(one.start, one.end, one.type);
    },
    Backspace: () => remove(cursor ? under(entities) : last.current),
    Delete: () => remove(cursor ? under(entities) : last.current),
    c: () => setContext(!context), "?": () => setKeys(!keys), "/": () => focusOn("find-type"),
    Escape: () => (keys ? setKeys(false) : setCursor(null)),
    ArrowRight: () => go(1, false), ArrowLeft: () => go(-1, false), "Shift+ArrowRight": () => go(1, true),
    "Shift+ArrowLeft": () => go(-1, true),
  };
  /** @param {Entity | null | undefined} one */
  function remove(one) {
    const left = one ? entities.filter((each) => each.start !== one.start || each.end !== one.end) : entities;
    if (one && left.length < entities.length) change(left, `${one.type} removed`);
  }
  const press = (/** @type {KeyboardEvent} */ event) => {
    if (!shown || editing || isField(event.target)) return;
    const isButton = event.target instanceof Element && event.target.closest("button, summary, a, [role=dialog]");
    if (isButton && ["Enter", " "].includes(event.key)) return;
    if (undoing.current && !(event.ctrlKey || event.metaKey || event.altKey)) {
      event.preventDefault(); // it is meant for what the undo brings back
      queue.current.then(() => setTimeout(() => latest.current(event)));
      return;
    }
    if (!(event.ctrlKey || event.metaKey) && (moving.current || event.timeStamp - lost.current < BURST)) {
      lost.current = event.timeStamp; // the rest of what is typed ahead is lost, too: half of it would label wrongly
      event.preventDefault();
      return;
    }
    const pressed = state.types.some((each) => each.key === event.key.toLowerCase()) ? event.key : latin(event);
    if ((event.ctrlKey || event.metaKey) && !event.shiftKey && pressed.toLowerCase() === "z") {
      event.preventDefault();
      undo();
    } else if (!event.ctrlKey && !event.metaKey && !event.altKey) {
      let key = event.shiftKey && pressed.length > 1 ? `Shift+${pressed}` : pressed;
      if (item && direction(item.text) === "rtl") key = mirrored(key);
      const run = item || key === "?" ? commands[key.length === 1 ? key.toLowerCase() : key] : undefined;
      const held = event.repeat && !key.includes("Arrow"); // a held key answers one sentence
      if (run || held || (item && byKey(pressed))) event.preventDefault();
      if (run && !held) run();
    }
  };
  const latest = useRef(press);
  latest.current = press;
  useEffect(() => {
    const listen = (/** @type {KeyboardEvent} */ event) => latest.current(event);
    const warn = (/** @type {Event} */ event) => waiting.current && event.preventDefault(); // not all is saved yet
    document.addEventListener("keydown", listen);
    addEventListener("beforeunload", warn);
    return () => {
      document.removeEventListener("keydown", listen);
      removeEventListener("beforeunload", warn);
    };
  }, []);
  const open = (/** @type {number} */ id) => then(async () => show(await insist("label/open", { tab, id }, setAway)));
  const done = state.counts.accepted + state.counts.rejected + state.counts.skipped;

  return html`<section class="label">
    <div class="work">
      ${away && html`<p class="problem" role="alert">${away} Trying again; nothing is lost.</p>`}
      ${problem && html`<p class="problem" role="alert">${problem}
        <button type="button" class="cross" aria-label="Close" onClick=${() => setProblem("")}>×</button></p>`}
      ${state.counts.sentences === 0 ? html`<h1>Label sentences</h1>
      <${Load} state=${state} setState=${setState} />` : html`
      <h1 class="unseen">Label sentences</h1>
      <${TypeBar} types=${state.types} chosen=${type ? type.name : ""} onChoose=${(/** @type {string} */ name) => {
        setChosen(name);
        if (cursor && item) label(...spanOf(text, all, cursor), name);
        focusSentence();
      }} onEdit=${() => setEditing(true)} />
      ${item === null && html`<p class="done">All ${done.toLocaleString("en")} sentences are done.
        Load more, or train a tagger. <button type="button" onClick=${undo}>Undo</button></p>`}
      ${item && html`
        ${context && item.before && html`<p class="around" dir=${direction(item.before)} lang="">${item.before}</p>`}
        <${Labelling} key=${item.id} text=${text} words=${all} entities=${entities} suggestions=${suggestions}
          cursor=${cursor} colours=${colours}
          onRange=${(/** @type {number} */ start, /** @type {number} */ end) => label(start, end)}
          onRemove=${remove}
          onDismiss=${(/** @type {Entity} */ one) => setSuggestions(suggestions.filter((each) => each !== one))}
          onRetype=${(/** @type {Entity} */ one) => label(one.start, one.end)}
          onTake=${(/** @type {Entity} */ one) => label(one.start, one.end, one.type)} />
        ${context && item.after && html`<p class="around" dir=${direction(item.after)} lang="">${item.after}</p>`}
        <p class="quiet about">${item.test ? "Kept apart for the test: labelled without suggestions."
          : suggestions.length ? `Suggested by ${item.suggested_by}.` : " "}</p>
        <div class="answers" role="group" aria-label="Answer">
          <button type="button" class="main" onClick=${() => answer("accept")}>Accept <kbd>Enter</kbd></button>
          ${suggestions.length > 0 && html`<button type="button" onClick=${() => answer("accept", acceptAll())}>
            Accept with suggestions <kbd>⇧ Enter</kbd></button>`}
          <button type="button" onClick=${() => answer("reject")}>Reject <kbd>x</kbd></button>
          <button type="button" onClick=${() => answer("skip")}>Skip <kbd>Space</kbd></button>
          <button type="button" onClick=${undo}>Undo <kbd>Ctrl Z</kbd></button>
          <button type="button" aria-pressed=${context} onClick=${() => setContext(!context)}>
            Context <kbd>c</kbd></button>
          <button type="button" class="for-keys" aria-expanded=${keys} onClick=${() => setKeys(!keys)}>
            Keys <kbd>?</kbd></button>
        </div>`}
      ${keys && html`<dl class="keys">${KEYS.map(([key, what]) => html`<div key=${key}><dt><kbd>${key}</kbd></dt>
        <dd>${what}</dd></div>`)}</dl>`}
      ${item && html`<${Tour} />`}`}
      ${editing && html`<${TypesEditor} state=${state} setState=${setState} onClose=${() => {
        setEditing(false);
        focusSentence();
      }} />`}
    </div>
    ${state.counts.sentences > 0 && html`<${Learn} state=${state} setState=${setState} onOpen=${open} done=${done}
      onLoaded=${() => item === null && next()} />`}
  </section>`;
}

/** @param {Entity[]} suggestions @param {Entity[]} entities */
function apart(suggestions, entities) {
  return suggestions.filter((each) => !entities.some((one) => overlap(one, each)));
}

/**
 * Return a key as if the keyboard had Latin letters, and digits without Shift: by its place, if it has others.
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
  if (key.endsWith("Right")) return key.replace("Right", "Left");
  return key.replace("Left", "Right");
}

/** @param {EventTarget | null} target */
function isField(target) {
  return target instanceof HTMLElement && Boolean(target.closest("input, textarea, select, dialog"));
}

/** @param {string} id */
function focusOn(id) {
  const place = document.getElementById(id);
  if (place) place.focus();
}

/** Give the keyboard back to the sentence. */
function focusSentence() {
  setTimeout(() => focusOn("sentence"));
}
