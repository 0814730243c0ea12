/** The view for labelling, which replaces the page's own file of this name. */
import { ask } from "./api.js";
import { Label } from "./label.js";

/** @typedef {import("./states.js").State} State */
/** @type {import("./types.js").View} */
export const added = {
  name: "label",
  title: "Label",
  load: () => ask("label"),
  share: (/** @type {State} */ { file, types, example, rounds }) => (
    { note: file, types, example, models: rounds.filter((each) => each.state === "done").length }),
  Component: Label,
};
