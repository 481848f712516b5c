// Elements from plain objects: what differs is changed, and nothing else.
import assert from "node:assert/strict";
import test from "node:test";
import { dice, stepper } from "./support.mjs";

const { h, patch } = stepper;

// --- as much of a document as patch needs ---------------------------------------------------------------

let changes = 0;        // of the tree, attributes and texts
let made = 0;

class FakeNode {
  constructor() { this.parent = null; }
  remove() { this.parent.childNodes.splice(this.parent.childNodes.indexOf(this), 1); this.parent = null; changes += 1; }
  replaceWith(node) { this.parent.childNodes[this.parent.childNodes.indexOf(this)] = node; node.parent = this.parent; this.parent = null; changes += 1; }
}

class FakeText extends FakeNode {
  constructor(data) { super(); this.nodeType = 3; this.text = data; }
  get data() { return this.text; }
  set data(text) { this.text = text; changes += 1; }
}

class FakeElement extends FakeNode {
  constructor(tag) { super(); Object.assign(this, { nodeType: 1, localName: tag, childNodes: [], attributes: {} }); }
  get lastChild() { return this.childNodes.at(-1); }
  append(node) { this.childNodes.push(node); node.parent = this; changes += 1; }
  setAttribute(name, value) { this.attributes[name] = String(value); changes += 1; }
  removeAttribute(name) { delete this.attributes[name]; changes += 1; }
  set innerHTML(_) { throw new Error("markup!"); }
}

globalThis.document = {
  createElement: (tag) => { made += 1; return new FakeElement(tag); },
  createTextNode: (text) => { made += 1; return new FakeText(text); },
};

/** What is drawn, as a plain object. */
const seen = (node) => (node.nodeType === 3 ? node.data : { tag: node.localName, ...node.attributes, kids: node.childNodes.map(seen) });
const inside = (root) => root.childNodes.map(seen);

function drawn(...kids) {
  const root = document.createElement("div");
  patch(root, kids);
  return root;
}

// --- the tests ----------------------------------------------------------------------------------------------

test("Text never becomes markup, whether it is a child, an attribute, or a number", () => {
  const evil = "<img src=x onerror=alert(1)> &amp; \"'";
  const root = drawn(h("p", { title: evil, "aria-label": evil }, evil, h("b", {}, 0)));
  assert.deepEqual(inside(root), [{ tag: "p", title: evil, "aria-label": evil, kids: [evil, { tag: "b", kids: ["0"] }] }]);
});

test("Gaps and lists among the children vanish, and zero stays", () => {
  const root = drawn(h("p", {}, null, undefined, false, "", [h("i"), [["x"], null]], 0));
  assert.deepEqual(inside(root), [{ tag: "p", kids: [{ tag: "i", kids: [] }, "x", "0"] }]);
  assert.deepEqual(h("p").props, {});
});

test("Where only text changes, every element stays the one that it was, so the focus stays where it is", () => {
  const draw = (n) => [h("button", { key: "a", onclick: () => n }, h("kbd", {}, "1"), `Step ${n}`), h("p", {}, `at ${n}`)];
  const root = drawn(...draw(1));
  const nodes = (node) => [node, ...(node.childNodes ?? []).flatMap(nodes)];
  const before = nodes(root);
  changes = made = 0;
  patch(root, draw(2));
  assert.deepEqual(nodes(root).map((node, i) => node === before[i]), before.map(() => true));
  assert.deepEqual([made, changes], [0, 2]);
  assert.deepEqual(inside(root), inside(drawn(...draw(2))));
});

test("What has not changed is not touched", () => {
  const handler = () => {};
  const draw = () => [h("button", { class: "a", disabled: true, value: 3, onclick: handler }, "x", h("i", { title: 1 }, "y"))];
  const root = drawn(...draw());
  changes = made = 0;
  patch(root, draw());
  assert.deepEqual([made, changes], [0, 0]);
});

test("Handlers are replaced, and taken away where none is given any more", () => {
  const [first, second] = [() => 1, () => 2];
  const root = drawn(h("button", { onclick: first, oninput: first }));
  const [button] = root.childNodes;
  patch(root, [h("button", { onclick: second })]);
  assert.deepEqual([root.childNodes[0] === button, button.onclick, button.oninput], [true, second, null]);
  patch(root, [h("button", { onclick: null })]);
  assert.equal(button.onclick, null);
  assert.deepEqual(button.attributes, {});
});

test("Attributes are removed where they are gone, null, undefined or false; true gives an empty one, zero a zero", () => {
  const root = drawn(h("p", { a: "1", b: "1", c: "1", d: "1", e: true, f: 0, "aria-x": "false" }));
  assert.deepEqual(root.childNodes[0].attributes, { a: "1", b: "1", c: "1", d: "1", e: "", f: "0", "aria-x": "false" });
  patch(root, [h("p", { a: null, b: undefined, c: false, e: "2" })]);
  assert.deepEqual(root.childNodes[0].attributes, { e: "2" });
  patch(root, [h("p")]);
  assert.deepEqual(root.childNodes[0].attributes, {});
});

test("A value is set as a property, only where it differs, so that what somebody types is not disturbed", () => {
  let set = 0;
  const root = drawn(h("textarea", { value: "a" }));
  const [field] = root.childNodes;
  assert.equal(field.value, "a");
  let typed = "ab";
  Object.defineProperty(field, "value", { get: () => typed, set: (text) => { typed = text; set += 1; } });
  patch(root, [h("textarea", { value: "ab" })]);
  assert.deepEqual([set, typed], [0, "ab"]);
  patch(root, [h("textarea", { value: "c" })]);
  assert.deepEqual([set, typed], [1, "c"]);
  patch(root, [h("textarea", {})]);
  assert.deepEqual([set, typed], [2, ""]);
  assert.deepEqual(field.attributes, {});
});

test("Another key or tag makes another element, in the same place, with nothing of the old one", () => {
  const root = drawn(h("i", {}, "before"), h("p", { key: 1, class: "old", onclick: () => {} }, "x"), h("i", {}, "after"));
  const [before, old, after] = root.childNodes;
  patch(root, [h("i", {}, "before"), h("p", { key: 2 }, "x"), h("i", {}, "after")]);
  assert.deepEqual([root.childNodes[0] === before, root.childNodes[1] === old, root.childNodes[2] === after], [true, false, true]);
  assert.deepEqual([root.childNodes[1].attributes, root.childNodes[1].onclick], [{}, undefined]);
  const second = root.childNodes[1];
  patch(root, [h("i", {}, "before"), h("pre", { key: 2 }, "x"), "after"]);
  assert.ok(root.childNodes[1] !== second);
  assert.deepEqual(inside(root), [{ tag: "i", kids: ["before"] }, { tag: "pre", kids: ["x"] }, "after"]);
});

test("What has the same memo is left as it is; with another one, or none, it is drawn", () => {
  const root = drawn(h("pre", { memo: "1" }, "one"));
  const [pre] = root.childNodes;
  changes = made = 0;
  patch(root, [h("pre", { memo: "1" }, "another, which nobody looks at")]);
  assert.deepEqual([made, changes, inside(root)], [0, 0, [{ tag: "pre", kids: ["one"] }]]);
  patch(root, [h("pre", { memo: "2" }, "two")]);
  assert.deepEqual([root.childNodes[0] === pre, inside(root)], [true, [{ tag: "pre", kids: ["two"] }]]);
  patch(root, [h("pre", {}, "three")]);
  patch(root, [h("pre", { memo: "2" }, "four")]);
  assert.deepEqual(inside(root), [{ tag: "pre", kids: ["four"] }]);
});

test("From any tree to any other, the result is as if it were drawn anew", () => {
  const roll = dice(5);
  const tree = (depth) => {
    if (depth === 0 || roll(4) === 0) return ["text", "other", "", null, 0][roll(5)];
    const props = Object.fromEntries(["class", "title", "key", "hidden"].filter(() => roll(2)).map((name) => [name, ["a", "b", true, false, null, 1][roll(6)]]));
    return h(["p", "i", "button"][roll(3)], props, Array.from({ length: roll(4) }, () => tree(depth - 1)));
  };
  const root = drawn();
  for (let i = 0; i < 3000; i++) {
    const next = h("div", {}, Array.from({ length: roll(4) }, () => tree(3))).kids;
    patch(root, next);
    assert.deepEqual(inside(root), inside(drawn(...next)), `tree ${i}`);
  }
});
