// The stepper: a scenario, its known states, and one path through them, drawn for the person who schedules.
//
// It reads the JSON form of docs/format.md and needs nothing else: no framework, no network, and no kernel where
// the document is complete. From top to bottom:
//
//     Known      the document, decoded; grows when the kernel sends more
//     Schedule   who goes, as text
//     Walk       one path through known states: step, undo, redo, replay
//     telling    what a step did, and which steps decided
//     h, patch   elements from plain objects, changed only where they differ
//     drawing    the parts of the picture
//     Stepper    puts them together and listens to keys and buttons; `render` is the door for anywidget

const NOBODY = -1;
const GAP = "Something that the kernel sent is missing here. Run the cell again.";

// --- Known --------------------------------------------------------------------------------------

/** A document: what the scenario consists of, and the states that are known so far. */
export class Known {
  constructor(document) {
    if (document.format !== "vmbus_teach/stepper" || document.version !== 1) {
      throw new Error(
        `This stepper reads "vmbus_teach/stepper" version 1, and was given ` +
        `"${document.format}" version ${document.version}. Run the cell again with one version of the course.`);
    }
    const { scenario, lanes, contexts, shared } = document;
    Object.assign(this, { scenario, lanes, contexts, shared });
    this.texts = []; this.listings = []; this.positions = []; this.faults = [];
    this.values = shared.map(() => []);
    this.states = new Map();
    this.decoded = new Map();
    this.complete = false; this.fates = ""; this.explored = null;
    this.add(document);
  }

  /** Takes in what has come since; what comes twice, or after something later, changes nothing. */
  add(news) {
    for (const name of ["texts", "listings", "positions", "faults"]) append(this[name], news[name]);
    news.values.forEach((items, i) => append(this.values[i], items));
    const missing = ([parent]) => parent !== NOBODY && !this.has(parent) && !(parent in news.states);
    if (Object.values(news.states).some(missing)) throw new Error(GAP);
    for (const [number, entry] of Object.entries(news.states)) this.states.set(Number(number), entry);
    this.complete ||= news.complete;
    if (news.fates.length > this.fates.length) this.fates = news.fates;
    this.explored = news.explored ?? this.explored;
  }

  has(number) { return this.states.has(number); }

  /** Whether the states along a schedule are known, as far as it fits. */
  knows(steps, from = 0) {
    let state = from;
    for (const word of steps) {
      if (!this.has(state)) return false;
      const move = this.moves(state).find((one) => this.word(one) === word);
      if (!move) return true;
      state = move[2];
    }
    return this.has(state);
  }

  /** Where every context stands, then the number of every piece of shared state's value. */
  fields(number) {
    const missing = [];       // no recursion: a chain of parents can be longer than a stack
    for (let at = number; at !== NOBODY && !this.decoded.has(at); at = this.states.get(at)[0]) missing.push(at);
    for (const at of missing.reverse()) {
      const [parent, different] = this.states.get(at);
      const found = this.decoded.get(parent)?.slice() ?? new Array(this.contexts.length + this.shared.length).fill(0);
      for (let i = 0; i < different.length; i += 2) found[different[i]] = different[i + 1];
      this.decoded.set(at, found);
    }
    return this.decoded.get(number);
  }

  position(number, context) { return this.positions[this.fields(number)[context]]; }
  value(number, shared) { return this.values[shared][this.fields(number)[this.contexts.length + shared]]; }
  moves(number) { return this.states.get(number)[2]; }
  waits(number) { return this.states.get(number)[3]; }
  failures(number) { return this.states.get(number)[4].map((fault) => this.faults[fault]); }
  sightings(number) { return this.states.get(number)[5].map((fault) => this.faults[fault]); }

  /** The pieces of shared state that the failures of a state are about. */
  about(number) { return new Set(this.failures(number).flatMap(({ about }) => about)); }

  /** The contexts that do something in some known state; the others would only be in the way. */
  get active() {
    if (this.counted !== this.states.size) {
      this.counted = this.states.size;
      this.acting = new Set([...this.states.values()].flatMap(([, , moves, waits]) => [...moves, ...waits].map(([context]) => context)));
    }
    return this.acting;
  }

  /** "0": a failure behind it is impossible, "1": possible, "2": certain; "-" or "": not known. */
  fate(number) { return this.fates[number] ?? ""; }

  word([context, alternative]) {
    const name = this.contexts[context].name;
    return alternative === NOBODY ? name : `${name}:${alternative}`;
  }

  /** The lane on which a context is: its own, or the one where it happens to run. */
  lane(number, context) { return this.position(number, context).lane ?? this.contexts[context].lane; }
}

function append(table, { from, items }) {
  if (from > table.length) throw new Error(GAP);
  for (let i = table.length - from; i < items.length; i++) table.push(items[i]);
}

export const words = (value) => (typeof value === "object" ? value.text : value);

// --- Schedule -------------------------------------------------------------------------------------

/** The text of a schedule: "host*2 worker_0". */
export function scheduleText(steps, scenario) {
  const runs = [];
  for (const word of steps) {
    if (runs.length && runs.at(-1)[0] === word) runs.at(-1)[1] += 1;
    else runs.push([word, 1]);
  }
  const text = runs.map(([word, times]) => (times === 1 ? word : `${word}*${times}`)).join(" ");
  return scenario ? `${scenario.name}@${scenario.digest}: ${text}`.trimEnd() : text;
}

/** What `scheduleText` wrote: {steps, name, digest}. Throws an Error with a sentence for text that is none. */
export function parseSchedule(text) {
  const line = text.split(/\s+/).filter(Boolean).join(" ");
  const head = /^(\S.*?)@([0-9a-f]{4,}):(?: |$)/.exec(line);
  const steps = [];
  for (const word of (head ? line.slice(head[0].length) : line).split(" ").filter(Boolean)) {
    const match = /^([^\s*]+?)(?:\*([1-9]\d{0,5}))?$/.exec(word);
    if (!match) {
      throw new Error(
        `${quoted(word)} is no step of a schedule. A step is a context's name, repeated with *: 'host*2 worker_0'.`);
    }
    for (let i = Number(match[2] ?? 1); i > 0; i--) steps.push(match[1]);
  }
  return { steps, name: head ? head[1] : "", digest: head ? head[2] : "" };
}

/** A text in quotes, as Python writes it. */
function quoted(text) {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  return quote + text.replace(/[\\']/g, (c) => (c === "\\" || c === quote ? `\\${c}` : c)) + quote;
}

/** "Did you mean ...?" with the nearest of the names, or "": what Python's difflib finds, too. */
function meant(word, names) {
  const alike = (a, b) => {         // how many characters are in the longest common part, and in those beside it
    let most = 0, ai = 0, bi = 0;
    for (let i = 0; i < a.length; i++) {
      for (let j = 0; j < b.length; j++) {
        let n = 0;
        while (i + n < a.length && a[i + n] === b[j + n]) n++;
        if (n > most) [most, ai, bi] = [n, i, j];
      }
    }
    return most && most + alike(a.slice(0, ai), b.slice(0, bi)) + alike(a.slice(ai + most), b.slice(bi + most));
  };
  const near = names.map((name) => [2 * alike(name, word) / (name.length + word.length), name])
    .filter(([ratio]) => ratio >= 0.6).sort(([a, x], [b, y]) => b - a || (x < y ? 1 : -1));
  return near.length ? `Did you mean ${near[0][1]}?` : "";
}

// --- Walk -------------------------------------------------------------------------------------------

/** A step that cannot be taken; the text says why. */
export class Refused extends Error {}

/** One path through the states, with a place on it. `ask` fetches what is not known; null where nobody can. */
export class Walk {
  constructor(known, ask = null) {
    this.known = known;
    this.ask = ask;
    this.path = [{ state: 0, move: null }];
    this.at = 0;
  }

  get state() { return this.path[this.at].state; }
  get length() { return this.path.length - 1; }
  get steps() { return this.path.slice(1).map(({ move }) => this.known.word(move)); }
  get failures() { return this.known.failures(this.state); }

  /** Every context that has something to do, in order: {context, word, move}, or {context, reason, on}. */
  choices() {
    const { known, state } = this;
    const moves = known.moves(state).map((move) => ({ context: move[0], word: known.word(move), move }));
    const waits = known.waits(state).map(([context, reason, on]) => (
      { context, word: known.contexts[context].name, move: null, reason: known.texts[reason], on }));
    return [...moves, ...waits].sort((a, b) => a.context - b.context);
  }

  /** Takes a step; what was undone before is gone. Throws Refused if it can't be taken. */
  async step(word) {
    const { move } = this.find(word);
    if (!this.known.has(move[2])) await this.fetch({ do: "expand", state: move[2] });
    if (!this.known.has(move[2])) throw new Refused("the kernel has not sent what follows. Run the cell again.");
    this.path.length = this.at + 1;
    this.path.push({ state: move[2], move });
    this.at += 1;
  }

  find(word) {
    const { contexts, scenario } = this.known;
    if (this.failures.length) {
      throw new Refused(`${quoted(word)} cannot step: the schedule has ended (${this.failures[0].message}).`);
    }
    const choices = this.choices();
    const found = choices.find((choice) => choice.word === word && choice.move);
    if (found) return found;
    const can = choices.filter((choice) => choice.move).map((choice) => choice.word);
    const possible = can.length ? `Possible now: ${can.join(", ")}.` : "No step is possible any more.";
    const waiting = choices.find((choice) => choice.word === word);
    if (waiting) throw new Refused(`${word} cannot step now: it ${waiting.reason}. ${possible}`);
    const names = contexts.map((context) => context.name);
    if (names.includes(word.split(":")[0])) throw new Refused(`${word} has nothing to do now. ${possible}`);
    const hint = meant(word, names);
    throw new Refused(`there is no context ${quoted(word)} in ${scenario.title}. ${hint && `${hint} `}${possible}`);
  }

  goTo(steps) { this.at = Math.max(0, Math.min(steps, this.length)); }

  /** From the start, takes the steps; stays where it was if they don't fit. */
  async replay({ steps, name = "", digest = "" }) {
    const before = { path: this.path, at: this.at };
    if (!this.known.knows(steps)) await this.fetch({ do: "follow", steps });
    this.path = [before.path[0]];
    this.at = 0;
    try {
      for (const word of steps) await this.step(word);
    } catch (error) {
      const number = this.at + 1;
      Object.assign(this, before);
      if (!(error instanceof Refused)) throw error;
      const scenario = this.known.scenario;
      const other = digest && digest !== scenario.digest
        ? ` The schedule was recorded for other code: ${name}@${digest}, and this is ${scenario.title}@${scenario.digest}.`
        : "";
      throw new Refused(`step ${number} of ${steps.length} of the schedule does not fit: ${error.message}${other}`);
    }
  }

  /** Steps one context until it waits, has nothing to do, leaves something open, or something fails. */
  async run(context, most = 1000) {
    const seen = new Set();
    for (let i = 0; i < most && !seen.has(this.state) && !this.failures.length; i++) {
      seen.add(this.state);
      const mine = this.choices().filter((choice) => choice.context === context && choice.move);
      if (mine.length !== 1) return;
      await this.step(mine[0].word);
    }
  }

  /** Takes steps at random until the end, a failure, or `most` steps. */
  async wander(random, most = 200) {
    for (let i = 0; i < most; i++) {
      const can = this.choices().filter((choice) => choice.move);
      if (!can.length) return;
      await this.step(can[Math.floor(random() * can.length)].word);
    }
  }

  async fetch(request) {
    if (!this.ask) {
      throw new Refused("this state is not in the page, and there is no kernel to ask. Open the notebook in Jupyter.");
    }
    const reply = await this.ask(request);
    if (reply.error) throw new Refused(reply.error);
  }
}

/** Random numbers from a seed, the same everywhere (mulberry32). */
export function randomFrom(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

// --- telling --------------------------------------------------------------------------------------------

const SHOWN = new Set(["state", "lock", "object", "field", "interrupt"]);

/** Whether a failure is one of the step that led there, and not of the state. */
const isOfTheStep = ({ kind }) => !["invariant", "at_end", "deadlock", "leak"].includes(kind);

/** What step number `i` of a walk did, in words. Kept on the path, so it is made once. */
export function told(walk, i) {
  const entry = walk.path[i];
  return (entry.told ??= tell(walk.known, walk.path[i - 1].state, entry));
}

function tell(known, before, { state, move }) {
  const [context, , , gives] = move;
  const from = known.position(before, context), to = known.position(state, context);
  const result = gives === NOBODY ? "" : known.texts[gives];
  const lane = from.lane ?? (known.contexts[context].lane === NOBODY ? to.lane : known.contexts[context].lane);
  const wait = to.resumed ? known.waits(state).find(([who]) => who === context) : null;
  const failures = known.failures(state);
  const changes = [];
  const a = known.fields(before), b = known.fields(state), offset = known.contexts.length;
  known.shared.forEach(({ name, kind }, s) => {
    if (!SHOWN.has(kind) || a[offset + s] === b[offset + s]) return;
    changes.push({ shared: s, name, before: words(known.value(before, s)), after: words(known.value(state, s)) });
  });
  return {
    context, who: known.contexts[context].name, lane: lane ?? 0,
    text: from.text, remark: from.remark, resumed: Boolean(from.resumed), gives: result, changes,
    next: to.next ?? "", stuck: known.waits(state).some(([who]) => who === context),
    waits: failures.some(isOfTheStep) ? "" : wait ? known.texts[wait[1]] : to.resumed ? "waits" : "",
    fails: failures.map((fault) => fault.message).join("; "), races: known.sightings(state).map((fault) => fault.message).join("; "),
  };
}

/** The sentence of a step: what it is, what it gives, whether it waits. */
export function sentence(step) {
  const said = step.resumed ? `has waited: ${step.text}` : step.remark ? `${step.remark}: ${step.text}` : step.text;
  return said + (step.gives ? ` gives ${step.gives}` : "") + (step.waits ? `; it ${step.waits}` : "");
}

export const changed = (step) => step.changes.map((c) => `${c.name} ${c.before} → ${c.after}`).join(", ");

/** How control left one context for another, if the one has more to do and need not wait; else "". */
export function handover(known, before, after) {
  if (before.context === after.context || !before.next || before.stuck) return "";
  const lane = known.lanes[after.lane], kind = known.contexts[after.context].kind;
  const same = before.lane === after.lane && lane.kind !== "host";
  if (!same) return `before ${before.who} ${before.next}`;      // on another CPU it is not stopped, only later
  const how = kind === "irq" || kind === "ipi" ? `${lane.name} is interrupted in ${before.who}` : `${before.who} is preempted`;
  return `${how} before it ${before.next}`;
}

/** Which steps decided: those after which a failure was nearer than it had to be. [] where fates are not known. */
export function deciding(walk) {
  const { known } = walk, found = [];
  for (let i = 1; i <= walk.at; i++) {
    const fates = known.moves(walk.path[i - 1].state).map(([, , to]) => known.fate(to));
    const taken = known.fate(walk.path[i].state);
    if (fates.some((fate) => fate !== "" && fate !== "-" && fate < taken)) found.push({ step: i, certain: taken === "2" });
  }
  return found;
}

/** The last step that changed a piece of state, up to the present one; 0 if none did. */
export function lastWriter(walk, shared) {
  const { known, path, at } = walk, offset = known.contexts.length;
  path[0].writers ??= known.shared.map(() => 0);
  let i = at;
  while (!path[i].writers) i--;         // kept on the path, so each step is looked at once
  for (i++; i <= at; i++) {
    const before = known.fields(path[i - 1].state), after = known.fields(path[i].state);
    path[i].writers = path[i - 1].writers.map((last, s) => (after[offset + s] !== before[offset + s] ? i : last));
  }
  return path[at].writers[shared];
}

/** Plays the steps of one walk on another scenario, as far as they go: {walk, stopped, why}. */
export async function follow(walk, steps) {
  let same = 0;
  while (same < Math.min(walk.length, steps.length) && walk.known.word(walk.path[same + 1].move) === steps[same]) same++;
  walk.goTo(same);
  try {
    if (walk.ask && !walk.known.knows(steps.slice(same), walk.state)) await walk.fetch({ do: "follow", steps });
    for (const word of steps.slice(same)) await walk.step(word);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { stopped: walk.at, why: error.message };
  }
  return { stopped: steps.length, why: "" };
}

// --- h, patch -------------------------------------------------------------------------------------------

/** An element to be: tag, properties (on… are handlers), children (elements to be, or texts). */
export function h(tag, props, ...kids) {
  return { tag, props: props ?? {}, kids: real(kids) };
}

/** Without the gaps that `condition && h(…)` leaves. */
const real = (kids) => kids.flat(Infinity).filter((kid) => kid !== undefined && kid !== null && kid !== false && kid !== "");

/** Makes the children of `parent` what `kids` say, and touches only what differs. Text never becomes markup. */
export function patch(parent, kids) {
  kids.forEach((kid, i) => {
    const old = parent.childNodes[i];
    if (typeof kid !== "object") {
      const text = String(kid);
      if (old?.nodeType === 3) { if (old.data !== text) old.data = text; return; }
      place(parent, old, document.createTextNode(text));
      return;
    }
    let node = old;
    if (old?.localName !== kid.tag || old.drawn?.props.key !== kid.props.key) {
      node = document.createElement(kid.tag);
      place(parent, old, node);
    }
    if (kid.props.memo !== undefined && node.drawn?.props.memo === kid.props.memo) return;
    const before = node.drawn?.props ?? {};
    for (const name in before) if (!(name in kid.props)) set(node, name, undefined);
    for (const name in kid.props) if (kid.props[name] !== before[name]) set(node, name, kid.props[name]);
    node.drawn = kid;
    patch(node, kid.kids);
  });
  while (parent.childNodes.length > kids.length) parent.lastChild.remove();
}

function place(parent, old, node) {
  if (old) old.replaceWith(node);
  else parent.append(node);
}

function set(node, name, value) {
  if (name === "key" || name === "memo") return;
  if (name.startsWith("on")) node[name] = value ?? null;
  else if (name === "value") { if (node.value !== String(value ?? "")) node.value = value ?? ""; }
  else if (value === undefined || value === null || value === false) node.removeAttribute(name);
  else node.setAttribute(name, value === true ? "" : value);
}

// --- drawing --------------------------------------------------------------------------------------------

const KINDS = { irq: "handler", ipi: "IPI", tasklet: "tasklet", softirq: "RCU callbacks", work: "work item" };
const IDLE = { irq: "not raised", ipi: "not called", tasklet: "not scheduled", work: "not queued" };
/** What runs on top of what: handlers above tasklets above tasks. */
const RANK = { ipi: 0, irq: 1, tasklet: 2, softirq: 3, work: 4, task: 5, host: 5 };
const FATES = {
  0: { shape: "○", word: "impossible", long: "behind this step a failure is impossible" },
  1: { shape: "◐", word: "possible", long: "behind this step a failure is possible" },
  2: { shape: "●", word: "certain", long: "behind this step a failure is certain" },
};
const UNKNOWN = { shape: "?", word: "not known", long: "the search was cut short before it knew what is behind this step" };
const LINES = 14;        // of a listing, before it scrolls
const ROW = 24;          // height of a line of the log, in pixels, as in the style sheet
const ROWS = 14;         // of the log, before it scrolls

const code = (text) => h("code", {}, text);
const few = (names) => names.slice(0, 3).join(", ") + (names.length > 3 ? ` and ${names.length - 3} more` : "");
const plural = (number, what) => `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;

/** One lane: a CPU with the contexts on it, or the host. `act` is null in a pane that only shows. */
function drawLane(walk, lane, members, options) {
  const { known } = walk;
  const info = known.lanes[lane];
  return h("section", { class: "vt-lane", key: `lane${lane}`, "aria-label": info.name },
    h("div", { class: "vt-lane-head" },
      info.kind === "own" ? h("span", { class: "vt-why" }, "a CPU of its own") : h("span", { class: "vt-lane-name" }, info.name),
      drawFlags(walk, lane)),
    members.map((context) => drawSlot(walk, context, options)),
    members.length === 0 && h("p", { class: "vt-idle" }, "nothing to do"));
}

/** Interrupts, preemption, softirqs and locks of a lane. */
function drawFlags(walk, lane) {
  const { known, state } = walk;
  const flags = [];
  const cpu = known.shared.findIndex((shared) => shared.kind === "cpu" && shared.lane === lane);
  const stack = cpu < 0 ? [] : known.value(state, cpu).stack;
  const [, irqs, preempt, bh] = stack.at(-1) ?? [NOBODY, 1, 0, 0];
  if (known.lanes[lane].kind === "cpu") {
    flags.push(h("span", { class: irqs ? "vt-flag" : "vt-flag vt-off" }, irqs ? "interrupts on" : "interrupts off"));
  } else if (!irqs) flags.push(h("span", { class: "vt-flag vt-off" }, "interrupts off"));
  if (preempt) flags.push(h("span", { class: "vt-flag vt-off" }, "preemption off" + (preempt > 1 ? ` ×${preempt}` : "")));
  if (bh) flags.push(h("span", { class: "vt-flag vt-off" }, "softirqs off" + (bh > 1 ? ` ×${bh}` : "")));
  if (stack.length && stack.at(-1)[0] === NOBODY) flags.push(h("span", { class: "vt-flag vt-off" }, "softirqs are due"));
  known.shared.forEach(({ kind, name }, shared) => {
    const value = kind === "lock" && known.value(state, shared);
    if (value?.context !== undefined && known.lane(state, value.context) === lane) {
      flags.push(h("span", { class: "vt-flag vt-lock" }, `${known.contexts[value.context].name} holds ${name}`));
    }
  });
  return flags;
}

/** One context: what it is about to do, or why it waits, and where it stands in its source. */
function drawSlot(walk, context, { choices, keys, marks, act, compact }) {
  const { known, state } = walk;
  const { name, kind } = known.contexts[context];
  const position = known.fields(state)[context];
  const head = [h("span", { class: "vt-name" }, name), kind !== "task" && kind !== "host" && h("span", { class: "vt-kind" }, KINDS[kind] ?? kind)];
  if (position === 0) {
    const ran = walk.path.slice(1, walk.at + 1).some(({ move }) => move[0] === context);
    const why = kind === "task" || kind === "host" || ran ? "has returned" : IDLE[kind] ?? "has not been started";
    return h("div", { class: "vt-slot vt-idle", key: `slot${context}` },
      h("div", { class: "vt-slot-head" }, head, h("span", { class: "vt-why" }, why)));
  }
  const { text, remark, places, resumed } = known.positions[position];
  const mine = choices.filter((choice) => choice.context === context);
  const open = mine.some((choice) => choice.move);
  const waiting = mine.find((choice) => !choice.move);
  return h("div", { class: open ? "vt-slot vt-open" : "vt-slot", key: `slot${context}` },
    h("div", { class: "vt-slot-head" }, head,
      h("span", { class: "vt-buttons" },
        mine.map((choice) => drawChoice(walk, choice, mine.length > 1, keys, marks, act)),
        act && mine.length === 1 && h("button", {
          type: "button", class: "vt-button", title: `Run ${name} until it has to wait`, "aria-disabled": open ? null : "true",
          "aria-label": `Run ${name} until it has to wait`, onclick: () => open && act.run(context),
        }, "Run"))),
    resumed && open ? h("div", { class: "vt-remark" }, "has waited, and goes on") : remark && h("div", { class: "vt-remark" }, remark),
    h("div", { class: "vt-next" }, code(text)),
    waiting && h("div", { class: "vt-why" }, waiting.reason),
    walk.failures.some(isOfTheStep) && walk.path[walk.at].move?.[0] === context && h("div", { class: "vt-failed-here" }, "✗ failed in this step"),
    places.length > 0 && (open || !compact) && drawListing(known, places, compact || !open));
}

function drawChoice(walk, choice, several, keys, marks, act) {
  const { known } = walk;
  const name = known.contexts[choice.context].name;
  const { text, remark } = known.position(walk.state, choice.context);
  const gives = choice.move && choice.move[3] !== NOBODY ? known.texts[choice.move[3]] : "";
  const key = keys.get(choice.context);
  const fate = marks && choice.move ? FATES[known.fate(choice.move[2])] ?? UNKNOWN : null;
  const face = !choice.move ? "Waits" : several && gives ? `Step: ${gives}` : "Step";
  const label = choice.move ? `${face} ${name}: ${remark || text}` : `${face}: ${name} ${choice.reason}`;
  // The button comes first, so that it stays the same element when a mark appears; the style sheet puts the mark before it.
  return h("span", { class: "vt-choice" },
    act && h("button", {
      type: "button", class: "vt-button vt-step", "data-word": choice.word, "data-key": several ? null : key,
      "aria-disabled": choice.move ? null : "true", "aria-label": fate ? `${label} (${fate.long})` : label,
      title: choice.move ? "" : choice.reason, onclick: () => act.step(choice.word),
    }, face),
    fate && h("span", { class: `vt-fate vt-fate-${fate.word}`, title: fate.long }, h("span", { "aria-hidden": "true" }, fate.shape), " ", fate.word));
}

/** The functions that a context is in, and the source of the innermost one with its line marked. */
function drawListing(known, places, short) {
  const [listing, line] = places.at(-1);
  const { function: name, file, lines } = known.listings[listing];
  const path = places.slice(0, -1).map(([outer, at]) => `${known.listings[outer].function}:${at}`);
  const here = lines.findIndex(([number]) => number === line);
  if (here < 0) return h("div", { class: "vt-path" }, [...path, `${name}, line ${line} of ${file}`].join(" › "));
  const shown = short ? lines.slice(here, here + 1) : lines;
  const long = shown.length > LINES;
  return [
    path.length > 0 && h("div", { class: "vt-path" }, [...path, name].join(" › ")),
    h("pre", { class: "vt-code", memo: `${listing}:${line}:${short}`, tabindex: long ? 0 : null,
      role: long ? "region" : null, "aria-label": long ? `source of ${name}` : null },
      shown.map(([number, text]) => drawLine(number, text, number === line))),
  ];
}

function drawLine(number, text, here) {
  const written = text.trim(), comment = written.startsWith("#") ? 0 : written.indexOf("  # ");
  return h("span", { class: here ? "vt-line vt-here" : "vt-line", "aria-current": here ? "step" : null,
    style: `padding-left: ${text.length - text.trimStart().length + 5}ch` },
    h("span", { class: "vt-number" }, String(number)),
    comment < 0 ? written || " " : [written.slice(0, comment), h("span", { class: "vt-comment" }, written.slice(comment))]);
}

/** What the contexts share: the value, and who has changed it last. */
function drawState(walk) {
  const { known, state, at } = walk;
  const about = known.about(state);
  const rows = [];
  known.shared.forEach(({ name, kind, owner }, shared) => {
    if (!["state", "lock", "object", "field"].includes(kind)) return;
    const thing = kind === "object" ? shared : owner;
    if (thing !== undefined && words(known.value(state, thing)) === "not allocated") return;
    const part = kind === "state" && known.shared.some((whole) => whole.kind === "state" && name.startsWith(`${whole.name}.`));
    const written = lastWriter(walk, shared);
    if (part && !written) return;         // how a tasklet and the like work inside
    const value = words(known.value(state, shared));
    const fresh = written > 0 && written === at;
    const old = fresh ? words(known.value(walk.path[at - 1].state, shared)) : "";
    const by = written ? `${told(walk, written).who} (${written})` : "";
    const next = known.contexts.filter((_, i) => known.position(state, i).touches?.includes(shared)).map((context) => context.name);
    const within = owner !== undefined && name.startsWith(`${known.shared[owner].name}.`);
    rows.push(h("tr", { class: [fresh && "vt-fresh", within && "vt-field"].filter(Boolean).join(" ") },
      h("th", { scope: "row" }, about.has(shared) && h("span", { class: "vt-asked", title: "what failed looks at this" }, "✗ "), name),
      h("td", {}, fresh && h("span", { class: "vt-old" }, h("s", {}, old), " → "), h("span", { class: "vt-value" }, value)),
      h("td", { class: "vt-by" }, by), h("td", { class: "vt-by", title: next.join(", ") }, few(next))));
  });
  if (!rows.length) return h("p", { class: "vt-empty" }, "This scenario shares no state.");
  return h("table", { class: "vt-state" },
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "shared state"), h("th", { scope: "col" }, "value"), h("th", { scope: "col", title: "who has changed it last, in which step" }, "changed by"), h("th", { scope: "col", title: "whose next step looks at it or changes it" }, "next"))),
    h("tbody", {}, rows));
}

/** The lines of the log: one per step, one more where a context was stopped on the way. */
function logLines(walk) {
  const lines = [];
  for (let i = 1; i <= walk.length; i++) {
    const step = told(walk, i);
    const said = i > 1 ? handover(walk.known, told(walk, i - 1), step) : "";
    if (said) lines.push({ said, from: told(walk, i - 1).lane, late: i > walk.at });
    lines.push({ step, number: i, from: i > 1 ? told(walk, i - 1).lane : step.lane, late: i > walk.at });
  }
  return lines;
}

/** The steps as a space-time diagram: time runs down, one track per lane, what happened beside it. */
function drawLog(walk, view, act, decided) {
  const { known } = walk;
  const lines = logLines(walk);
  if (!lines.length) return h("p", { class: "vt-empty" }, "Nothing has happened yet. Each step will appear here.");
  const lanes = [...new Set(lines.filter((line) => line.step).map((line) => line.step.lane))].sort((a, b) => a - b);
  const current = lines.findIndex((line) => line.number === walk.at);
  const height = Math.min(lines.length, ROWS) * ROW;
  if (view.follow !== walk.at) {        // bring the present step into sight, once per step
    view.follow = walk.at;
    const y = Math.max(0, current) * ROW;
    if (y < view.top + ROW || y > view.top + height - 2 * ROW) view.top = Math.max(0, y - height / 2);
    view.top = Math.max(0, Math.min(view.top, lines.length * ROW - height));
    view.scroll = true;
  }
  const first = Math.max(0, Math.floor(view.top / ROW) - 4), last = Math.min(lines.length, first + ROWS + 9);
  const track = (lane) => lanes.indexOf(lane);
  const about = known.about(walk.state);
  const who = Math.min(18, Math.max(...lines.map((line) => line.step?.who.length ?? 0)));
  return h("div", { class: "vt-log", style: `--who: ${who}ch` },
    h("div", { class: "vt-tracks", style: `--lanes: ${lanes.length}` },
      lanes.map((lane) => h("span", { title: known.lanes[lane].name }, shortName(known.lanes[lane].name)))),
    h("div", { class: "vt-scroll", style: `height: ${height}px`, tabindex: 0, role: "region",
      "aria-label": "steps so far", onscroll: (event) => act.scroll(event.target.scrollTop) },
      h("ol", { style: `height: ${lines.length * ROW}px; --lanes: ${lanes.length}` },
        lines.slice(first, last).map((line, i) => h("li", {
          key: first + i, style: `top: ${(first + i) * ROW}px`, class: line.late ? "vt-late" : null,
        }, drawLogLine(walk, line, track, act, decided, about))))));
}

function drawLogLine(walk, line, track, act, decided, about) {
  if (line.said) return h("span", { class: "vt-said", style: `--to: ${track(line.from)}` }, h("i", { class: "vt-cut", "aria-hidden": "true" }), line.said);
  const { step, number } = line;
  const decision = decided.get(number);
  const a = track(line.from), b = track(step.lane);
  const said = sentence(step), what = changed(step);
  const near = step.changes.some(({ shared }) => about.has(shared));
  const mark = step.fails || step.races ? "✗" : decision ? (decision.certain ? "◆" : "◇") : near ? "•" : "";
  const why = (decision ? "; a deciding step" : "") + (near ? "; changes what failed" : "") + (step.fails ? `; fails: ${step.fails}` : "") + (step.races ? `; ${step.races}` : "");
  const lane = walk.known.lanes[step.lane];
  return h("button", {
    type: "button", class: "vt-row", tabindex: -1, title: said + (what ? ` [${what}]` : "") + why,
    "aria-current": number === walk.at ? "step" : null, onclick: () => act.goTo(number),
    style: `--at: ${b}; --low: ${Math.min(a, b)}; --span: ${Math.abs(a - b)}`,
  },
  a !== b && h("i", { class: "vt-switch", "aria-hidden": "true" }), h("i", { class: step.fails ? "vt-dot vt-failed" : "vt-dot", "aria-hidden": "true" }),
  h("span", { class: "vt-count" }, heard("Step "), String(number), heard(", ")),
  h("span", { class: "vt-who" }, step.who, heard(lane.kind === "own" ? ": " : ` on ${lane.name}: `)),
  h("span", { class: "vt-mark", "aria-hidden": "true", "data-mark": mark }),
  h("span", { class: "vt-what" }, step.resumed ? "has waited, and goes on" : step.remark || step.text,
    step.remark && !step.resumed && heard(`: ${step.text}`),
    step.gives && h("span", { class: "vt-gives" }, ` = ${step.gives}`), step.waits && h("span", { class: "vt-gives" }, `; it ${step.waits}`)),
  what && h("span", { class: "vt-changed" }, heard("; changes "), what), why && heard(why));
}

/** For screen readers only. */
const heard = (text) => h("span", { class: "vt-heard" }, text);

/** "CPU 3" is 3, "worker_0" is w0, "host" is ho: what fits above a track. */
const shortName = (name) => (name.startsWith("CPU ") ? name.slice(4) : /\d$/.test(name) ? name[0] + /\d{1,2}$/.exec(name)[0] : name.slice(0, 2));

// --- Stepper --------------------------------------------------------------------------------------------

/** The kinds of failure that do not say what they are. */
const IN_WORDS = { at_end: "wrong at the end", invariant: "must never be", error: "an error in a program", "data-race": "data race" };

const KEYS = [
  ["1 … 9", "step the context with this number"], ["Shift+1 … 9", "run it until it has to wait"],
  ["← →", "undo, redo"], ["Home End", "to the start, to the last step"], ["f", "find a failure; again: the next one"],
  ["w", "walk at random"], ["m", "mark what is behind each choice"], ["c", "copy the schedule"], ["p", "paste one"],
  ["?", "this list"], ["Esc", "leave the stepper"],
];
const SIGNS = [
  ["○ ◐ ●", "behind this choice a failure is impossible, possible, certain (data races, which end nothing, don't count)"],
  ["◆", "the step after which the failure was certain"], ["◇", "another choice here would have led further away from it"],
  ["•", "changes what the failed check looks at"], ["✗", "fails here"], ["next", "whose next step looks at it or changes it"],
];

const FORGOTTEN = "This state is not in the page, and the kernel has forgotten this stepper. Run its cell again; Copy keeps your schedule.";

/** The widget in one place of a page. `model` is anywidget's; a page without a kernel gives a small one like it. */
class Stepper {
  constructor(model, el) {
    this.model = model;
    this.el = el;
    this.waiting = new Map();
    this.asked = 0;
    this.panes = model.get("documents").map((document, pane) => {
      const known = new Known(document);
      return { known, walk: new Walk(known, this.asker(pane)), stopped: 0, why: "" };
    });
    Object.assign(this, {
      said: "", kind: "", marks: Boolean(model.get("marks")), seed: 1, failure: 0, view: { top: 0 }, help: false,
      draft: null, sharing: false, gone: false, slow: false, looking: null, turn: Promise.resolve(), telling: false,
    });
    this.act = {
      step: (word) => { if (!this.slow) this.do(() => this.walk.step(word)); },     // while the kernel is asked, no more
      run: (context) => { if (!this.slow) this.do(() => this.walk.run(context)); },
      goTo: (steps) => this.do(() => this.walk.goTo(steps)),
      scroll: (top) => { if (Math.abs(top - this.view.top) >= 1) { this.view.top = top; this.draw(); } },
    };
    this.slots = new Map(this.known.contexts.map((context, i) => [i, context])
      .filter(([, { kind }]) => kind !== "softirq").slice(0, 9).map(([i], n) => [i, String(n + 1)]));
  }

  get walk() { return this.panes[0].walk; }
  get known() { return this.panes[0].known; }

  // --- talking to Python ---------------------------------------------------------------------------

  /** Asks Python about one pane: a function for its Walk; null where there is nobody to ask. */
  asker(pane) {
    if (this.model.get("offline")) return null;
    return async (request) => {
      if (this.gone) throw new Refused(FORGOTTEN);
      const slow = setTimeout(() => { this.slow = true; this.draw(); }, 300);
      try {
        return await this.ask({ ...request, pane });
      } finally {
        clearTimeout(slow);
        this.slow = false;
      }
    };
  }

  /** The kernel's answer; Refused where the line to it is cut. */
  ask(request) {
    return new Promise((resolve, reject) => {
      const id = `${Math.random()}-${this.asked++}`, known = this.panes[request.pane].known.states.size;
      this.waiting.set(id, resolve);
      try {
        this.model.send({ ...request, known, id });
      } catch {
        this.gone = true;
        reject(new Refused(FORGOTTEN));
      }
    });
  }

  /** Jupyter says that the connection has changed: does the kernel still know this stepper? */
  async check() {
    const answer = this.ask({ do: "nothing", pane: 0 }).then(() => false, () => true);
    const silence = new Promise((resolve) => setTimeout(() => resolve(true), 1500));
    this.gone = await Promise.race([answer, silence]);
    this.draw();
    if (!this.gone) return;
    this.gone = await answer;           // it may only have been slow
    this.draw();
    if (!this.gone) this.report();
  }

  hear(message) {
    try {
      if (message.news) this.panes[message.pane].known.add(message.news);
    } catch (error) {
      // Meant for another view of this stepper, which knows more. When we ask next, we get all.
      message = { ...message, error: error.message };
    }
    this.waiting.get(message.id)?.(message);
    this.waiting.delete(message.id);
  }

  /** Tells Python where we are, when the page has been painted. */
  report() {
    if (this.model.get("offline") || this.gone) return;
    clearTimeout(this.reporting);
    this.reporting = setTimeout(async () => {
      await this.turn;                  // not from the middle of a walk that still asks the kernel
      this.telling = true;
      this.model.set("schedule", scheduleText(this.walk.steps));
      this.model.set("at", this.walk.at);
      this.model.set("marks", this.marks);
      this.telling = false;
      this.model.save_changes();
    }, 30);
  }

  /** Python (or another view of the same stepper) has moved. */
  async load() {
    const text = this.model.get("schedule"), at = this.model.get("at");
    if (text !== scheduleText(this.walk.steps)) await this.walk.replay(parseSchedule(text));
    this.walk.goTo(at);
  }

  // --- doing -----------------------------------------------------------------------------------------

  /** One thing after the other; what cannot be done ends in a sentence, and nothing is lost. */
  do(action, report = true) {
    this.turn = this.turn.then(async () => {
      this.said = "";
      this.kind = "";
      try {
        await action();
        for (const pane of this.panes.slice(1)) {
          Object.assign(pane, await follow(pane.walk, this.walk.steps.slice(0, this.walk.at)));
        }
        this.draw();
      } catch (error) {
        this.said = error.message;
        this.kind = "note";
        if (!(error instanceof Refused)) console.error(error);
        this.draw();
      }
      if (report) this.report();
      this.lookBehind();
    }).catch((error) => console.error(error));      // whatever it was, the next turn comes
    return this.turn;
  }

  /** After a failure, a search says which step decided. Nobody waits for it, and it is tried once. */
  lookBehind() {
    if (!this.walk.failures.length || this.known.explored || this.looking || !this.walk.ask || this.gone) return;
    this.looking = this.search().then(() => this.draw(), () => {});
  }

  async search() {
    for (const { known, walk } of this.panes) if (!known.explored) await walk.fetch({ do: "explore" });
  }

  async find() {
    await this.search();
    const { explored } = this.known;
    const schedules = explored.failures.map(({ steps }) => steps.join(" "));
    const failures = explored.failures.filter(({ steps }, i) => schedules.indexOf(steps.join(" ")) === i);
    if (!failures.length) {
      this.said = explored.summary + (explored.complete ? "" : "\nA random walk may find one that was not reached.");
      this.kind = explored.ok ? "good" : "note";
      return;
    }
    const which = this.failure % failures.length;
    await this.walk.replay(failures[which]);
    this.failure += 1;
    if (failures.length > 1) this.said = `This is failure ${which + 1} of ${failures.length}.`;
    if (!explored.complete) this.said += " Not everything was searched; there may be more.";
  }

  async mark() {
    if (!this.marks) await this.search();
    this.marks = !this.marks;
    if (this.marks && !this.known.explored.complete) {
      this.said = "The search was cut short: where it says \"not known\", a failure may or may not come.";
      this.kind = "note";
    }
  }

  async copy() {
    const text = scheduleText(this.walk.steps.slice(0, this.walk.at), this.known.scenario);
    try {
      await navigator.clipboard.writeText(text);
      this.said = "The schedule is on the clipboard.";
    } catch {                           // no right to the clipboard: it is selected, to be copied by hand
      Object.assign(this, { sharing: true, draft: text, selecting: true });
      this.said = "The schedule is selected below; copy it with Ctrl+C.";
    }
    this.kind = "note";
  }

  async play(text) {
    let schedule;
    try { schedule = parseSchedule(text); } catch (error) { throw new Refused(error.message); }
    if (!schedule.steps.length && !schedule.digest) throw new Refused("There is no schedule in the field.");
    await this.walk.replay(schedule);
    this.draft = null;
    const { title, digest } = this.known.scenario;
    if (schedule.digest && schedule.digest !== digest) {
      this.said = `It was recorded for other code, ${schedule.name}@${schedule.digest}, and fits ${title}@${digest} all the same.`;
      this.kind = "note";
    }
  }

  paste() { Object.assign(this, { sharing: true, draft: "", selecting: true }); }

  key(event) {
    // Jupyter takes a bare x or dd for "cut this cell", wherever the focus is. What stays the notebook's: leaving
    // (Escape, Tab), running the cell, saving.
    const { code: place } = event;
    const key = event.key.length === 1 && !event.shiftKey ? event.key.toLowerCase() : event.key;      // with CapsLock, too
    const command = event.ctrlKey || event.metaKey;
    if (key === "Tab" || (key === "Enter" && (command || event.shiftKey)) || (command && key === "s")) return;
    if (key === "Escape") { event.target.blur(); return; }
    event.stopPropagation();
    if (command || event.altKey || event.target.localName === "textarea") return;
    if (event.target.type === "range" && /^(Arrow|Home|End|Page)/.test(key)) return;
    if (event.target.className === "vt-scroll" && /^(ArrowUp|ArrowDown|Page|Home|End)/.test(key)) return;
    const digit = /^Digit([1-9])$/.exec(place)?.[1] ?? (/^[1-9]$/.test(key) ? key : null);
    const context = digit && [...this.slots].find(([, number]) => number === digit)?.[0];
    const doing = {
      ArrowLeft: () => this.walk.goTo(this.walk.at - 1), ArrowRight: () => this.walk.goTo(this.walk.at + 1),
      Home: () => this.walk.goTo(0), End: () => this.walk.goTo(this.walk.length),
      f: () => this.find(), w: () => this.wander(), m: () => this.mark(), c: () => this.copy(),
      p: () => this.paste(), "?": () => { this.help = !this.help; },
    }[key];
    if (digit) this.do(() => this.press(digit, context, event.shiftKey));
    else if (doing) this.do(doing);
    else return;
    event.preventDefault();
  }

  /** The key of a context: its step, or a run; with several to choose from, the first button gets the focus. */
  async press(digit, context, run) {
    if (this.slow) return;
    if (context === undefined) throw new Refused(`No context has the key ${digit}.`);
    const mine = this.walk.choices().filter((choice) => choice.context === context);
    if (mine.length > 1) {
      this.el.querySelector(`[data-word="${CSS.escape(mine[0].word)}"]`)?.focus();
      throw new Refused(`${this.known.contexts[context].name} leaves something open: choose with Tab and Enter.`);
    }
    if (run && mine[0]?.move) await this.walk.run(context);
    else await this.walk.step(this.known.contexts[context].name);
  }

  /** A random walk on from here; where nothing more can happen, from the start. */
  wander() {
    if (!this.known.moves(this.walk.state).length) this.walk.goTo(0);
    return this.walk.wander(randomFrom(this.seed++));
  }

  // --- drawing ----------------------------------------------------------------------------------------

  draw() {
    this.decided = this.walk.failures.length ? deciding(this.walk) : [];
    const focused = this.el.contains(document.activeElement) ? document.activeElement : null;
    patch(this.el, real([
      h("div", { class: "vt-head" },
        h("span", { class: "vt-title" }, this.panes.map((pane) => pane.known.scenario.title).join(" beside ")),
        h("span", { class: "vt-where" }, this.where())),
      this.drawTools(),
      this.drawStatus(),
      this.help && h("dl", { class: "vt-help" }, [...KEYS, ...SIGNS].map(([keys, what]) => [h("dt", {}, keys), h("dd", {}, what)])),
      this.sharing && this.drawSharing(),
      h("div", { class: this.panes.length > 1 ? "vt-panes vt-two" : "vt-panes" }, this.panes.map((pane, i) => this.drawPane(pane, i))),
    ]));
    for (const listing of this.el.querySelectorAll(".vt-code[tabindex]")) {
      const here = listing.querySelector(".vt-here");
      if (here && listing.shownLine !== here.textContent + here.offsetTop) {
        listing.shownLine = here.textContent + here.offsetTop;
        listing.scrollTop = here.offsetTop - listing.clientHeight / 2;
      }
    }
    if (this.view.scroll) {
      this.view.scroll = false;
      const log = this.el.querySelector(".vt-scroll");
      if (log) log.scrollTop = this.view.top;
    }
    if (this.selecting) {
      this.selecting = false;
      const field = this.el.querySelector("textarea");
      field?.focus();
      field?.select();
    } else if (focused && !focused.isConnected) {       // what had the focus is gone: the nearest thing to do
      (this.el.querySelector(".vt-step:not([aria-disabled])") ?? this.el.querySelector(".vt-tools button") ?? this.el).focus();
    }
  }

  where() {
    const whole = this.panes.every((pane) => pane.known.complete);
    const many = this.panes.reduce((sum, pane) => sum + pane.known.states.size, 0);
    if (this.slow) return "asking the kernel …";
    if (!whole && this.model.get("offline")) return "not all states are in this page";
    if (this.gone && whole) return "the kernel has forgotten this stepper; it goes on in this page";
    if (this.gone) return "the kernel has forgotten this stepper: run its cell again";
    return whole ? (many === 1 ? "its one state is in this page" : `all ${plural(many, "state")} in this page`) : "asks the kernel for new states";
  }

  drawTools() {
    const { walk } = this;
    const again = this.failure > 0 && this.known.explored.failures.length > 1;
    const button = (text, label, can, action, pressed) => h("button", {
      type: "button", class: "vt-button", title: label, "aria-disabled": can ? null : "true",
      "aria-pressed": pressed === undefined ? null : String(pressed), onclick: () => can && this.do(action),
    }, text);
    return h("div", { class: "vt-tools", role: "group", "aria-label": "Schedule" },
      h("span", { class: "vt-group" },
        button("Start", "Back to the start", walk.at > 0, () => walk.goTo(0)),
        button("Undo", "Take the last step back", walk.at > 0, () => walk.goTo(walk.at - 1)),
        button("Redo", "Take the undone step again", walk.at < walk.length, () => walk.goTo(walk.at + 1))),
      h("span", { class: "vt-group vt-slide" },
        h("input", { type: "range", min: 0, max: walk.length, value: walk.at, "aria-label": "Step",
          "aria-valuetext": `step ${walk.at} of ${walk.length}`, disabled: walk.length === 0,
          oninput: (event) => this.do(() => walk.goTo(Number(event.target.value))) }),
        h("span", { class: "vt-steps" }, walk.at === walk.length ? plural(walk.at, "step") : `${walk.at} of ${plural(walk.length, "step")}`)),
      h("span", { class: "vt-group" },
        button(again ? "Next failure" : "Find a failure",
          "Search every interleaving, and load the schedule that shows a failure best", true, () => this.find()),
        button("Random walk", "Take random steps to the end, at most 200; from the end, from the start", true, () => this.wander()),
        button("Mark", "Mark each choice: is a failure behind it impossible, possible, certain?", true, () => this.mark(), this.marks),
        button("Copy", "Copy the schedule", true, () => this.copy()),
        button("Paste", "Paste a schedule", true, () => this.paste()),
        button("?", "Keys", true, () => { this.help = !this.help; }, this.help)));
  }

  drawSharing() {
    const text = this.draft ?? scheduleText(this.walk.steps.slice(0, this.walk.at), this.known.scenario);
    return h("div", { class: "vt-sharing" },
      h("textarea", { "aria-label": "A schedule", rows: 2, spellcheck: "false", value: text, placeholder: "host*2 worker_0",
        oninput: (event) => { this.draft = event.target.value; } }),
      h("span", { class: "vt-group" },
        h("button", { type: "button", class: "vt-button", onclick: () => this.do(() => this.play(this.el.querySelector("textarea").value)) }, "Play it"),
        h("button", { type: "button", class: "vt-button", onclick: () => this.do(() => { this.sharing = false; this.draft = null; }) }, "Close")));
  }

  drawStatus() {
    const { walk, known } = this;
    const { failures } = walk;
    const lines = [];
    const races = walk.path.slice(0, walk.at + 1).flatMap(({ state }, i) => known.sightings(state).map((fault) => [i, fault]));
    const inWords = (fault) => [h("b", {}, `✗ ${IN_WORDS[fault.kind] ?? fault.kind}: `), fault.message];
    let kind = this.kind;
    if (failures.length) {
      kind = "bad";
      lines.push(...failures.map(inWords));
      lines.push(this.whyDecided());
    }
    if (this.said) lines.push(...this.said.split("\n"));
    for (const [, fault] of races.filter(([i]) => i === walk.at)) {
      kind = "bad";
      lines.push(inWords(fault));
    }
    if (!failures.length && !this.said) {
      if (walk.at > 0) {
        const step = told(walk, walk.at), what = changed(step);
        lines.push([h("b", {}, `Step ${walk.at}, ${step.who}: `), sentence(step), what && h("span", { class: "vt-changed" }, heard("; changes "), what)]);
      }
      if (!known.moves(walk.state).length && races.length) {
        lines.push(`All has been done. On the way there was a data race, ${races[0][0] ? `after step ${races[0][0]}` : "at the start"}.`);
      } else if (!known.moves(walk.state).length) {
        kind = "good";
        lines.push("✓ All has been done, and nothing failed in this schedule.");
      } else if (walk.at === 0) lines.push(known.scenario.about, "Who goes next?");
    }
    return h("div", { class: `vt-status ${kind ? `vt-${kind}` : ""}`, role: "status", "aria-live": "polite" }, lines.filter(Boolean).map((line) => h("div", {}, line)));
  }

  /** Which step made the present failure certain, in words; "" where it is not known. */
  whyDecided() {
    const { walk, known } = this;
    if (known.fate(0) === "2") return "Nothing could have avoided it: every schedule of this scenario fails.";
    const decision = this.decided.find(({ certain }) => certain);
    if (!decision) return "";
    const step = told(walk, decision.step);
    const did = step.remark ? `${step.who} ${step.remark}` : step.text;
    return `Decided in step ${decision.step}: ${did}. Before it, another choice could still have avoided this.`;
  }

  drawPane({ known, walk, stopped, why }, number) {
    const first = number === 0;
    const choices = walk.choices();
    const steps = this.walk.at;
    const members = known.lanes.map(() => []);
    known.contexts.forEach((context, i) => {
      const lane = known.lane(walk.state, i);
      const active = known.fields(walk.state)[i] !== 0;
      if (lane === NOBODY) return;
      if (active || ["task", "host", "irq"].includes(context.kind) || known.active.has(i)) members[lane].push(i);
    });
    const home = new Set(known.contexts.map((context) => context.lane));
    const compact = known.lanes.filter((info, lane) => info.kind !== "own" || home.has(lane)).length > 8;
    const options = { choices, keys: this.slots, marks: this.marks, act: first ? this.act : null, compact };
    const lanes = known.lanes.map((info, lane) => {
      if (!members[lane].length && info.kind === "own") return null;
      members[lane].sort((a, b) => RANK[known.contexts[a].kind] - RANK[known.contexts[b].kind] || a - b);
      return drawLane(walk, lane, members[lane], options);
    });
    const decided = new Map(this.decided.map((decision) => [decision.step, decision]));
    return h("div", { class: "vt-pane", key: `pane${number}` },
      this.panes.length > 1 && h("div", { class: "vt-pane-head" }, h("span", { class: "vt-name" }, known.scenario.title),
        h("div", { class: "vt-why" }, first ? "You schedule this one." : this.comparison(walk, stopped, why, steps))),
      h("div", { class: compact ? "vt-lanes vt-many" : "vt-lanes" }, lanes),
      h("div", { class: "vt-under" },
        h("div", { class: "vt-shared", role: "region", tabindex: 0, "aria-label": "shared state" }, drawState(walk)),
        first && drawLog(walk, this.view, this.act, decided)));
  }

  comparison(walk, stopped, why, steps) {
    if (stopped < steps) return `The same schedule goes as far as step ${stopped} of ${steps}: ${why}`;
    if (walk.failures.length) return `The same schedule fails here, too: ${walk.failures[0].message}.`;
    if (!steps) return "Plays the same schedule, as far as it goes.";
    return `The same ${plural(steps, "step")}, and nothing has failed here` + (walk.known.moves(walk.state).length ? " so far." : ".");
  }
}

/** The door for anywidget: draws a model into an element; returns what undoes it. */
function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "vt";
  root.tabIndex = -1;
  root.setAttribute("role", "group");
  el.append(root);
  let stepper;
  try {
    stepper = new Stepper(model, root);
  } catch (error) {
    root.textContent = error.message;
    return undefined;
  }
  root.setAttribute("aria-label", `Stepper of ${stepper.known.scenario.title}`);
  const hear = (message) => stepper.hear(message);
  const marked = () => { if (!stepper.telling && model.get("marks") !== stepper.marks) stepper.do(() => stepper.mark(), false); };
  const moved = () => { if (!stepper.telling) stepper.do(() => stepper.load(), false); };
  const lost = () => stepper.check();
  model.on("msg:custom", hear);
  model.on("change:schedule change:at", moved);
  model.on("change:marks", marked);
  model.on("comm_live_update", lost);
  // On the way down, and before everybody else: JupyterLab listens on the way up, but Notebook 7 on the way down.
  const pressed = (event) => { if (root.contains(event.target)) stepper.key(event); };
  addEventListener("keydown", pressed, true);
  root.stepper = stepper;       // for tests and the curious
  stepper.do(() => stepper.load(), false);
  return () => {
    clearTimeout(stepper.reporting);
    removeEventListener("keydown", pressed, true);
    model.off("msg:custom", hear);
    model.off("change:schedule change:at", moved);
    model.off("change:marks", marked);
    model.off("comm_live_update", lost);
    root.remove();
  };
}

export default { render };
