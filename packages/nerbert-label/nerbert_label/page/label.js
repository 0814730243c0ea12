/** Label: one sentence per screen, by mouse, finger or keyboard; each change is saved before the next one counts. */
import { useEffect, useMemo, useReducer } from "preact/hooks";
import { ask } from "./api.js";
import { KEYS, accept, acceptWithSuggestions, choose, chosenType, label, remove, useKeyboard } from "./commands.js";
import { Labelling } from "./labelling.js";
import { Learn } from "./learn.js";
import { Saver, focusSentence } from "./saver.js";
import { html } from "./sentence.js";
import { Load, TypeBar, TypesEditor } from "./setup.js";
import { direction } from "./text.js";
import { Tour } from "./tour.js";

/** @typedef {import("./types.js").Entity} Entity */
/** @typedef {import("./states.js").Item} Item */
/** @typedef {import("./states.js").State} State */
const POLL = 2000;

/** @param {{state: State, setState: (state: State) => void, shown: boolean}} props */
export function Label({ state, setState, shown }) {
  const [, redraw] = useReducer((/** @type {number} */ count) => count + 1, 0);
  const saver = useMemo(() => new Saver(setState, () => redraw(undefined)), []);
  const { item, editing } = saver.sheet;
  const { counts } = state;
  const done = counts.accepted + counts.rejected + counts.skipped;
  useKeyboard(saver, state.types, shown);
  useEffect(() => {
    if (counts.sentences && item === undefined) saver.next();
  }, [counts.sentences]);
  useEffect(() => {
    if (shown) focusSentence();
  }, [shown]);
  useEffect(() => {
    if (!state.learning) return undefined;
    const timer = setInterval(() => ask("label").then(setState, () => undefined), POLL);
    return () => clearInterval(timer);
  }, [state.learning !== null]);
  const close = () => {
    saver.set({ editing: false });
    focusSentence();
  };
  return html`<section class="label">
    <div class="work">
      <${Problems} saver=${saver} />
      ${counts.sentences === 0 ? html`<h1>Label sentences</h1>
      <ol class="steps"><li><strong>Load</strong> sentences: a file, or text that you paste.</li>
        <li><strong>Label</strong> the names in them: choose a type, and click words.</li>
        <li><strong>Accept</strong> five sentences, and a tagger learns to suggest labels for the next ones.</li></ol>
      <${Load} state=${state} setState=${setState} />` : html`
      <h1 class="unseen">Label sentences</h1>
      <${TypeBar} types=${state.types} chosen=${chosenType(saver, state.types)?.name || ""}
        onChoose=${(/** @type {string} */ name) => {
        choose(saver, name);
        focusSentence();
      }} onEdit=${() => saver.set({ editing: true })} />
      ${item === null && html`<p class="done">All ${done.toLocaleString("en")} sentences are done.
        Load more, or train a tagger. <button type="button" onClick=${() => saver.undo()}>Undo</button></p>`}
      ${item && html`<${Sentence} saver=${saver} item=${item} types=${state.types} />
      <${Answers} saver=${saver} types=${state.types} />`}
      ${saver.sheet.keys && html`<${Keys} />`}
      ${item && html`<${Tour} bare=${state.types.length === 0} />`}`}
      ${editing && html`<${TypesEditor} state=${state} setState=${setState} onClose=${close} />`}
    </div>
    ${counts.sentences > 0 && html`<${Learn} state=${state} setState=${setState} done=${done}
      onOpen=${(/** @type {number} */ id) => saver.open(id)} onLoaded=${() => item === null && saver.next()} />`}
  </section>`;
}

/** Errors, and requests that will be retried. @param {{saver: Saver}} props */
function Problems({ saver }) {
  const { away, problem } = saver.sheet;
  return html`${away && html`<p class="problem" role="alert">${away} Trying again; nothing is lost.</p>`}
    ${problem && html`<p class="problem" role="alert">${problem}
      <button type="button" class="cross" aria-label="Close" onClick=${() => saver.set({ problem: "" })}>×</button>
    </p>`}`;
}

/**
 * The sentence, with its context.
 * @param {{saver: Saver, item: Item, types: import("./types.js").LabelType[]}} props
 */
function Sentence({ saver, item, types }) {
  const { text, words, entities, suggestions, cursor, context } = saver.sheet;
  const colours = useMemo(() => new Map(types.map((each) => [each.name, each.colour])), [types]);
  const type = chosenType(saver, types)?.name || "";
  useEffect(() => {
    const places = document.querySelectorAll("#sentence .chosen");
    if (cursor && places.length) places[places.length - 1].scrollIntoView({ block: "nearest" });
  }, [cursor]);
  /** @param {string} around */
  const beside = (around) => context && around
    && html`<p class="around" dir=${direction(around)} lang="">${around}</p>`;
  return html`${beside(item.before)}
    <${Labelling} key=${item.id} text=${text} words=${words} entities=${entities} suggestions=${suggestions}
      cursor=${cursor} colours=${colours} type=${type}
      onRange=${(/** @type {number} */ start, /** @type {number} */ end) => label(saver, { start, end, type })}
      onRemove=${(/** @type {Entity} */ one) => remove(saver, one)}
      onDismiss=${(/** @type {Entity} */ one) => saver.set({ suggestions: suggestions.filter((each) => each !== one) })}
      onRetype=${(/** @type {Entity} */ { start, end }) => label(saver, { start, end, type })}
      onTake=${(/** @type {Entity} */ one) => label(saver, { start: one.start, end: one.end, type: one.type })} />
    ${beside(item.after)}
    <p class="quiet about">${item.test ? "Kept apart for the test: labelled without suggestions."
      : suggestions.length ? `Suggested by ${item.suggested_by}.` : " "}</p>`;
}

/**
 * Buttons with the possible answers to a sentence.
 * @param {{saver: Saver, types: import("./types.js").LabelType[]}} props
 */
function Answers({ saver, types }) {
  const { suggestions, context, keys } = saver.sheet;
  return html`<div class="answers" role="group" aria-label="Answer">
    <button type="button" class="main" onClick=${() => accept(saver, types)}>Accept <kbd>Enter</kbd></button>
    ${suggestions.length > 0 && html`<button type="button" class="all" onClick=${() => acceptWithSuggestions(saver)}>
      Accept with suggestions <kbd>⇧ Enter</kbd></button>`}
    <button type="button" onClick=${() => saver.answer("reject")}>Reject <kbd>x</kbd></button>
    <button type="button" onClick=${() => saver.answer("skip")}>Skip <kbd>Space</kbd></button>
    <button type="button" onClick=${() => saver.undo()}>Undo <kbd>Ctrl Z</kbd></button>
    <button type="button" aria-pressed=${context} onClick=${() => saver.set({ context: !context })}>
      Context <kbd>c</kbd></button>
    <button type="button" class="for-keys" aria-expanded=${keys} onClick=${() => saver.set({ keys: !keys })}>
      Keys <kbd>?</kbd></button>
  </div>`;
}

function Keys() {
  return html`<dl class="keys">${KEYS.map(([key, what]) => html`<div key=${key}><dt><kbd>${key}</kbd></dt>
    <dd>${what}</dd></div>`)}</dl>`;
}
