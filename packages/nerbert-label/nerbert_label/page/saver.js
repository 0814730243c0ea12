/** Labels are saved in order, with retries until the server has them, and only for the sentence they were made for. */
import { Refused, insist, newName, say, tabName, words } from "./api.js";
import { START, reduce } from "./sheet.js";

/** @typedef {import("./states.js").Answer} Answer */
/** @typedef {import("./types.js").Entity} Entity */
/** @typedef {import("./states.js").Item} Item */
/** @typedef {import("./states.js").State} State */

/** The sheet of the current sentence, and the queue of pending requests. */
export class Saver {
  /** @param {(state: State) => void} setState @param {() => void} redraw is called when the sheet has changed */
  constructor(setState, redraw) {
    this.sheet = START;
    this.setState = setState;
    this.redraw = redraw;
    this.tab = tabName();
    this.queue = Promise.resolve();
    /** Length of the queue. */
    this.waiting = 0;
    this.undoing = 0;
    /** True while the next sentence loads: keys pressed then are meant for neither. */
    this.moving = false;
    this.revision = 0;
    /** Number of sentences shown. */
    this.shows = 0;
  }

  /** @param {import("./sheet.js").Action} action */
  do(action) {
    this.sheet = reduce(this.sheet, action);
    this.redraw();
  }

  /** @param {Partial<import("./sheet.js").Sheet>} to */
  set(to) {
    this.do({ do: "set", to });
  }

  /**
   * Change the entities, announce the change, and save it.
   * @param {Entity[]} entities @param {string} said @param {Entity | null} [last]
   */
  change(entities, said, last = this.sheet.last) {
    if (this.moving || this.undoing) return;
    this.do({ do: "change", entities, last });
    say(said);
    this.#then(() => this.#save(entities, ""));
  }

  /** Answer the sentence, and show the next one. @param {Answer} answer @param {Entity[]} [entities] */
  answer(answer, entities = this.sheet.entities) {
    if (!this.sheet.item || this.moving || this.undoing) return;
    this.moving = true;
    this.#then(async () => {
      await this.#save(entities, answer);
      const { item } = this.#show(await this.#ask("next"));
      const following = item ? (item.test ? "For the test: " : "") + item.text : "All sentences are done.";
      say(answer === "accept" ? `Accepted. ${following}` : following);
    }).then(() => {
      this.moving = false;
    });
  }

  undo() {
    this.undoing += 1;
    this.#then(async () => {
      const found = await this.#ask("undo", { request: newName() });
      if (found.item) this.#show(found);
      say(found.item ? "Undone" : "Nothing to undo");
    }, false).then(() => {
      this.undoing -= 1;
    });
  }

  next() {
    this.#then(async () => void this.#show(await this.#ask("next")), false);
  }

  /** @param {number} id */
  open(id) {
    this.#then(async () => void this.#show(await this.#ask("open", { id })), false);
  }

  /**
   * Run one task after the other; with `here`, only if the current sentence is then still shown.
   * @param {() => Promise<void>} work
   */
  #then(work, here = true) {
    const { shows } = this;
    this.waiting += 1;
    this.queue = this.queue.then(() => (here && shows !== this.shows ? undefined : work())).catch((error) => {
      this.set({ problem: words(error) });
      const { item } = this.sheet;
      if (!(error instanceof Refused && error.status === 409 && item)) return undefined;
      return this.#ask("open", { id: item.id }).then(
        (found) => void this.#show(found), (again) => this.set({ problem: words(again) }),
      );
    });
    return this.queue.then(() => {
      this.waiting -= 1;
    });
  }

  /** @param {Entity[]} entities @param {Answer} answer */
  async #save(entities, answer) {
    if (!this.sheet.item) return;
    const placed = entities.map(({ start, end, type }) => ({ start, end, type }));
    const what = { id: this.sheet.item.id, revision: this.revision, entities: placed, answer, request: newName() };
    const found = await this.#ask("save", what);
    this.revision = found.revision;
    this.setState(found.state);
    this.set({ problem: "" });
  }

  /** Send a request until the server is reachable. @param {string} what @param {object} [body] */
  #ask(what, body) {
    return insist(`label/${what}`, { tab: this.tab, ...body }, (away) => this.set({ away }));
  }

  /** @param {{item: Item | null, state: State}} found */
  #show(found) {
    this.shows += 1;
    this.revision = found.item ? found.item.revision : 0;
    this.setState(found.state);
    this.do({ do: "show", item: found.item });
    if (found.item && found.item.test) say("This sentence is held out for the test.");
    focusSentence();
    return found;
  }
}

/** Return the keyboard focus to the sentence. */
export function focusSentence() {
  setTimeout(() => document.getElementById("sentence")?.focus());
}
