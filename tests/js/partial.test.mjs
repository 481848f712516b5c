// A page that knows only some states, and asks for more: it tells the same as one that knows them all.
import assert from "node:assert/strict";
import test from "node:test";
import { dice, Kernel, partial, scenario, scenarios, sentenceOf, stepper } from "./support.mjs";

const { Known, Refused, Walk, deciding, handover, lastWriter, told, words } = stepper;

/** All that a walk can tell, in words, so that the numbers of states and tables do not matter. */
function everything(walk) {
  const { known, state } = walk;
  return {
    choices: walk.choices().map(({ word, move, reason }) => [word, reason, move && known.texts[move[3]]]),
    faults: [...walk.failures, ...known.sightings(state)].map(({ kind, message }) => [kind, message]),
    values: known.shared.map((_, s) => words(known.value(state, s))),
    positions: known.contexts.map((_, i) => {
      const { text, remark, next, places = [] } = known.position(state, i);
      return [text, remark, next, known.lane(state, i), places.map(([listing, line]) => [known.listings[listing].function, line])];
    }),
    steps: walk.path.slice(1).map((_, i) => told(walk, i + 1)),
    handovers: walk.path.slice(2).map((_, i) => handover(known, told(walk, i + 1), told(walk, i + 2))),
    writers: known.shared.map((_, s) => lastWriter(walk, s)),
  };
}

test("Asking on the way, every walk tells the same as with the complete document", async () => {
  for (const [name, { document, walks }] of scenarios()) {
    for (const { words: steps, text } of walks) {
      const whole = new Walk(new Known(document)), { walk } = partial(document);
      for (const word of steps) {
        await whole.step(word);
        await walk.step(word);
        assert.deepEqual(everything(walk), everything(whole), `${name}, ${text}`);
      }
    }
  }
});

test("What Python's own Document answers is asked for, and tells the same as the complete document", async () => {
  for (const [name, { document, walks, conversation }] of scenarios()) {
    const known = new Known(conversation.start), asked = [...conversation.asked];
    const walk = new Walk(known, async (request) => {
      const expected = asked.shift();
      assert.deepEqual(request, expected.request, name);
      known.add(expected.news);
      return {};
    });
    const whole = new Walk(new Known(document));
    for (const word of walks[0].words) {
      await whole.step(word);
      await walk.step(word);
      assert.deepEqual(everything(walk), everything(whole), `${name}, ${walks[0].text}`);
    }
    assert.deepEqual(asked, []);
  }
});

test("A replay asks once, and so does another scenario that follows", async () => {
  const { document, walks } = scenario("PerCpuLists");
  const steps = walks[0].words;
  const { walk, kernel } = partial(document);
  await walk.replay({ steps });
  assert.deepEqual(kernel.requests, [{ do: "follow", steps }]);
  const beside = partial(document);
  assert.deepEqual(await stepper.follow(beside.walk, steps), { stopped: steps.length, why: "" });
  assert.deepEqual(beside.kernel.requests.map((request) => request.do), ["follow"]);
  assert.deepEqual(everything(beside.walk), everything(walk));
});

test("A step asks for what comes after the next one, so that only every other step has to wait", async () => {
  const { document, walks } = scenario("PerCpuLists");
  const { walk, kernel } = partial(document);
  for (const word of walks[0].words) await walk.step(word);
  assert.ok(kernel.requests.length <= walks[0].words.length / 2, `${kernel.requests.length} requests`);
});

test("A search brings the fates, and then the deciding steps are those of the complete document", async () => {
  for (const name of ["PerCpuLists", "HostIsLate", "Increments"]) {
    const { document, walks } = scenario(name);
    const { words: steps } = walks[2];                // the first failure
    const whole = new Walk(new Known(document)), { walk, known } = partial(document);
    await whole.replay({ steps });
    await walk.replay({ steps });
    assert.deepEqual([deciding(walk), known.fate(0), known.explored], [[], "", null]);
    await walk.fetch({ do: "explore" });
    assert.deepEqual(deciding(walk), deciding(whole));
    assert.ok(deciding(whole).length > 0 && known.explored.failures.length > 0);
  }
});

test("News that comes twice, late or in pieces changes nothing", async () => {
  for (const [name, { document, walks }] of [...scenarios()].slice(0, 30)) {
    const roll = dice(7);
    const kernel = new Kernel(document);
    const start = kernel.start(), messages = [];
    for (const word of ["follow", "explore"]) {
      kernel.answer({ do: word, steps: walks[0].words });
      messages.push(kernel.news());
    }
    const known = new Known(start);
    for (const message of messages) known.add(structuredClone(message));
    const before = structuredClone({ ...known, decoded: null });
    for (let i = 0; i < 20; i++) known.add(structuredClone([start, ...messages][roll(3)]));
    known.add(start);
    assert.deepEqual({ ...known, decoded: null }, before, name);
    const walk = new Walk(known), whole = new Walk(new Known(document));
    for (const word of walks[0].words) {
      await walk.step(word);
      await whole.step(word);
    }
    assert.deepEqual(everything(walk), everything(whole), name);
  }
});

test("Where something is missing in a table the page says so, and what it knew it still knows", async () => {
  const { document, walks } = scenario("PerCpuLists");
  for (const table of ["texts", "listings", "positions", "faults", "values"]) {
    const kernel = new Kernel(document), known = new Known(kernel.start());
    kernel.answer({ do: "follow", steps: walks[0].words });
    const news = kernel.news(), gap = structuredClone(news);
    const late = table === "values" ? gap.values.at(-1) : gap[table];
    late.from += 100;
    const before = [...known.states.keys()];
    assert.throws(() => known.add(gap), { message: "Something that the kernel sent is missing here. Run the cell again." });
    assert.deepEqual([...known.states.keys()], before, table);
    known.add(news);                                  // what was missing comes after all
    const walk = new Walk(known);
    for (const word of walks[0].words) await walk.step(word);
    assert.equal(walk.length, walks[0].words.length);
  }
});

test("Without a kernel the known states can be walked, the next one is refused in a sentence, and nothing is lost", async () => {
  const { document, walks } = scenario("PerCpuLists");
  const steps = walks[0].words;
  const kernel = new Kernel(document);
  kernel.answer({ do: "follow", steps: steps.slice(0, 4) });
  const walk = new Walk(new Known(kernel.start()));
  const nobody = "this state is not in the page, and there is no kernel to ask. Open the notebook in Jupyter.";
  await walk.replay({ steps: steps.slice(0, 4) });                  // known, so nobody need be asked
  await walk.step(steps[4]);
  walk.goTo(3);
  const { path } = walk;
  for (const action of [() => walk.replay({ steps }), () => walk.replay({ steps, name: "A", digest: "0123" })]) {
    await assert.rejects(action, (error) => error instanceof Refused && error.message.includes(nobody));
    assert.deepEqual([walk.path === path, walk.at, walk.length], [true, 3, 5]);
  }
  walk.goTo(5);
  assert.equal(await sentenceOf(() => walk.step(steps[5])), nobody);
  assert.deepEqual([walk.path === path, walk.at, walk.length], [true, 5, 5]);
  assert.equal(await sentenceOf(() => walk.fetch({ do: "explore" })), nobody);
  const beside = new Walk(walk.known);
  assert.deepEqual(await stepper.follow(beside, steps), { stopped: 5, why: nobody });
  assert.deepEqual(beside.steps, steps.slice(0, 5));
});

test("A kernel that refuses, fails, or answers with nothing loses no step", async () => {
  const { document, walks } = scenario("PerCpuLists");
  const steps = walks[0].words;
  const answers = { refuses: async () => ({ error: "no" }), fails: async () => { throw new Error("broken"); }, silent: async () => ({}) };
  for (const [name, ask] of Object.entries(answers)) {
    const kernel = new Kernel(document);
    kernel.answer({ do: "follow", steps: steps.slice(0, 2) });
    const walk = new Walk(new Known(kernel.start()), ask);
    await walk.replay({ steps: steps.slice(0, 2) });
    walk.goTo(1);
    walk.known.states.delete(walk.path[2].state);         // so that what was undone is the same as what is asked for
    const { path } = walk;
    const said = [await sentenceOf(() => walk.step(steps[1])), await sentenceOf(() => walk.replay({ steps }))];
    for (const sentence of said) assert.match(sentence, { refuses: /no$/, fails: /^broken$/, silent: /the kernel has not sent/ }[name]);
    assert.deepEqual([walk.path === path, walk.at, walk.length], [true, 1, 2]);
  }
});

test("A document of another format or version is refused with both versions named", () => {
  const { document } = scenario("Increments");
  assert.throws(() => new Known({ ...document, version: 2 }), /reads "vmbus_teach\/stepper" version 1, .* given "vmbus_teach\/stepper" version 2/);
  assert.throws(() => new Known({ ...document, format: "x" }), /given "x" version 1\. Run the cell again/);
});
