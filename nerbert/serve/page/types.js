/**
 * Data exchanged by server and page. Offsets count code points; an end is exclusive.
 * @typedef {{start: number, end: number, type: string, confidence?: number}} Entity
 * @typedef {{name: string, description: string, colour: string, key: string}} LabelType
 * @typedef {{name: string, types: string[], takes_labels: boolean, language: string, answering: string,
 *   threshold: number}} Model
 * @typedef {{from: number, to: number}} Range A selection of words, both included; or of characters.
 * @typedef {{note: string, types: LabelType[], example: string, models: number}} Shared What a view shares with Try: a
 *   note for the header, types and a text to begin with; `models` changes when the server has another model.
 * @typedef {{name: string, title: string, load: () => Promise<any>, share: (state: any) => Shared,
 *   Component: (props: {state: any, setState: (state: any) => void, shown: boolean}) => any}} View A view of a package,
 *   the first one of the page, with the state that its server sends.
 */
export {};
