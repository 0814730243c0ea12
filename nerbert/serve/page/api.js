/** Requests to the server: error messages, retries while it is busy or unreachable, and the token. */

const TOKEN = "nerbert-token";
const PAUSES = [500, 1000, 2000, 4000, 8000];

/** A request that the server refuses; its message is for people. */
export class Refused extends Error {
  /** @param {number} status @param {string} message */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The server can't be reached. */
class Away extends Error {
  constructor() {
    super("The server does not answer. Is it still running?");
  }
}

/** Announce a text to screen readers, even if it is the same as the last one. @param {string} words */
export function say(words) {
  const place = document.getElementById("said");
  if (place) place.textContent = place.textContent === words ? `${words}\u00a0` : words;
}

/** Store the server's token for this tab; requests that wait for it continue. @param {string} token */
export function keepToken(token) {
  sessionStorage.setItem(TOKEN, token.trim());
  document.dispatchEvent(new CustomEvent("unlocked"));
}

/** Return whether this tab has a token. */
export function hasToken() {
  return sessionStorage.getItem(TOKEN) !== null;
}

/** Return a unique name. */
export function newName() {
  return crypto.getRandomValues(new Uint32Array(3)).join("-");
}

/** Return this tab's name, the same after a reload. */
export function tabName() {
  const known = sessionStorage.getItem("nerbert-tab");
  const name = known || newName();
  if (!known) sessionStorage.setItem("nerbert-tab", name);
  return name;
}

/**
 * Send a request, again while the server is busy or until it gets its token; throw Refused, or Away if unreachable.
 * @param {string} path @param {object | Blob} [body] POST if given
 * @returns {Promise<Response>}
 */
async function send(path, body) {
  /** @type {RequestInit} */
  const how = { cache: "no-store" };
  if (body !== undefined) {
    how.method = "POST";
    how.body = body instanceof Blob ? body : JSON.stringify(body);
  }
  for (let tries = 0; ; tries += 1) {
    const token = sessionStorage.getItem(TOKEN);
    if (token) how.headers = { Authorization: `Bearer ${token}` };
    const answer = await fetch(path, how).catch(() => {
      throw new Away();
    });
    if (answer.ok) return answer;
    if (answer.status === 401) {
      if (token !== sessionStorage.getItem(TOKEN)) continue; // the token was given while this request was under way
      document.dispatchEvent(new CustomEvent("token"));
      await new Promise((done) => document.addEventListener("unlocked", done, { once: true }));
      continue;
    }
    const found = await answer.json().catch(() => ({}));
    if ([429, 503].includes(answer.status) && tries < PAUSES.length) {
      await sleep(1000 * Number(answer.headers.get("Retry-After")) || PAUSES[tries]);
      continue;
    }
    throw new Refused(answer.status, found.error || `The server answered ${answer.status}.`);
  }
}

/** Return the answer's JSON. @param {string} path @param {object | Blob} [body] @returns {Promise<any>} */
export async function ask(path, body) {
  return (await send(path, body)).json().catch(() => {
    throw new Away();
  });
}

/**
 * Send a request until the server is reachable and works, so that no label is lost.
 * `tell` is called with the reason of a delay, and with "" at its end.
 * @param {string} path @param {object} body @param {(why: string) => void} tell @returns {Promise<any>}
 */
export async function insist(path, body, tell) {
  for (let tries = 0; ; tries += 1) {
    try {
      const found = await ask(path, body);
      tell("");
      return found;
    } catch (error) {
      if (error instanceof Refused && error.status < 500 && error.status !== 429) {
        tell("");
        throw error;
      }
      tell(error instanceof Refused ? error.message.replace(/[.]?$/, ".") : "The server does not answer.");
      await sleep(PAUSES[Math.min(tries, PAUSES.length - 1)]);
    }
  }
}

/** Download a file that the server creates. @param {string} path */
export async function download(path) {
  const answer = await send(path);
  const name = /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition") || "");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = name ? name[1] : "labels";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Copy a text, even on a page without TLS, where browsers have no clipboard. @param {string} text */
export async function toClipboard(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const [field, before] = [document.createElement("textarea"), document.activeElement];
  field.value = text;
  field.className = "unseen";
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  if (before instanceof HTMLElement) before.focus();
  if (!done) throw new Error("This browser does not let the page copy.");
}

/** @param {number} milliseconds */
function sleep(milliseconds) {
  return new Promise((done) => setTimeout(done, milliseconds));
}

/** Return the message of an error. @param {unknown} error @returns {string} */
export function words(error) {
  return error instanceof Error ? error.message : String(error);
}
