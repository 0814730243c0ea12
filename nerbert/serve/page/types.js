/**
 * Data exchanged by server and page. Offsets count code points; an end is exclusive.
 * @typedef {{start: number, end: number, type: string, confidence?: number}} Entity
 * @typedef {{name: string, description: string, colour: string, key: string}} LabelType
 * @typedef {{name: string, types: string[], takes_labels: boolean, language: string, answering: string,
 *   threshold: number}} Model
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
 * @typedef {{from: number, to: number}} Range A selection of words, both included; or of characters.
 */
export {};
