// Tests of what counts as the second tap of a double tap.

import assert from "node:assert/strict";
import { test } from "node:test";

import { isSecond } from "../shared/taps.js";

const before = { at: 1_000, x: 100, y: 100 };
const touch = (after, x = 100, y = 100) => ({ detail: 1, pointerType: "touch", timeStamp: before.at + after, clientX: x, clientY: y });

test("the browser's count is believed, and a first click is none", () => {
  assert.equal(isSecond({ detail: 2 }, null), true);
  assert.equal(isSecond({ detail: 1, pointerType: "mouse", timeStamp: 1_050, clientX: 100, clientY: 100 }, before), false);
});

test("a finger that comes down again soon and near is the same tap, and only then", () => {
  assert.equal(isSecond(touch(0), null), false);
  assert.equal(isSecond(touch(350), before), true);
  assert.equal(isSecond(touch(351), before), false);
  assert.equal(isSecond(touch(100, 124), before), true);
  assert.equal(isSecond(touch(100, 100, 125), before), false);
  assert.equal(isSecond(touch(100, 118, 118), before), false);
});

test("a key has no place and is never the second tap", () => {
  assert.equal(isSecond({ detail: 0, pointerType: "", timeStamp: 1_001, clientX: 100, clientY: 100 }, before), false);
});
