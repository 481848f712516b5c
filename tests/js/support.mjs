// What the tests in Node share: the fixtures that Python has written, a kernel to ask, scenarios made by hand.
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const folder = process.env.FIXTURES;
if (!folder) throw new Error("FIXTURES is not set; the head of tests/js/fixtures.py says how to run these tests.");
export const stepper = await import(pathToFileURL(path.join(folder, "stepper.mjs")));
const { Known, Walk } = stepper;

const read = (...names) => JSON.parse(readFileSync(path.join(folder, ...names), "utf8"));

/** Every scenario of fixtures.py: its name, and what is written of it. */
export function* scenarios() {
  for (const file of readdirSync(path.join(folder, "scenarios")).sort()) yield [path.basename(file, ".json"), scenario(path.basename(file, ".json"))];
}

export const scenario = (name) => read("scenarios", `${name}.json`);
export const schedules = () => read("schedules.json");

/** The sentence in which something ends; "" if nothing is thrown. */
export async function sentenceOf(action) {
  try { await action(); } catch (error) { return error.message; }
  return "";
}

/** Random integers below `n`. */
export function dice(seed) {
  const random = stepper.randomFrom(seed);
  return (n) => Math.floor(random() * n);
}

// --- a kernel ------------------------------------------------------------------------------------------

const TABLES = ["texts", "listings", "positions", "faults"];

/** Answers as Python does, out of a complete document: entries on demand, and of each table as much as they need. */
export class Kernel {
  constructor(document) {
    this.document = document;
    this.all = new Known(document);
    this.entered = new Set();
    this.sent = { states: new Set(), values: document.shared.map(() => 0), texts: 0, listings: 0, positions: 0, faults: 0 };
    this.requests = [];
    this.knowsFates = false;
    this.withFollowers(0);
  }

  /** What a page begins with. */
  start() {
    const { format, version, scenario, lanes, contexts, shared } = this.document;
    return structuredClone({ format, version, scenario, lanes, contexts, shared, ...this.news() });
  }

  /** An `ask` for a Walk, whose Known takes in each answer. */
  asker(known) {
    return async (request) => {
      this.requests.push(request);
      this.answer(request);
      known().add(structuredClone(this.news()));
      return {};
    };
  }

  answer(request) {
    if (request.do === "expand") this.withFollowers(request.state);
    else if (request.do === "explore") this.knowsFates = true;
    else {
      let at = 0;
      for (const word of request.steps) {
        this.entered.add(at);
        const move = this.all.moves(at).find((one) => this.all.word(one) === word);
        if (!move) break;
        at = move[2];
      }
      this.withFollowers(at);
    }
  }

  withFollowers(state) {
    for (const number of [state, ...this.all.moves(state).map(([, , to]) => to)]) this.entered.add(number);
  }

  news() {
    const { document, all, sent } = this, contexts = document.contexts.length;
    const need = { ...sent, values: [...sent.values] }, states = {};
    const take = (table, number) => { need[table] = Math.max(need[table], number + 1); };
    take("positions", 0);
    for (const number of this.entered) {
      if (sent.states.has(number)) continue;
      sent.states.add(number);
      const fields = all.fields(number), [, , moves, waits, faults, sightings] = all.states.get(number);
      states[number] = [-1, fields.flatMap((content, field) => [field, content]), moves, waits, faults, sightings];
      fields.forEach((content, field) => {
        if (field < contexts) take("positions", content);
        else need.values[field - contexts] = Math.max(need.values[field - contexts], content + 1);
      });
      for (const [, , , gives] of moves) take("texts", gives);
      for (const [, reason] of waits) take("texts", reason);
      for (const fault of [...faults, ...sightings]) take("faults", fault);
    }
    for (const { places = [] } of all.positions.slice(0, need.positions)) for (const [listing] of places) take("listings", listing);
    const news = {
      states, complete: false, fates: this.knowsFates ? document.fates : "", explored: this.knowsFates ? document.explored : null,
      values: need.values.map((to, i) => ({ from: sent.values[i], items: all.values[i].slice(sent.values[i], to) })),
    };
    for (const table of TABLES) news[table] = { from: sent[table], items: all[table].slice(sent[table], need[table]) };
    this.sent = need;
    return news;
  }
}

/** A walk on a page that knows only the beginning; `kernel` is the one that it asks. */
export function partial(document) {
  const kernel = new Kernel(document);
  const known = new Known(kernel.start());
  return { kernel, known, walk: new Walk(known, kernel.asker(() => known)) };
}

// --- scenarios made by hand ------------------------------------------------------------------------------

/**
 * A walk through a machine with one cell, whose value is the number of the state.
 *
 *     made({ 0: "a>1 b>2", 1: "a:0>0 a:1>2 b?a", 2: "!" })
 *
 * "a>1": the step of a leads to state 1; "b?a": b waits for a; "!": the state is a failure.
 */
export function made(machine, more = {}) {
  const entries = Object.entries(machine).map(([number, text]) => [Number(number), text.split(" ").filter(Boolean)]);
  const names = [...new Set(entries.flatMap(([, words]) => words.map((word) => /^\w*/.exec(word)[0])).filter(Boolean))].sort();
  const context = (word) => names.indexOf(/^\w*/.exec(word)[0]);
  const states = {};
  for (const [number, words] of entries) {
    const moves = words.filter((word) => word.includes(">")).map((word) => {
      const [who, to] = word.split(">");
      return [context(who), who.includes(":") ? Number(who.split(":")[1]) : -1, Number(to), -1];
    });
    const waits = words.filter((word) => word.includes("?")).map((word) => [context(word), 0, [context(word.split("?")[1])]]);
    const active = names.flatMap((_, i) => [i, [...moves, ...waits].some(([who]) => who === i) ? 1 : 0]);
    states[number] = [-1, [...active, names.length, number], moves, waits, words.includes("!") ? [0] : [], []];
  }
  const table = (...items) => ({ from: 0, items });
  const document = {
    format: "vmbus_teach/stepper", version: 1, scenario: { title: "Made", name: "Made", digest: "0123ab", about: "" },
    lanes: names.map((name) => ({ name, kind: "own" })), contexts: names.map((name, lane) => ({ name, kind: "task", lane })),
    shared: [{ name: "cell", kind: "state" }], texts: table("waits"), listings: table(), faults: table({ kind: "invariant", message: "it broke" }),
    positions: table({}, { text: "smp_mb()", remark: "", next: "does smp_mb()", places: [], touches: [] }),
    values: [table(...Array.from({ length: Math.max(...entries.map(([number]) => number)) + 1 }, (_, i) => String(i)))],
    states, complete: true, fates: "", explored: null, ...more,
  };
  return new Walk(new Known(document));
}
