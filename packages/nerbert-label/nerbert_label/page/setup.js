/** Set-up of labelling: loaded files, and the types. */
import { useEffect, useRef, useState } from "preact/hooks";
import { ask, say, words } from "./api.js";
import { html } from "./sentence.js";

/** @typedef {import("./types.js").LabelType} LabelType */
/** @typedef {import("./states.js").State} State */
const FEW = 12;
/** Keys that the page uses itself. */
const TAKEN = "acmsx/?";

/** Load a file, or paste a text. @param {{state: State, setState: (s: State) => void, onLoaded?: () => void}} props */
export function Load({ state, setState, onLoaded }) {
  const [pasted, setPasted] = useState("");
  const [told, setTold] = useState("");
  const [busy, setBusy] = useState(false);
  const known = useRef(state.counts.sentences);
  /** @param {object | Blob} content @param {string} name @param {string} [path] */
  const load = async (content, name, path = `label/load?name=${encodeURIComponent(name)}`) => {
    setBusy(true);
    setTold(`Reading ${name} …`);
    try {
      const found = (await ask(path, content)).state;
      setState(found);
      setPasted("");
      const told = `${(found.counts.sentences - known.current).toLocaleString("en")} new sentences. ${found.note}`;
      known.current = found.counts.sentences;
      setTold(told);
      say(told);
      if (onLoaded) onLoaded();
    } catch (error) {
      setTold(words(error));
    }
    setBusy(false);
  };
  /** @param {FileList | null | undefined} files */
  const each = async (files) => {
    for (const file of [...(files || [])]) await load(file, file.name);
  };
  return html`<div class="load" onDragOver=${(/** @type {DragEvent} */ event) => event.preventDefault()}
    onDrop=${(/** @type {DragEvent} */ event) => {
      event.preventDefault();
      if (!busy) each(event.dataTransfer && event.dataTransfer.files);
    }}>
    <label class="file">Choose or drop a file <input type="file" multiple disabled=${busy}
      onChange=${async (/** @type {any} */ event) => {
        await each(event.target.files);
        event.target.value = ""; // the same file may be chosen again, corrected
      }} /></label>
    <p class="quiet">Text, CoNLL, JSON lines, CSV, and the exports of doccano, Label Studio, Prodigy and others.</p>
    <label class="field" for="paste">Or paste sentences</label>
    <textarea id="paste" rows="3" dir="auto" value=${pasted}
      onInput=${(/** @type {any} */ event) => setPasted(event.target.value)}></textarea>
    <button type="button" disabled=${busy || !pasted.trim()}
      onClick=${() => load(new Blob([pasted]), "pasted.txt")}>Add</button>
    ${state.counts.sentences === 0 && html`<p>No text at hand? <button type="button" disabled=${busy}
      onClick=${() => load({}, "the sample", "label/sample")}>Practise on a museum's notes</button></p>`}
    <p role="status">${told}</p>
  </div>`;
}

/**
 * The types, to choose one; a long list can be searched.
 * @param {{types: LabelType[], chosen: string, onChoose: (name: string) => void, onEdit: () => void}} props
 */
export function TypeBar({ types, chosen, onChoose, onEdit }) {
  const [sought, setSought] = useState("");
  const found = types.filter((each) => each.name.toLowerCase().includes(sought.toLowerCase()));
  const many = types.length > FEW;
  return html`<div class="types" role="group" aria-label="Types">
    ${many && html`<input type="search" id="find-type" placeholder="Find a type ( / )" aria-label="Find a type"
      value=${sought} onInput=${(/** @type {any} */ event) => setSought(event.target.value)}
      onKeyDown=${(/** @type {KeyboardEvent} */ event) => {
        if (event.isComposing) return;
        if (event.key === "Escape" || (event.key === "Enter" && found.length)) {
          event.stopPropagation();
          onChoose(event.key === "Enter" ? found[0].name : chosen);
          setSought("");
        }
      }} />`}
    <div class=${many ? "bar many" : "bar"}>
      ${found.map((each) => html`<button type="button" key=${each.name} class="chip" title=${each.description}
        aria-pressed=${each.name === chosen} style=${{ "--c": each.colour }} onClick=${() => onChoose(each.name)}>
        ${each.key && html`<kbd>${each.key}</kbd>`}${each.name}</button>`)}
      <button type="button" class="plain" onClick=${onEdit}>${types.length ? "Edit types" : "Add types"}</button>
    </div>
  </div>`;
}

/** A dialog for the types. @param {{state: State, setState: (state: State) => void, onClose: () => void}} props */
export function TypesEditor({ state, setState, onClose }) {
  const [rows, setRows] = useState([...state.types, { name: "", description: "", colour: "", key: "" }]);
  const [told, setTold] = useState("");
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useEffect(() => {
    if (dialog.current && !dialog.current.open) dialog.current.showModal();
  }, []);
  /** @param {number} place @param {Partial<LabelType>} change */
  const set = (place, change) => {
    const changed = rows.map((each, n) => (n === place ? { ...each, ...change } : each));
    const isLast = place === rows.length - 1 && changed[place].name;
    setRows(isLast ? [...changed, { name: "", description: "", colour: "", key: "" }] : changed);
  };
  /** @param {number} place @param {string} key */
  const setKey = (place, key) => {
    const isTaken = key !== "" && TAKEN.includes(key);
    setTold(isTaken ? `The key ${key} does something else on this page.` : "");
    set(place, { key: isTaken ? "" : key });
  };
  const save = async () => {
    try {
      setState((await ask("label/types", { types: rows.filter((each) => each.name.trim()) })).state);
      onClose();
    } catch (error) {
      setTold(words(error));
    }
  };
  return html`<dialog ref=${dialog} aria-labelledby="types-title" onClose=${onClose}>
    <h2 id="types-title">Types</h2>
    ${state.types.length === 0 && html`<p>Name the types to label, such as person.</p>`}
    <p class="quiet">A short name says what a type is; the description helps the first suggestions.</p>
    <div class="rows">${rows.map((each, place) => html`<div class="typerow" key=${place}>
      <input class="name" aria-label="Name" placeholder=${place ? "another type" : "person"} value=${each.name}
        maxlength="100"
        onInput=${(/** @type {any} */ event) => set(place, { name: event.target.value })}
        onKeyDown=${(/** @type {KeyboardEvent} */ event) => event.key === "Enter" && !event.isComposing && save()} />
      <input class="key" aria-label="Key" placeholder="key" maxlength="1" value=${each.key}
        onInput=${(/** @type {any} */ event) => setKey(place, event.target.value.toLowerCase())} />
      <input type="color" aria-label="Colour" value=${each.colour || "#7a7a7a"}
        onInput=${(/** @type {any} */ event) => set(place, { colour: event.target.value })} />
      <input class="description" aria-label="Description" placeholder="what it means" maxlength="500"
        value=${each.description}
        onInput=${(/** @type {any} */ event) => set(place, { description: event.target.value })} />
      <button type="button" class="cross" aria-label=${`Remove ${each.name || "this row"}`} disabled=${!each.name}
        onClick=${() => setRows(rows.filter((_, n) => n !== place))}>×</button>
    </div>`)}</div>
    ${told && html`<p class="problem" role="alert">${told}</p>`}
    <div class="row"><button type="button" class="main" onClick=${save}>Save</button>
      <button type="button" onClick=${onClose}>Cancel</button></div>
  </dialog>`;
}
