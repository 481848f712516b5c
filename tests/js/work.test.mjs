// How much is done per click, counted: no more at the end of a long walk than at its start.
import assert from "node:assert/strict";
import test from "node:test";
import { made, partial, scenario, stepper } from "./support.mjs";

const { handover, lastWriter, randomFrom, told } = stepper;
const STEPS = 2000;

/** A ring of two contexts that hand on to each other for ever, and a straight line of as many states. */
const ring = () => made(Object.fromEntries(Array.from({ length: 100 }, (_, i) => [i, `a>${(i + 1) % 100} b>${(i + 7) % 100}`])));
const line = (length) => made(Object.fromEntries(Array.from({ length }, (_, i) => [i, i + 1 < length ? `a>${i + 1} b>${i + 1}` : ""])));

/** Counts how often a state is read. */
function counting(walk) {
  const count = { reads: 0 }, { states } = walk.known, { get } = states;
  states.get = (number) => { count.reads += 1; return get.call(states, number); };
  return count;
}

test("A step, what it tells and what comes next decode one state, in step 2,000 as in step 2", async () => {
  const walk = line(STEPS + 1), count = counting(walk), costs = [];
  for (let i = 1; i <= STEPS; i++) {
    const { size } = walk.known.decoded, { reads } = count;
    await walk.step(i % 3 ? "a" : "b");
    told(walk, i);
    walk.choices();
    if (i > 1) handover(walk.known, told(walk, i - 1), told(walk, i));
    assert.ok(walk.known.decoded.size - size <= (i === 1 ? 2 : 1), `step ${i}`);
    costs.push(count.reads - reads);
  }
  assert.equal(costs.at(-1), costs[1]);
});

test("What a step was is put into words once", async () => {
  const walk = ring();
  await walk.wander(randomFrom(1), STEPS);
  assert.equal(walk.length, STEPS);
  for (let i = 1; i <= STEPS; i++) told(walk, i);
  const before = walk.path.map((entry) => entry.told), count = counting(walk);
  for (let i = 1; i <= STEPS; i++) assert.equal(told(walk, i), before[i]);
  assert.equal(count.reads, 0);
});

test("In a complete document going anywhere reads no state, and asks nobody", async () => {
  const walk = ring();
  await walk.wander(randomFrom(2), STEPS);
  const count = counting(walk);
  for (const at of [0, STEPS, 3, STEPS / 2]) walk.goTo(at);
  assert.equal(count.reads, 0);
});

test("Who wrote what is found by looking at each step once, however often it is asked", async () => {
  const walk = line(STEPS + 1);
  await walk.replay({ steps: Array(STEPS).fill("a") });
  assert.equal(lastWriter(walk, 0), STEPS);
  let looked = 0;
  const { fields } = walk.known;
  walk.known.fields = function counted(number) { looked += 1; return fields.call(this, number); };
  for (const at of [STEPS, STEPS / 2, 1, 0]) {
    walk.goTo(at);
    assert.equal(lastWriter(walk, 0), at);
  }
  assert.equal(looked, 0);
  await walk.step("b");
  assert.equal(lastWriter(walk, 0), 1);
  assert.equal(looked, 2);
});

test("A chain of 50,000 states can be decoded from its end, and the next one then costs one state", () => {
  const chain = line(2).known, length = 50_000;
  chain.states.clear();
  chain.decoded.clear();
  for (let i = 0; i < length; i++) chain.states.set(i, [i - 1, [2, i], [], [], [], []]);
  assert.deepEqual(chain.fields(length - 2), [0, 0, length - 2]);
  const count = counting({ known: chain });
  assert.deepEqual(chain.fields(length - 1), [0, 0, length - 1]);
  assert.ok(count.reads <= 2, "what is decoded is not decoded again");
});

test("A walk of 2,000 steps that asks on the way keeps as many states as it has met", async () => {
  const { document } = scenario("Open");
  const { walk, known, kernel } = partial(document);
  await walk.wander(randomFrom(3), STEPS);
  assert.ok(known.decoded.size <= Object.keys(document.states).length);
  assert.ok(kernel.requests.length <= Object.keys(document.states).length);
});
