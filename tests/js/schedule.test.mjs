// Schedules as text: the same as Python's, to the letter, and the same sentences where they cannot be read or do not fit.
import assert from "node:assert/strict";
import test from "node:test";
import { dice, scenarios, schedules, sentenceOf, stepper } from "./support.mjs";

const { Known, Refused, Walk, parseSchedule, scheduleText } = stepper;

test("Text is read as Python reads it: the same steps, name and digest, or the same sentence", () => {
  for (const { text, error, steps, length, name, digest } of schedules()) {
    let found;
    try { found = parseSchedule(text); } catch (caught) { found = caught.message; }
    if (error !== undefined || typeof found === "string") { assert.equal(found, error, JSON.stringify(text)); continue; }
    assert.equal(found.steps.length, length, JSON.stringify(text));
    assert.deepEqual({ ...found, steps: length < 100 ? found.steps : [] }, { steps, name, digest }, JSON.stringify(text));
  }
});

test("The text of what was read is the one that Python writes", () => {
  for (const { text, error, again } of schedules()) {
    if (error !== undefined) continue;
    const { steps, name, digest } = parseSchedule(text);
    assert.equal(scheduleText(steps, digest ? { name, digest } : null), again);
  }
});

test("What was written is read again as it was, with and without a scenario, however it is broken into lines", () => {
  const names = ["host", "worker_0", "worker_1", "w:0", "w:1", "vmbus_isr_0"];
  for (let seed = 0; seed < 500; seed++) {
    const roll = dice(seed);
    const steps = Array.from({ length: roll(30) }, () => names[roll(1 + roll(names.length))]);
    const scenario = roll(2) ? { name: ["Lost", "Lost(limit=2,b=3)"][roll(2)], digest: "9f3101" } : null;
    const text = scheduleText(steps, scenario).replaceAll(" ", () => [" ", "\n", "\r\n\t ", "\u00a0"][roll(4)]);
    assert.deepEqual(parseSchedule(` ${text}\n`), { steps, name: scenario?.name ?? "", digest: scenario?.digest ?? "" });
  }
});

test("A schedule that does not fit is refused in the sentence of Session.replay, and nothing is lost", async () => {
  for (const [name, { document, replays, walks }] of scenarios()) {
    const walk = new Walk(new Known(document));
    const start = walks[0].words;
    await walk.replay({ steps: start });
    walk.goTo(start.length - 1);
    for (const [text, why] of replays) {
      const { path, at } = walk;
      const found = await sentenceOf(async () => walk.replay(parseSchedule(text)));
      assert.equal(found, why, `${name}: ${text}`);
      if (why) assert.deepEqual([walk.path === path, walk.at], [true, at], `${name}: ${text}`);
      else await walk.replay({ steps: start });
    }
  }
});

test("What is no step of a schedule is an Error, what does not fit is Refused", async () => {
  const [[, { document }]] = scenarios();
  const walk = new Walk(new Known(document));
  assert.throws(() => parseSchedule("a**2"), (error) => !(error instanceof Refused));
  await assert.rejects(() => walk.replay({ steps: ["nobody"] }), Refused);
});
