/** A tour in four short steps for new users. */
import { useState } from "preact/hooks";
import { html } from "./sentence.js";

const KEPT = "nerbert-tour";
const BARE = "Name the types that you look for: click Add types above. Then choose one there, or by its key.";
const STEPS = [
  "Choose a type above: click it, or press its key. It stays chosen.",
  "Click a word to label it, or drag over several. The cross removes a label.",
  "Dashed labels are suggestions. Click one to take it, ⇄ to take it as the chosen type, or press a for all.",
  "Press Enter to accept the sentence. After five sentences a tagger learns from them.",
];

/** @param {{bare: boolean}} props `bare` if there are no types */
export function Tour({ bare }) {
  const [step, setStep] = useState(kept() ? STEPS.length : 0);
  if (step >= STEPS.length) return null;
  const isLast = step + 1 === STEPS.length;
  const end = () => {
    keep();
    setStep(STEPS.length);
  };
  return html`<div class="tour" role="note">
    <p><strong>${step + 1} of ${STEPS.length}</strong> ${bare && step === 0 ? BARE : STEPS[step]}</p>
    <div class="row"><button type="button" class="main" onClick=${() => (isLast ? end() : setStep(step + 1))}>
      ${isLast ? "Done" : "Next"}</button>
      ${!isLast && html`<button type="button" class="plain" onClick=${end}>Skip the tour</button>`}</div>
  </div>`;
}

function kept() {
  try {
    return localStorage.getItem(KEPT) !== null;
  } catch {
    return true;
  }
}

function keep() {
  try {
    localStorage.setItem(KEPT, "done");
  } catch {
    // a browser without storage shows it again
  }
}
