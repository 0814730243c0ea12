/** Questions to the server: its errors in words, waiting while it is busy or away, and the token. */

const TOKEN = "nerbert-token";
const PAUSES = [500, 1000, 2000, 4000, 8000];

/** What the server refuses; its message is for people. */
export class Refused extends Error {
  /** @param {number} status @param {string} message */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Say something to screen readers. @param {string} words */
export function say(words) {
  const place = document.getElementById("said");
  if (place) place.textContent = words;
}

/** Keep the server's token for this tab. @param {string} token */
export function keepToken(token) {
  sessionStorage.setItem(TOKEN, token.trim());
}

/** Return this tab's name, the same after a reload. */
export function tabName() {
  const known = sessionStorage.getItem("nerbert-tab");
  const name = known || Array.from(crypto.getRandomValues(new Uint8Array(8)), (b) => b.toString(16)).join("");
  if (!known) sessionStorage.setItem("nerbert-tab", name);
  return name;
}

/**
 * Ask the server, again while it is busy; throw Refused for what it refuses, TypeError if it isn't there.
 * @param {string} path @param {object | Blob} [body] POST, if there is one
 * @returns {Promise<Response>}
 */
async function send(path, body) {
  const token = sessionStorage.getItem(TOKEN);
  /** @type {RequestInit} */
  const how = { headers: token ? { Authorization: `Bearer ${token}` } : {}, cache: "no-store" };
  if (body !== undefined) {
    how.method = "POST";
    how.body = body instanceof Blob ? body : JSON.stringify(body);
  }
  for (let tries = 0; ; tries += 1) {
    const answer = await fetch(path, how);
    if (answer.ok) return answer;
    const found = await answer.json().catch(() => ({}));
    if ([429, 503].includes(answer.status) && tries < PAUSES.length) {
      await sleep(1000 * Number(answer.headers.get("Retry-After")) || PAUSES[tries]);
      continue;
    }
    if (answer.status === 401) document.dispatchEvent(new CustomEvent("token"));
    throw new Refused(answer.status, found.error || `The server answered ${answer.status}.`);
  }
}

/**
 * Return the answer's JSON. @param {string} path @param {object | Blob} [body] @returns {Promise<any>}
 */
export async function ask(path, body) {
  return (await send(path, body)).json();
}

/**
 * Ask until the server is there: what was labelled is not lost while it is away.
 * @param {string} path @param {object} body @param {(away: boolean) => void} tell @returns {Promise<any>}
 */
export async function insist(path, body, tell) {
  for (let tries = 0; ; tries += 1) {
    try {
      const found = await ask(path, body);
      tell(false);
      return found;
    } catch (error) {
      if (error instanceof Refused && error.status < 500) {
        tell(false);
        throw error;
      }
      tell(true);
      await sleep(PAUSES[Math.min(tries, PAUSES.length - 1)]);
    }
  }
}

/** Save a file that the server makes. @param {string} path */
export async function download(path) {
  const answer = await send(path);
  const name = /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition") || "");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = name ? name[1] : "labels";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** @param {number} milliseconds */
function sleep(milliseconds) {
  return new Promise((done) => setTimeout(done, milliseconds));
}

/** Return what to show of an error. @param {unknown} error @returns {string} */
export function words(error) {
  if (error instanceof TypeError) return "The server does not answer. Is it still running?";
  return error instanceof Error ? error.message : String(error);
}
