/** Try: a model of the server tags a text; the entities can be filtered, and copied in several formats. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ask, hasToken, say, toClipboard, words } from "./api.js";
import { Reading, html } from "./sentence.js";
import { Text, colourOf } from "./text.js";

/** @typedef {import("./types.js").Entity} Entity */
/** @typedef {import("./types.js").LabelType} LabelType */
/** @typedef {import("./types.js").Model} Model */
/** @typedef {{text: string, model: string, labels?: string[], nested?: boolean}} Asked */
const EXAMPLE = "The sculptor Elena Marsh unveiled Night Heron, a bronze, in London.";
const USUAL = ["person", "organization", "city", "artwork"];
const LONGEST = 131_072;
const FORMS = ["JSON", "CoNLL", "HTML", "curl", "Python"];

/**
 * @param {{models: Model[], usual: string, known: LabelType[], example: string}} props
 *   `usual` is the default model; `known` are the types of the project, `example` one of its sentences
 */
export function Try({ models, usual, known, example }) {
  const [model, setModel] = useState("");
  const chosen = models.find((each) => each.name === (model || usual)) || models[0];
  const [first] = useState(example || (chosen.types.length ? "" : EXAMPLE));
  const [content, setContent] = useState(first);
  const [edited, setLabels] = useState(/** @type {string[] | null} */ (null));
  const [typed, setTyped] = useState("");
  const [nested, setNested] = useState(false);
  const [found, setFound] = useState(/** @type {{text: Text, entities: Entity[], asked: Asked} | null} */ (null));
  const [raised, setLeast] = useState(0);
  const [hidden, setHidden] = useState(/** @type {Set<string>} */ (new Set()));
  const [state, setState] = useState("");
  const [busy, setBusy] = useState(false);
  const newest = useRef(0);
  const characters = useMemo(
    () => (content.length > 2 * LONGEST ? content.length : new Text(content).length), [content],
  );
  const long = characters > LONGEST;

  const described = known.map((each) => (each.description ? `${each.name}: ${each.description}` : each.name));
  const labels = edited || [chosen.types, described, USUAL].find((each) => each.length) || [];
  const wanted = withTyped(labels, typed);
  const isOwn = !edited && wanted.length === chosen.types.length; // the server knows their descriptions
  const asked = () => ({
    text: content, model: chosen.name, ...(chosen.takes_labels && wanted.length && !isOwn ? { labels: wanted } : {}),
    ...(chosen.takes_labels && nested ? { nested } : {}),
  });
  const tag = async () => {
    const [number, body] = [newest.current += 1, asked()];
    if (typed) setLabels(wanted);
    setTyped("");
    setBusy(true);
    try {
      const answer = await ask("tag", body);
      if (number !== newest.current) return;
      setFound({ text: new Text(content), entities: answer.results[0].spans, asked: body });
      const count = answer.results[0].spans.length;
      setState("");
      say(`${count} ${count === 1 ? "entity" : "entities"} found`);
    } catch (error) {
      if (number === newest.current) setState(words(error));
    }
    if (number === newest.current) setBusy(false);
  };
  useEffect(() => {
    if (content && !long && (found || content === first)) tag();
  }, [chosen.name, nested]);
  /** @param {DragEvent} event */
  const drop = async (event) => {
    const file = event.dataTransfer && event.dataTransfer.files[0];
    if (!file) return;
    event.preventDefault();
    if (file.size > 4 * LONGEST) setState(`${file.name} is too long to try. Use nerbert tag on the command line.`);
    else setContent(await file.text());
  };
  /** Refuse a text that is much too long before the page has to show it. @param {ClipboardEvent} event */
  const paste = (event) => {
    const size = event.clipboardData ? event.clipboardData.getData("text").length : 0;
    if (size <= 2 * LONGEST) return;
    event.preventDefault();
    setState(`${size.toLocaleString("en")} characters are too long to try. Use nerbert tag on the command line.`);
  };

  const types = useMemo(() => (found ? [...new Set(found.entities.map((each) => each.type))].sort() : []), [found]);
  const named = [...known.map((each) => each.name), ...chosen.types, ...labels.map((each) => each.split(":")[0])];
  const distinct = [...new Set([...named, ...types])];
  const colours = new Map(distinct.map((name, place) => [name, known[place]?.colour || colourOf(place)]));
  const least = Math.max(raised, Math.floor(100 * chosen.threshold) / 100);
  const shown = useMemo(
    () => (found ? found.entities.filter((e) => (e.confidence ?? 1) >= least && !hidden.has(e.type)) : []),
    [found, least, hidden],
  );
  const isStale = found !== null && JSON.stringify(found.asked) !== JSON.stringify(asked());
  /** @param {string} type */
  const toggle = (type) => {
    const other = new Set(hidden);
    if (!other.delete(type)) other.add(type);
    setHidden(other);
  };
  return html`<section class="try">
    <h1>Find entities in a text</h1>
    <label class="field" for="text">Text</label>
    <textarea id="text" rows="4" dir="auto" spellcheck=${false} placeholder="Paste or type a text" value=${content}
      onDrop=${drop} onPaste=${paste}
      onInput=${(/** @type {any} */ event) => setContent(event.target.value)}
      onKeyDown=${(/** @type {KeyboardEvent} */ event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !long && content.trim()) tag();
      }}
      ></textarea>
    <div class="row">
      ${models.length > 1 && html`<label>Model <select value=${chosen.name}
        onChange=${(/** @type {any} */ event) => setModel(event.target.value)}>
        ${models.map((each) => html`<option key=${each.name}>${each.name}</option>`)}</select></label>`}
      ${chosen.takes_labels && html`<${Labels} labels=${labels} typed=${typed} setTyped=${setTyped}
        onChange=${setLabels} />`}
      ${chosen.takes_labels && html`<label class="check"><input type="checkbox" checked=${nested}
        onChange=${() => setNested(!nested)} /> Entities inside others</label>`}
      <button class="main" type="button" disabled=${busy || long || !content.trim()} onClick=${tag}>
        ${busy ? "Reading…" : "Find entities"}</button>
    </div>
    ${long && html`<p class="problem" role="alert">The text has ${characters.toLocaleString("en")} characters;
      ${LONGEST.toLocaleString("en")} can be tried. Use <code>nerbert tag</code> for long texts.</p>`}
    ${state && html`<p class="problem" role="alert">${state}</p>`}
    ${found && html`<div class=${isStale ? "stale" : ""}>
      ${isStale && html`<p role="status">This is the answer to what was asked before.</p>`}
      <div class="row filters" role="group" aria-label="Types to show">
        ${types.length > 0 && html`<span>Show</span>`}
        ${types.map((type) => html`<button type="button" key=${type} class="chip" aria-pressed=${!hidden.has(type)}
          style=${{ "--c": colours.get(type) }} onClick=${() => toggle(type)}>${type}
          <small>${found.entities.filter((e) => e.type === type).length}</small></button>`)}
        ${types.length === 0 && html`<p class="quiet">Nothing was found.</p>`}
        ${types.length > 0 && html`<label class="slider">Confidence from <output>${least.toFixed(2)}</output>
          <input type="range" min=${Math.floor(100 * chosen.threshold) / 100} max="1" step="0.01" value=${least}
            onInput=${(/** @type {any} */ event) => setLeast(Number(event.target.value))} /></label>`}
      </div>
      <${Reading} text=${found.text} entities=${shown} colours=${colours} />
      <div class="row copies"><span>Copy as</span>
        ${FORMS.map((form) => html`<button type="button" key=${form} onClick=${() => copy(form)}>${form}</button>`)}
      </div></div>`}
  </section>`;

  /** @param {string} form */
  async function copy(form) {
    if (!found) return;
    try {
      await toClipboard(copied(form, found.text, shown, found.asked));
      say(`Copied as ${form}`);
      setState("");
    } catch (error) {
      setState(words(error));
    }
  }
}

/** Return labels with the typed ones added. @param {string[]} labels @param {string} typed */
function withTyped(labels, typed) {
  const some = typed.includes(":") ? [typed] : typed.split(","); // a description may contain commas
  return [...labels, ...some.map((each) => each.trim()).filter((each) => each && !labels.includes(each))];
}

/**
 * Labels as chips, with a field for more.
 * @param {{labels: string[], typed: string, setTyped: (typed: string) => void,
 *   onChange: (labels: string[]) => void}} props
 */
function Labels({ labels, typed, setTyped, onChange }) {
  const add = () => {
    onChange(withTyped(labels, typed));
    setTyped("");
  };
  return html`<div class="labels" role="group" aria-label="What to find"><span>Find</span>
    ${labels.map((each) => html`<span class="chip" key=${each}>${each}<button type="button" class="cross"
      aria-label=${`Remove ${each}`} onClick=${() => onChange(labels.filter((other) => other !== each))}>×</button>
      </span>`)}
    <input type="text" placeholder="add a type" aria-label="Add a type, or “type: what it means”" value=${typed}
      onInput=${(/** @type {any} */ event) => setTyped(event.target.value)}
      onKeyDown=${(/** @type {KeyboardEvent} */ event) => {
        if (event.isComposing) return;
        if (event.key === "Enter" || (event.key === "," && !typed.includes(":"))) {
          event.preventDefault();
          add();
        } else if (event.key === "Backspace" && !typed) onChange(labels.slice(0, -1));
      }} />
  </div>`;
}

/**
 * Return a text with its entities in a format to copy.
 * @param {string} form @param {Text} text @param {Entity[]} entities
 * @param {Asked} asked
 * @returns {string}
 */
function copied(form, text, entities, asked) {
  const address = new URL("tag", document.baseURI).href;
  if (form === "JSON") return JSON.stringify({ text: text.text, spans: entities }, null, 2);
  if (form === "CoNLL") return conllOf(text, outermost(entities));
  if (form === "HTML") return htmlOf(text, entities);
  if (form === "curl") {
    const token = hasToken() ? ' -H "Authorization: Bearer $NERBERT_TOKEN"' : "";
    return `curl ${quoted(address)}${token} -d ${quoted(JSON.stringify(asked))}`;
  }
  const how = [address.replace(/\/tag$/, ""), asked.model].map((each) => JSON.stringify(each)).join(", model=");
  const labels = asked.labels ? `, ${JSON.stringify(asked.labels)}` : "";
  return [
    "from nerbert import Client", "", `with Client(${how}${asked.nested ? ", nested=True" : ""}) as client:`,
    `    for span in client.tag(${JSON.stringify(asked.text)}${labels}):`,
    "        print(span.start, span.end, span.type, span.text)", "",
  ].join("\n");
}

/** Return entities without those that start inside another. @param {Entity[]} entities */
function outermost(entities) {
  /** @type {Entity[]} */
  const found = [];
  for (const each of [...entities].sort((a, b) => a.start - b.start || b.end - a.end)) {
    if (!found.length || found[found.length - 1].end <= each.start) found.push(each);
  }
  return found;
}

/** Return the words of a text with their tags, one per line. @param {Text} text @param {Entity[]} entities */
function conllOf(text, entities) {
  let [place, found] = [0, ""];
  /** @param {number} end @param {string} type */
  const add = (end, type) => {
    let mark = "B";
    for (const word of new Intl.Segmenter(undefined, { granularity: "word" }).segment(text.slice(place, end))) {
      if (!word.segment.trim()) continue;
      found += `${word.segment} ${type ? `${mark}-${type.replaceAll(/\s+/g, "_")}` : "O"}\n`;
      mark = "I";
    }
    place = end;
  };
  for (const each of entities) {
    add(each.start, "");
    add(each.end, each.type);
  }
  add(text.length, "");
  return found;
}

/** Return a text as HTML, with its outermost entities marked. @param {Text} text @param {Entity[]} entities */
function htmlOf(text, entities) {
  let [place, found] = [0, ""];
  for (const each of outermost(entities)) {
    found += escaped(text.slice(place, each.start));
    found += `<mark data-type="${escaped(each.type)}">${escaped(text.slice(each.start, each.end))}</mark>`;
    place = each.end;
  }
  return `<p>${found}${escaped(text.slice(place, text.length))}</p>`;
}

/** @param {string} text */
function escaped(text) {
  return text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);
}

/** Return a string quoted for a POSIX shell. @param {string} text */
function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
