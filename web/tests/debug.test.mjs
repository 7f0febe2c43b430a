// Tests of the debug page's texts and URLs.

import assert from "node:assert/strict";
import { test } from "node:test";

import { channelAddress, epochAfter, numberAfter, shownFrame } from "../debug/session.js";

const CODE = "ac35940dff4d472ce4801a154de92406f3163565";

test("the channel is at the page's own host, and secure where the page is", () => {
  const at = (url, after = null) => channelAddress(new URL(url), after);
  assert.equal(at(`http://127.0.0.1:8080/debug/sessions/${CODE}`), `ws://127.0.0.1:8080/ws/sessions/${CODE}`);
  assert.equal(at(`https://order.example/debug/sessions/${CODE}?x=1#y`, 7), `wss://order.example/ws/sessions/${CODE}?after=7`);
  const resumed = channelAddress(new URL(`http://127.0.0.1/debug/sessions/${CODE}`), 7, "e");
  assert.equal(resumed, `ws://127.0.0.1/ws/sessions/${CODE}?after=7&epoch=e`);
});

test("a frame is shown as it came, and JSON is indented", () => {
  assert.equal(shownFrame('{"type":"hello"}'), '{\n  "type": "hello"\n}');
  assert.equal(shownFrame("<b>not JSON"), "<b>not JSON");
});

test("the epoch is that of the last frame that names one", () => {
  assert.equal(epochAfter('{"type":"hello","seq":4,"epoch":"e"}', null), "e");
  assert.equal(epochAfter('{"seq":5}', "e"), "e");
  assert.equal(epochAfter("nonsense", "e"), "e");
});

test("the last number is kept over frames that tell none", () => {
  assert.equal(numberAfter('{"seq":4}', null), 4);
  assert.equal(numberAfter('{"type":"pong"}', 4), 4);
  assert.equal(numberAfter("nonsense", 4), 4);
});
