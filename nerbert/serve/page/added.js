/** The view that a package adds to the page: none. A package replaces this file. */

/** @type {import("./types.js").View | null} */
export const added = null;
