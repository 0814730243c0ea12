/** Learn: the labels, the taggers trained on them and their scores, and files to download. */
import { useState } from "preact/hooks";
import { ask, download, say, toClipboard, words } from "./api.js";
import { html } from "./sentence.js";
import { Load } from "./setup.js";

/** @typedef {import("./states.js").Listed} Listed */
/** @typedef {import("./states.js").Round} Round */
/** @typedef {import("./states.js").State} State */
const [WIDE, HIGH, EDGE, FEW] = [300, 150, 26, 10]; // pixels; minimum number of test sentences to draw F1

/**
 * @param {{state: State, done: number, setState: (state: State) => void, onOpen: (id: number) => void,
 *   onLoaded: () => void}} props
 */
export function Learn({ state, done, setState, onOpen, onLoaded }) {
  const [told, setTold] = useState("");
  const [format, setFormat] = useState("jsonl");
  const { counts, learning, rounds } = state;
  const made = rounds.filter((each) => each.state === "done");
  const last = rounds[rounds.length - 1];
  const step = /step ([\d,]+) of ([\d,]*\d)(?:.*(, [^,]+ left))?/.exec(learning?.line || "");
  const [now, all] = (step || []).slice(1, 3).map((each) => Number(each.replaceAll(",", "")));
  /** @param {string} what */
  const request = async (what) => {
    try {
      setState((await ask(`label/${what}`, {})).state);
      setTold("");
    } catch (error) {
      setTold(words(error));
    }
  };
  return html`<aside class="learn" aria-label="Progress">
    <h2>${counts.accepted.toLocaleString("en")} labelled</h2>
    <p class="quiet">${counts.test} of them for the test · ${counts.rejected} rejected · ${counts.skipped} skipped ·
      ${" "}${(counts.sentences - done).toLocaleString("en")} left</p>
    ${learning ? html`<p class="learning">Learning from ${learning.sentences} sentences,
        ${" "}${step ? `step ${step[1]} of ${step[2]}${step[3] || ""}` : `${Math.round(learning.seconds)} s`}${" "}
        <button type="button" onClick=${() => request("cancel")}>Cancel</button></p>
        ${step ? html`<progress key="known" aria-label="Learning" value=${now} max=${all}></progress>`
        : html`<progress key="unknown" aria-label="Learning"></progress>`}`
      : html`<div class="row"><button type="button" disabled=${!counts.accepted} onClick=${() => request("train")}>
        Train now</button><span class="quiet">by itself after ${state.next_round} sentences</span></div>`}
    ${told && html`<p class="problem" role="alert">${told}</p>`}
    ${last && last.state === "failed" && html`<p class="problem">The last training failed: ${last.message}</p>`}
    ${made.some((each) => each.f1 !== null) && html`<${Curve} rounds=${made} />`}
    <h3>Enough?</h3>
    <p><strong>${capital(state.enough.answer)}.</strong> ${state.enough.why}</p>
    ${made.length > 0 && html`<p><a href="#try">Try the newest tagger</a></p>
      <details><summary>Commands that made it</summary>
        <pre tabindex="0">${made[made.length - 1].commands.join("\n")}</pre>
        <button type="button" onClick=${() => copy(made[made.length - 1].commands.join("\n"))}>Copy</button>
        <p class="quiet">The tagger is the folder <code>${made[made.length - 1].tagger}</code>.</p></details>`}
    <details><summary>Take the labels away</summary>
      <div class="row"><label>Format <select value=${format}
        onChange=${(/** @type {any} */ event) => setFormat(event.target.value)}>
        ${state.formats.map((each) => html`<option key=${each}>${each}</option>`)}</select></label>
        <button type="button" disabled=${!counts.accepted} onClick=${save}>Download</button></div>
      <p class="quiet">Every change is already in <code>${state.folder}</code> on this machine.</p></details>
    <${Done} onOpen=${onOpen} />
    <details><summary>Load more sentences</summary>
      <${Load} state=${state} setState=${setState} onLoaded=${onLoaded} /></details>
  </aside>`;

  async function save() {
    try {
      await download(`label/export?format=${encodeURIComponent(format)}`);
    } catch (error) {
      setTold(words(error));
    }
  }
}

/** The answered sentences, to open one again. @param {{onOpen: (id: number) => void}} props */
function Done({ onOpen }) {
  const [items, setItems] = useState(/** @type {Listed[]} */ ([]));
  /** @param {any} event */
  const load = (event) => {
    if (event.target.open) ask("label/list").then((found) => setItems(found.items), () => undefined);
  };
  return html`<details onToggle=${load}><summary>Labelled sentences</summary>
    <ul class="listed">${items.map((each) => html`<li key=${each.id}><button type="button" dir="auto"
      onClick=${() => onOpen(each.id)}>${each.text}</button>
      <small>${each.answer}${each.test ? ", test" : ""},
        ${" "}${each.entities} ${each.entities === 1 ? "label" : "labels"}</small>
      </li>`)}</ul>
    ${items.length === 0 && html`<p class="quiet">None yet.</p>`}</details>`;
}

/** F1 by number of labelled sentences, with intervals. @param {{rounds: Round[]}} props */
function Curve({ rounds }) {
  const scored = rounds.filter((each) => each.f1 !== null);
  const most = Math.max(...scored.map((each) => each.sentences));
  /** @param {Round} each */
  const x = (each) => EDGE + 8 + ((WIDE - EDGE - 20) * each.sentences) / most;
  /** @param {number | null} f1 */
  const y = (f1) => HIGH - EDGE - (HIGH - EDGE - 10) * (f1 || 0);
  const last = scored[scored.length - 1];
  const between = `between ${percent(last.low)} and ${percent(last.high)}`;
  if (last.test_sentences < FEW) return html`<p>F1 <strong>${percent(last.f1)}</strong> so far, on
    ${" "}${last.test_sentences} held-out ${last.test_sentences === 1 ? "sentence" : "sentences"}: a first estimate
    ${" "}<span class="quiet">(${between})</span>.</p>`;
  const spoken = `F1 ${percent(last.f1)} after ${last.sentences} sentences, ${between}`;
  return html`<figure><svg viewBox=${`0 0 ${WIDE} ${HIGH}`} role="img" aria-label=${spoken}>
    ${[0, 0.5, 1].map((f1) => html`<g key=${f1}><line class="grid" x1=${EDGE} x2=${WIDE} y1=${y(f1)} y2=${y(f1)} />
      <text x=${EDGE - 4} y=${y(f1) + 4} text-anchor="end">${100 * f1}</text></g>`)}
    <polyline class="line" points=${scored.map((each) => `${x(each)},${y(each.f1)}`).join(" ")} />
    ${scored.map((each) => html`<g key=${each.sentences}>
      <line class="interval" x1=${x(each)} x2=${x(each)} y1=${y(each.low)} y2=${y(each.high)} />
      <circle cx=${x(each)} cy=${y(each.f1)} r="4" />
      <text x=${x(each)} y=${HIGH - 8} text-anchor="middle">${each.sentences}</text></g>`)}
    </svg><figcaption>F1 <strong>${percent(last.f1)}</strong> after ${last.sentences} sentences,
    on ${last.test_sentences} that it never saw. The line at each point is the 95 % interval.</figcaption></figure>`;
}

/** @param {number | null} share */
function percent(share) {
  return share === null ? "–" : `${Math.round(100 * share)} %`;
}

/** @param {string} text */
function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** @param {string} text */
function copy(text) {
  toClipboard(text).then(() => say("Copied"), () => say("Copying is not allowed here"));
}
