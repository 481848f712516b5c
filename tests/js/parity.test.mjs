// Along the same schedules, the page tells what Python tells.
import assert from "node:assert/strict";
import test from "node:test";
import { scenarios, stepper } from "./support.mjs";

const { Known, Walk, deciding, handover, lastWriter, sentence, told, words } = stepper;

const OF_SETUP = ["state", "lock", "object", "field", "heap"];
const OF_STATES = ["invariant", "at_end", "deadlock", "leak"];
const FATES = { 0: "impossible", 1: "possible", 2: "certain", "-": "unknown" };

/** Calls `look(walk, i, way)` at the start and after each step of every walk; `done(walk, way)` after the last one. */
async function along(look, done = () => {}) {
  for (const [name, { document, walks }] of scenarios()) {
    for (const way of walks) {
      const walk = new Walk(new Known(document));
      for (let i = 0; i <= way.words.length; i++) {
        try {
          if (i > 0) await walk.step(way.words[i - 1]);
          look(walk, i, way);
        } catch (error) {
          error.message = `${name}, after ${i} steps of ${way.text}: ${error.message}`;
          throw error;
        }
      }
      try {
        done(walk, way);
      } catch (error) {
        error.message = `${name}, ${way.text}: ${error.message}`;
        throw error;
      }
    }
  }
}

const kindsAndMessages = (faults) => faults.map(({ kind, message }) => [kind, message]);
/** The messages of the failures that a step has made itself; a broken invariant is one of the state after it. */
const ofTheStep = (walk) => walk.failures.filter(({ kind }) => !OF_STATES.includes(kind)).map(({ message }) => message).join("; ");

test("In every state there are the same choices, enabled or with the same reason to wait", () => along((walk, i, way) => {
  const { known, state } = walk;
  const found = walk.choices().map(({ context, word, move, reason = "", on = [] }) => {
    const { text, remark, resumed } = known.position(state, context);
    const gives = move && move[1] !== -1 && move[3] !== -1 ? ` gives ${known.texts[move[3]]}` : "";
    return [word, text + gives, resumed && move ? `has waited, and goes on after ${text}` : remark, Boolean(move), reason, on.map((other) => known.contexts[other].name)];
  });
  if (walk.failures.length) assert.ok(!found.some(([, , , can]) => can));     // who waits for whom in a deadlock is still there
  else assert.deepEqual(found, way.states[i].choices);
}));

test("In every state there are the same failures, and the same sightings of data races", () => along((walk, i, way) => {
  assert.deepEqual(kindsAndMessages(walk.failures), way.states[i].failures);
  assert.deepEqual(kindsAndMessages(walk.known.sightings(walk.state)), way.states[i].sightings);
}));

test("In every state the shared state has the same values", () => along((walk, i, way) => {
  const { known, state } = walk;
  const found = known.shared.map(({ name, kind }, s) => [name, kind, words(known.value(state, s))]);
  assert.deepEqual(found.filter(([, kind]) => OF_SETUP.includes(kind)).map(([name, , value]) => [name, value]), way.states[i].values);
}));

test("Every step has the same sentence, result and changes, and the same in its context to come", () => along((walk, i, way) => {
  if (i === 0) return;
  const step = told(walk, i), said = way.steps[i - 1];
  assert.equal(sentence(step), said.sentence);
  assert.equal(step.gives, said.gives);
  assert.equal(step.resumed, said.resumed);
  assert.equal(step.waits, said.waits);
  assert.equal(step.next, said.next);
  assert.deepEqual(step.changes.map(({ name, before, after }) => [name, before, after]), said.changes);
  assert.equal(ofTheStep(walk), said.fails);
  assert.equal(step.fails, walk.failures.map(({ message }) => message).join("; "));
}));

test("The story of a walk is that of narrate.story, line by line", () => along(() => {}, (walk, way) => {
  const { known } = walk, lines = [];
  for (let i = 1; i <= walk.length; i++) {
    const step = told(walk, i), before = i > 1 ? told(walk, i - 1) : null;
    if (before?.context !== step.context) {
      const said = before ? handover(known, before, step) : "";
      if (said) lines.push(`      ${said}`);
      const lane = known.lanes[step.lane];
      lines.push(`${step.who}${{ host: " (host)", cpu: ` (${lane.name})`, own: "" }[lane.kind]}:`);
    }
    const changes = step.changes.map((change) => `${change.name} ${change.before} -> ${change.after}`).join(", ");
    const fails = i === walk.length ? ofTheStep(walk) : "";
    lines.push(`  ${String(i).padStart(2)}  ${sentence(step)}${changes && `   [${changes}]`}${fails && `   FAILS: ${fails}`}`);
  }
  assert.deepEqual(lines, way.story);
}));

test("The schedule of a walk has the same text, with and without the scenario", () => along(() => {}, (walk, way) => {
  assert.equal(stepper.scheduleText(walk.steps), way.text);
  assert.equal(stepper.scheduleText(walk.steps, walk.known.scenario), way.whole);
}));

test("Behind every choice there is the fate that Exploration.fates gives it", () => along((walk, i, way) => {
  if (!way.states[i].fates) return;
  const { known, state } = walk;
  assert.deepEqual(Object.fromEntries(known.moves(state).map((move) => [known.word(move), FATES[known.fate(move[2])]])), way.states[i].fates);
}));

test("The deciding steps are those that were taken although another choice had a better fate", () => along(() => {}, (walk, way) => {
  if (!way.states[0].fates) return;
  const rank = ["impossible", "possible", "certain"];
  const expected = way.words.flatMap((word, i) => {
    const fates = way.states[i].fates;
    const better = Object.values(fates).some((fate) => rank.indexOf(fate) < rank.indexOf(fates[word]));
    return better ? [{ step: i + 1, certain: fates[word] === "certain" }] : [];
  });
  assert.deepEqual(deciding(walk), expected);
}));

test("Who has written what last agrees with the trace, after each step and after going back", () => along((walk, i, way) => {
  const writers = (at) => Object.fromEntries(walk.known.shared
    .map(({ name, kind }, s) => [name, kind, lastWriter(walk, s)])
    .filter(([, kind, last]) => last && kind !== "heap" && (OF_SETUP.includes(kind) || kind === "interrupt")).map(([name, , last]) => [name, last]));
  if (i === 0) return;
  assert.deepEqual(writers(), way.steps[i - 1].writers);
  if (i < 2) return;
  walk.goTo(i - 1);
  assert.deepEqual(writers(), way.steps[i - 2].writers);
  walk.goTo(i);
}));
