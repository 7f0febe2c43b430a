// Tests of the texts about orders, handoffs and the connection, without a page.

import assert from "node:assert/strict";
import { test } from "node:test";

import { nextTry } from "../demo/handoffs.js";
import { lineSaid } from "../demo/line.js";
import { Orders } from "../demo/orders.js";
import { placeOrder } from "../demo/ordering.js";
import { Poll } from "../demo/poll.js";

const order = (number, status = "pending", more = {}) => ({ id: `o${number}`, number, status, reason: null, accepted_at: null, items: [], ...more });
const handoff = (state, outcomes, more = {}) => ({
  state,
  attempts: outcomes.map((outcome, place) => ({ n: place + 1, outcome })),
  max_attempts: 5,
  ...more,
});

test("a moved order is told once, with where it came from", () => {
  const orders = new Orders();
  orders.restart([order(17)]);
  assert.deepEqual(orders.take(order(17, "processing")), { number: 17, from: "pending", to: "processing", reason: null });
  assert.equal(orders.take(order(17, "processing")), null);
});

test("a failed order remembers how far it came, also over a fresh snapshot", () => {
  const orders = new Orders();
  orders.restart([order(17)]);
  orders.take(order(17, "processing"));
  const failed = order(17, "failed");
  orders.take(failed);
  orders.restart([failed]);
  assert.equal(orders.newestFirst[0].reached, 1);
});

test("an order that waits to be accepted is never put away among the earlier ones", () => {
  const orders = new Orders();
  orders.restart([order(1, "processing"), ...[2, 3, 4, 5, 6, 7].map((number) => order(number, "ready"))]);
  const { shown, earlier } = orders.shownAndEarlier;
  assert.deepEqual(shown.map((o) => o.number), [7, 6, 5, 4, 1]);
  assert.deepEqual(earlier.map((o) => o.number), [3, 2]);
});

test("memory is bounded, and finished orders are forgotten before open ones", () => {
  const orders = new Orders();
  orders.take(order(1, "preparing"));
  for (let number = 2; number <= 150; number += 1) orders.take(order(number, "delivered"));
  assert.equal(orders.newestFirst.length, 100);
  assert.equal(orders.newestFirst.at(-1).number, 1);
  assert.ok(orders.someUnfinished);
});

test("a waiting handoff counts down to its next try", () => {
  const waiting = handoff("waiting", ["retry", "retry"], { next_attempt_at: new Date(100_000).toISOString() });
  assert.equal(nextTry(waiting, 92_000), "attempt 3/5 in 8 s");
  assert.equal(nextTry(waiting, 100_200), "attempt 3/5 now");
});

test("a handoff says what it waits for, and for how long if that is known", () => {
  const waiting = (waiting_for, untilMs) => {
    const waiting_until = untilMs ? new Date(untilMs).toISOString() : null;
    return handoff("waiting", ["retry"], { next_attempt_at: new Date(1000).toISOString(), waiting_for, waiting_until });
  };
  const says = (...of) => nextTry(waiting(...of), 90_000);
  assert.equal(says("schedule", 98_000), "attempt 2/5 in 8 s");
  assert.equal(says("breaker", 110_000), "attempt 2/5 waits: it keeps failing, next probe in 20 s");
  assert.equal(says("breaker"), "attempt 2/5 waits for the answer to a probe");
  assert.equal(says("rate", 92_000), "attempt 2/5 in 2 s: asked to slow down");
  assert.equal(says("rate"), "attempt 2/5 waits: only so many a second");
  assert.equal(says("concurrency"), "attempt 2/5 waits for a free place");
  assert.equal(says("earlier_handoff"), "attempt 2/5 waits for an earlier message");
  assert.equal(says(null), "attempt 2/5 now");
});

test("an answer that means slow down is none of the five attempts", () => {
  const slowed = handoff("due", ["retry", "retry", "retry"], {});
  slowed.attempts[0].counted = false;
  slowed.attempts[2].counted = false;
  assert.equal(nextTry(slowed, 0), "attempt 2/5 now");
});

test("a handoff says how it ended", () => {
  assert.equal(nextTry(handoff("acknowledged", ["acknowledged"]), 0), "acknowledged");
  assert.equal(nextTry(handoff("acknowledged", ["retry", "acknowledged"]), 0), "acknowledged at attempt 2/5");
  assert.equal(nextTry(handoff("acknowledged", ["unknown"]), 0), "no response, but acknowledged by a callback");
  assert.equal(nextTry(handoff("failed", Array(5).fill("retry")), 0), "given up after 5 attempts");
});

test("the connection line names the moment since when nothing is known", () => {
  const state = { phase: "waiting", notLiveSince: 5_000, retryAt: 9_000, why: "no message received", lastHeardAt: 5_000 };
  const { phase, detail } = lineSaid(state, 7_000);
  assert.match(phase, /^Not live since .+, reconnecting$/);
  assert.equal(detail, "no message received; retrying in 2 s");
  const live = { phase: "live", notLiveSince: null, lastHeardAt: 5_000, lastHeardWhat: "ping" };
  assert.deepEqual(lineSaid(live, 8_000), { phase: "Live", detail: "last ping 3 s ago" });
});

function answering(...answers) {
  const requests = [];
  const send = async (url, request) => {
    requests.push({ url, ...request });
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    const [status, body] = answer;
    return new Response(JSON.stringify(body), { status });
  };
  return { send, requests };
}

test("an order with an unknown outcome is sent again under the same key", async () => {
  const { send, requests } = answering(new Error("lost"), [503, {}], [201, { number: 17 }]);
  const placed = await placeOrder({ code: "c0de", items: [], send, pause: async () => {} });
  assert.deepEqual(placed, { ok: true, order: { number: 17 } });
  assert.equal(new Set(requests.map((request) => request.headers["idempotency-key"])).size, 1);
  assert.equal(requests.length, 3);
});

test("a refused order is not sent again, and the reason is passed on", async () => {
  const { send, requests } = answering([409, { reason: "insufficient_stock", detail: "Only 1 left" }]);
  assert.deepEqual(await placeOrder({ code: "c0de", items: [], send }), { ok: false, why: "Only 1 left" });
  assert.equal(requests.length, 1);
});

test("a poll that fails says since when, until it works again", async () => {
  const since = [];
  let now = 1000;
  const { send } = answering(new Error("down"), [500, {}], [200, { fine: true }]);
  const poll = new Poll({ url: "/x", onAnswer: () => {}, onTrouble: (moment) => since.push(moment), send, now: () => now });
  console.warn = () => {};
  for (; now < 4000; now += 1000) await poll.now();
  assert.deepEqual(since, [1000, 1000, null]);
});
