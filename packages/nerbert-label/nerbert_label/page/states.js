/**
 * Data exchanged by server and page while sentences are labelled.
 * @typedef {import("./types.js").Entity} Entity
 * @typedef {import("./types.js").LabelType} LabelType
 * @typedef {"" | "accept" | "reject" | "skip"} Answer
 * @typedef {{id: number, text: string, words: [number, number][], entities: Entity[], suggestions: Entity[],
 *   suggested_by: string, answer: Answer, test: boolean, revision: number, before: string, after: string}} Item
 * @typedef {{sentences: number, state: "done" | "failed" | "cancelled", f1: number | null, low: number | null,
 *   high: number | null, test_sentences: number, seconds: number, tagger: string, commands: string[],
 *   message: string}} Round
 * @typedef {{file: string, folder: string, note: string, types: LabelType[], example: string, next_round: number,
 *   counts: {sentences: number, accepted: number, rejected: number, skipped: number, test: number},
 *   learning: {sentences: number, seconds: number, line: string} | null, rounds: Round[],
 *   enough: {answer: string, why: string}, formats: string[]}} State
 * @typedef {{id: number, text: string, answer: Answer, test: boolean, entities: number}} Listed
 */
export {};
