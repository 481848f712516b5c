// Going along a path: undo, redo, replay, run, wander, follow; and that nothing is lost when a step cannot be taken.
import assert from "node:assert/strict";
import test from "node:test";
import { made, scenario, scenarios, sentenceOf, stepper } from "./support.mjs";

const { Known, Refused, Walk, follow, handover, lastWriter, randomFrom, told } = stepper;

const walkThrough = (document) => new Walk(new Known(document));

test("Going to a place stays within the path, and a new step drops what was undone", async () => {
  const walk = made({ 0: "a>1 b>3", 1: "a>2", 2: "", 3: "a>4", 4: "" });
  await walk.replay({ steps: ["a", "a"] });
  for (const [to, at, state] of [[-5, 0, 0], [1, 1, 1], [99, 2, 2], [0, 0, 0]]) {
    walk.goTo(to);
    assert.deepEqual([walk.at, walk.state, walk.length], [at, state, 2]);
  }
  await walk.step("b");
  assert.deepEqual([walk.at, walk.length, walk.steps], [1, 1, ["b"]]);
});

test("A step that cannot be taken changes nothing: what was undone can still be redone", async () => {
  const walk = made({ 0: "a>1 b?a", 1: "a>2 b>2", 2: "!" });
  await walk.replay({ steps: ["a", "b"] });
  const { path } = walk, entries = [...path];
  const sentences = {
    b: "b cannot step now: it waits. Possible now: a.", "a:0": "a:0 has nothing to do now. Possible now: a.",
    c: "there is no context 'c' in Made. Possible now: a.",
  };
  walk.goTo(0);
  for (const [word, sentence] of Object.entries(sentences)) {
    await assert.rejects(() => walk.step(word), (error) => error instanceof Refused && error.message === sentence);
    assert.deepEqual([walk.at, walk.path, walk.length], [0, entries, 2]);
  }
  walk.goTo(2);
  assert.equal(await sentenceOf(() => walk.step("a")), "'a' cannot step: the schedule has ended (it broke).");
  assert.deepEqual([walk.at, walk.path], [2, entries]);
});

test("A replay that does not fit leaves the path, the place, and what was told about it", async () => {
  const walk = made({ 0: "a>1 b?a", 1: "a>2 b>2", 2: "" });
  await walk.replay({ steps: ["a", "a"] });
  const step = told(walk, 1);
  walk.goTo(1);
  assert.equal(await sentenceOf(() => walk.replay({ steps: ["a", "b", "a"] })),
    "step 3 of 3 of the schedule does not fit: a has nothing to do now. No step is possible any more.");
  assert.equal(await sentenceOf(() => walk.replay({ steps: ["b"], name: "Made", digest: "ffff" })),
    "step 1 of 1 of the schedule does not fit: b cannot step now: it waits. Possible now: a. " +
    "The schedule was recorded for other code: Made@ffff, and this is Made@0123ab.");
  assert.ok(!(await sentenceOf(() => walk.replay({ steps: ["b"], name: "Made", digest: "0123ab" }))).includes("other code"));
  assert.deepEqual([walk.at, walk.steps], [1, ["a", "a"]]);
  assert.equal(told(walk, 1), step);
  await walk.replay({ steps: [] });
  assert.deepEqual([walk.at, walk.length], [0, 0]);
});

test("Running a context stops where it waits, has returned, leaves something open, or fails, and ends in a loop", async () => {
  const runs = [
    [{ 0: "a>1 b>9", 1: "a>2 b>9", 2: "a?b b>9", 9: "" }, 2],        // waits
    [{ 0: "a>1 b>9", 1: "a>2 b>9", 2: "b>9", 9: "" }, 2],            // has returned
    [{ 0: "a>1", 1: "a>2", 2: "a:0>9 a:1>9", 9: "" }, 2],            // leaves something open
    [{ 0: "a>1", 1: "a>2", 2: "!" }, 2],                             // fails
    [{ 0: "a>1", 1: "a>2", 2: "a>1 b>9", 9: "" }, 3],                // a loop: until a state has come again
    [{ 0: "a?b b>1", 1: "" }, 0],                                    // cannot even begin
  ];
  for (const [machine, steps] of runs) {
    const walk = made(machine);
    await walk.run(0);
    assert.deepEqual([walk.at, new Set(walk.steps)], [steps, new Set(steps ? ["a"] : [])], JSON.stringify(machine));
  }
  const endless = made({ 0: "a>1", 1: "a>2", 2: "a>3", 3: "a>0" });
  await endless.run(0, 2);
  assert.equal(endless.at, 2);
});

test("Running takes the steps of one context alone, and drops what was undone only if it takes any", async () => {
  for (const [name, { document, walks }] of scenarios()) {
    const walk = walkThrough(document);
    await walk.replay({ steps: walks[0].words });
    walk.goTo(Math.floor(walk.length / 2));
    for (let context = 0; context < walk.known.contexts.length; context++) {
      const { at, length } = walk;
      await walk.run(context);
      assert.deepEqual(new Set(walk.path.slice(at + 1, walk.at + 1).map(({ move }) => move[0])), new Set(walk.at > at ? [context] : []), name);
      assert.equal(walk.length, walk.at > at ? walk.at : length, name);
      const mine = walk.choices().filter((choice) => choice.context === context && choice.move);
      const again = walk.path.slice(at, walk.at).some(({ state }) => state === walk.state);
      assert.ok(walk.failures.length || mine.length !== 1 || again, `${name}: it could have gone on`);
    }
  }
});

test("A random walk is the same for the same seed, another for others, and ends at the end, a failure, or its limit", async () => {
  for (const [name, { document }] of scenarios()) {
    const found = new Set();
    for (let seed = 1; seed <= 8; seed++) {
      const [one, two] = [walkThrough(document), walkThrough(document)];
      await one.wander(randomFrom(seed), 60);
      await two.wander(randomFrom(seed), 60);
      assert.deepEqual(one.steps, two.steps, name);
      assert.ok(one.length === 60 || !one.known.moves(one.state).length, name);
      found.add(one.steps.join(" "));
    }
    const { contexts, states } = document;
    if (contexts.length > 1 && Object.keys(states).length > 50) assert.ok(found.size > 1, name);
  }
});

test("Random numbers from a seed are those of mulberry32, between 0 and 1", () => {
  const random = randomFrom(1), many = Array.from({ length: 1000 }, random);
  assert.deepEqual(many.slice(0, 3).map((x) => Math.floor(x * 2 ** 32)), [2693262067, 11749833, 2265367787]);
  assert.ok(many.every((x) => x >= 0 && x < 1));
  assert.ok(Math.abs(many.reduce((a, b) => a + b) / 1000 - 0.5) < 0.05);
});

test("Another scenario follows as far as it can, and says in a sentence why no further", async () => {
  const walk = made({ 0: "a>1 b>3", 1: "b>2", 2: "a>4", 3: "", 4: "" });
  assert.deepEqual(await follow(walk, ["a", "b"]), { stopped: 2, why: "" });
  assert.deepEqual(await follow(walk, ["a", "b", "b", "a"]), { stopped: 2, why: "b has nothing to do now. Possible now: a." });
  assert.deepEqual([walk.at, walk.steps], [2, ["a", "b"]]);
  assert.deepEqual(await follow(walk, ["a"]), { stopped: 1, why: "" });
  assert.deepEqual([walk.at, walk.length], [1, 2]);
  assert.deepEqual(await follow(walk, ["b"]), { stopped: 1, why: "" });
  assert.deepEqual([walk.at, walk.steps], [1, ["b"]]);
  assert.deepEqual(await follow(walk, []), { stopped: 0, why: "" });
});

test("What follows plays only the steps that are new", async () => {
  const { document, walks } = scenario("PerCpuLists");
  const steps = walks[0].words, walk = walkThrough(document);
  let played = 0;
  const step = walk.step;
  walk.step = function counted(word) { played += 1; return step.call(this, word); };
  for (let i = 0; i <= steps.length; i++) await follow(walk, steps.slice(0, i));
  assert.equal(played, steps.length);
  for (let i = steps.length; i >= 0; i--) await follow(walk, steps.slice(0, i));
  assert.deepEqual([played, walk.at, walk.length], [steps.length, 0, steps.length]);
});

test("Where another scenario fails or goes another way it tells the same as if it were stepped by hand", async () => {
  const broken = scenario("PerCpuLists"), repaired = scenario("WaitAndDrain");
  for (const { words: steps } of broken.walks) {
    const walk = walkThrough(repaired.document), byHand = walkThrough(repaired.document);
    const { stopped, why } = await follow(walk, steps);
    for (const word of steps.slice(0, stopped)) await byHand.step(word);
    assert.deepEqual(walk.steps, byHand.steps);
    assert.equal(why, stopped < steps.length ? await sentenceOf(() => byHand.step(steps[stopped])) : "");
    assert.deepEqual(walk.known.shared.map((_, s) => lastWriter(walk, s)), byHand.known.shared.map((_, s) => lastWriter(byHand, s)));
  }
});

test("A handover is told as what it is: on another CPU, preempted, or interrupted on the same CPU", () => {
  const known = {
    lanes: [{ name: "CPU 0", kind: "cpu" }, { name: "CPU 1", kind: "cpu" }, { name: "host", kind: "host" }],
    contexts: ["task", "irq", "ipi", "tasklet", "host"].map((kind) => ({ kind })),
  };
  const before = { context: 0, who: "task", lane: 0, next: "does x", stuck: false };
  const said = (context, lane, more = {}) => handover(known, { ...before, ...more }, { context, lane });
  assert.equal(said(1, 0), "CPU 0 is interrupted in task before it does x");
  assert.equal(said(2, 0), "CPU 0 is interrupted in task before it does x");
  assert.equal(said(3, 0), "task is preempted before it does x");
  assert.equal(said(1, 1), "before task does x");
  assert.equal(said(4, 2, { lane: 2 }), "before task does x");
  for (const nothing of [said(0, 0), said(1, 0, { next: "" }), said(1, 0, { stuck: true })]) assert.equal(nothing, "");
});
