/** The page: its views, the current view, and the token if the server requires one. */
import { h, render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { added } from "./added.js";
import { ask, hasToken, keepToken, words } from "./api.js";
import { html } from "./sentence.js";
import { Try } from "./try.js";

/** @typedef {import("./types.js").Model} Model */

function App() {
  const [view, setView] = useState(location.hash.slice(1));
  const [models, setModels] = useState(/** @type {Model[]} */ ([]));
  const [state, setState] = useState(/** @type {any} */ (null)); // of the added view
  const [problem, setProblem] = useState("");
  const [ready, setReady] = useState(added === null);
  const [locked, setLocked] = useState(false);
  const tried = useRef(false);
  const shared = added && state ? added.share(state) : null;
  useEffect(() => {
    const turn = () => setView(location.hash.slice(1));
    const lock = () => setLocked(true);
    addEventListener("hashchange", turn);
    document.addEventListener("token", lock);
    for (const each of ["dragover", "drop"]) addEventListener(each, keepPage);
    if (added) added.load().then(setState, (error) => setProblem(words(error))).then(() => setReady(true));
    return () => {
      removeEventListener("hashchange", turn);
      document.removeEventListener("token", lock);
      for (const each of ["dragover", "drop"]) removeEventListener(each, keepPage);
    };
  }, []);
  useEffect(() => {
    ask("models").then((found) => setModels(found.models), (error) => setProblem(words(error)));
  }, [shared ? shared.models : 0]);
  const shown = ready ? view || (added && state ? added.name : "try") : "";
  if (shown === "try") tried.current = true; // keep it from now on, with its input
  /** @param {string} name @param {string} title */
  const link = (name, title) => html`
    <a href=${`#${name}`} aria-current=${shown === name ? "page" : undefined}>${title}</a>`;
  return html`${locked && html`<${Locked} again=${hasToken()} onOpen=${() => setLocked(false)} />`}
    <div hidden=${locked}><header><span class="brand">nerbert</span>
      ${added && shared ? html`<nav aria-label="Views">${link(added.name, added.title)}${link("try", "Try")}</nav>
        <span class="quiet file">${shared.note}</span>`
      : ready && html`<span class="quiet file">To label sentences: <code>nerbert label FILE</code> (nerbert-label)</span>`}
    </header>
    <main>
      ${problem && html`<p class="problem" role="alert">${problem}</p>`}
      ${added && state && html`<div hidden=${shown !== added.name}><${added.Component} state=${state}
        setState=${setState} shown=${shown === added.name} /></div>`}
      ${tried.current && models.length > 0 && html`<div hidden=${shown !== "try"}><${Try} models=${models}
        usual=${models[shared ? models.length - 1 : 0].name} known=${shared ? shared.types : []}
        example=${shared ? shared.example : ""} /></div>`}
    </main></div>`;
}

/** Keep the browser from opening a file that is dropped outside its target. @param {Event} event */
function keepPage(event) {
  const data = event instanceof DragEvent && event.dataTransfer;
  if (data && data.types.includes("Files")) event.preventDefault();
}

/** Ask for the server's token, which this tab stores. @param {{again: boolean, onOpen: () => void}} props */
function Locked({ again, onOpen }) {
  const [token, setToken] = useState("");
  const open = () => {
    if (!token.trim()) return;
    onOpen();
    keepToken(token);
  };
  return html`<main class="locked"><h1>nerbert</h1><label class="field" for="token">The server's token</label>
    <input id="token" type="password" autocomplete="current-password" value=${token}
      onInput=${(/** @type {any} */ event) => setToken(event.target.value)}
      onKeyDown=${(/** @type {KeyboardEvent} */ event) => event.key === "Enter" && open()} />
    ${again && html`<p class="problem" role="alert">The server does not take the token of before.</p>`}
    <button type="button" class="main" onClick=${open}>Open</button></main>`;
}

render(h(App, null), /** @type {HTMLElement} */ (document.getElementById("app")));
