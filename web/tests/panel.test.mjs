// Tests of what a store's screen knows, without a browser.

import assert from "node:assert/strict";
import { test } from "node:test";

import { bins } from "../board/today.js";
import { clockTime, momentOf, tomorrowAt } from "../panel/zone.js";
import { KEEP_ENDED_MS, limitS, nextStep, settled, since, StoreModel, urgency } from "../panel/model.js";

const AT = Date.parse("2026-11-29T12:00:00Z");
const at = (minutes) => new Date(AT + minutes * 60_000).toISOString();
const order = (number, more = {}) => ({
  id: `order-${number}`,
  number,
  stream: "table-1",
  session: { name: "Table 1" },
  status: "pending",
  fulfilment: "table",
  items: [],
  next: ["accepted", "rejected", "cancelled"],
  placed_at: at(0),
  created_at: at(0),
  ...more,
});
const session = (number, more = {}) => ({ stream: `table-${number}`, name: `Table ${number}`, state: "OPEN", opened_at: at(-60), closed_at: null, ...more });
const hello = (sessions, orders) => ({ store: { name: "Berta", paused: false }, sessions, orders, truncated: false });
const moved = (one, status, minutes = 1) => ({ type: "order.status_changed", stream: one.stream, at: at(minutes), data: { order: { ...one, status } } });

function model(sessions, orders) {
  const made = new StoreModel({ now: () => AT });
  made.restart(hello(sessions, orders));
  return made;
}

test("tables that need action come first, then the others by their names as people count", () => {
  const ready = order(3, { stream: "table-10", status: "ready" });
  const seen = order(2, { stream: "table-2" });
  const screen = model([session(9), session(10), session(2), session(1)], [order(1, { stream: "table-9" }), seen, ready]);
  screen.look([seen]);
  assert.deepEqual(screen.openTables.map(({ name, urgency, unseen }) => [name, urgency, unseen]), [["Table 9", 3, 1], ["Table 2", 2, 0], ["Table 10", 1, 0], ["Table 1", 0, 0]]);
});

test("an order counts as not looked at until somebody looks or moves it on", () => {
  const [one, two] = [order(1), order(2)];
  const screen = model([session(1)], [one, two]);
  assert.equal(screen.unseen.length, 2);
  screen.look([one]);
  // The store accepted it by itself.
  screen.take(moved(two, "accepted"));
  assert.equal(screen.unseen.length, 1);
  screen.take(moved(two, "preparing"));
  assert.equal(screen.unseen.length, 0);
  // Somebody at another screen accepted it: this one need not ring for it.
  screen.take(moved(order(4), "accepted"));
  assert.equal(screen.unseen.length, 1);
  screen.take({ ...moved(order(4), "accepted"), actor: { kind: "account", name: "steffi" } });
  assert.equal(screen.unseen.length, 0);
  screen.restart(hello([session(1)], [one, order(3)]));
  assert.deepEqual(screen.unseen.map((unseen) => unseen.number), [3]);
});

test("codes of tables survive a new snapshot, and a renewed code is asked for", () => {
  const screen = model([session(1)], []);
  assert.ok(screen.needsCodes);
  assert.deepEqual(screen.learn([{ ...session(1), code: "abc", url: "u" }, { ...session(7), code: "x" }]).map(({ code }) => code), ["x"]);
  screen.restart(hello([session(1)], []));
  assert.equal(screen.tables.get("table-1").code, "abc");
  assert.ok(!screen.needsCodes);
  screen.take({ type: "session.code_renewed", stream: "table-1", data: { session: session(1) } });
  assert.ok(screen.needsCodes);
});

test("a table that is closed leaves the open ones, and its open orders stay in the kitchen", () => {
  const screen = model([session(1)], [order(1, { status: "accepted" })]);
  screen.take({ type: "session.closed", stream: "table-1", data: { session: session(1, { state: "CLOSED", closed_at: at(1) }) } });
  assert.equal(screen.openTables.length, 0);
  assert.equal(screen.column("making").length, 1);
});

test("an order that has ended stays a while, and is forgotten then", () => {
  let now = AT;
  const screen = new StoreModel({ now: () => now });
  screen.restart(hello([session(1)], [order(1)]));
  screen.take(moved(order(1), "delivered"));
  assert.equal(screen.ordersOf("table-1").length, 1);
  now += KEEP_ENDED_MS + 1;
  screen.take(moved(order(2), "accepted"));
  assert.deepEqual([...screen.orders.keys()], ["order-2"]);
});

test("an order for later is below the tickets until it is handed over, and its table does not wait for it", () => {
  let now = AT;
  const screen = new StoreModel({ now: () => now });
  const later = order(1, { hand_over_at: at(60), wanted_at: at(90) });
  screen.restart(hello([session(1)], [later, order(2, { hand_over_at: at(30), wanted_at: at(45) }), order(3, { hand_over_at: null })]));
  assert.deepEqual([screen.column("new").map(({ number }) => number), screen.later.map(({ number }) => number)], [[3], [2, 1]]);
  assert.equal(screen.openTables[0].waiting, 1);
  now += 60 * 60_000;
  assert.deepEqual(screen.column("new").map(({ number }) => number), [1, 2, 3]);
  // It has waited since it was handed over, not since it was placed.
  assert.equal(urgency(later, { accept_within_s: 600 }, now), "fine");
});

test("a list that somebody points at keeps its order: new rows come last, gone ones go", () => {
  assert.deepEqual(settled(["a", "b", "c"], ["c", "d", "a"]), ["a", "c", "d"]);
  assert.deepEqual(settled([], ["a"]), ["a"]);
});

test("an order is late by its store's limits, and one for later is not late before its time", () => {
  const store = { accept_within_s: 600, prepare_min: 10 };
  const fresh = order(1);
  assert.equal(limitS(fresh, store), 600);
  assert.deepEqual([4, 5, 10].map((minutes) => urgency(fresh, store, AT + minutes * 60_000)), ["fine", "soon", "late"]);
  const making = order(2, { status: "accepted", accepted_at: at(0) });
  assert.equal(urgency(making, store, AT + 10 * 60_000), "late");
  const later = { ...making, wanted_at: at(120) };
  assert.deepEqual([100, 116, 120].map((minutes) => urgency(later, store, AT + minutes * 60_000)), ["fine", "soon", "late"]);
  // A snapshot does not say since when it is ready.
  assert.equal(urgency(order(3, { status: "ready" }), store, AT + 3_600_000), "fine");
});

test("since when an order is ready is told by its event, by its last change, and kept over a new snapshot", () => {
  const [read, heard, later] = [order(1, { status: "ready" }), order(2, { status: "preparing", accepted_at: at(1) }), order(3, { status: "dispatched" })];
  const screen = model([session(1)], [read, heard, later]);
  assert.deepEqual(screen.ageless.map(({ number }) => number), [1, 3]);
  screen.learnOrder({ ...read, updated_at: at(4) });
  screen.learnOrder({ ...later, updated_at: at(6) });
  screen.take(moved(heard, "ready", 5));
  const times = () => [1, 2, 3].map((number) => (since(screen.orders.get(`order-${number}`)) - AT) / 60_000);
  assert.deepEqual([screen.ageless, times()], [[], [4, 5, 6]]);
  // What follows in the same column does not begin it anew.
  screen.take({ ...moved(heard, "ready", 9), type: "order.ready_at_changed" });
  screen.restart(hello([session(1)], [read, { ...heard, status: "ready" }, later]));
  assert.deepEqual([screen.ageless, times()], [[], [4, 5, 6]]);
  // It moved on while the screen was not live.
  screen.restart(hello([session(1)], [{ ...read, status: "dispatched" }]));
  assert.deepEqual(screen.ageless.map(({ number }) => number), [1]);
});

test("the answer of this screen's own move counts from its time, whether the event comes before or after it", () => {
  const one = order(1, { status: "preparing", accepted_at: at(1) });
  for (const eventFirst of [true, false]) {
    const screen = model([session(1)], [one]);
    screen.take(moved(order(1), "accepted", 1));
    const steps = [() => screen.take(moved(one, "ready", 7)), () => screen.learnOrder({ ...one, status: "ready", updated_at: at(7) })];
    for (const step of eventFirst ? steps : steps.toReversed()) step();
    assert.equal(since(screen.orders.get("order-1")), AT + 7 * 60_000);
    // An answer that was overtaken changes nothing.
    screen.learnOrder({ ...one, updated_at: at(6) });
    assert.equal(screen.orders.get("order-1").status, "ready");
  }
});

test("a time of the day is today's, or the next day's after midnight, in the store's zone", () => {
  const meant = (text, zone, now) => {
    const moment = momentOf(text, zone, Date.parse(now));
    return moment === null ? null : new Date(moment).toISOString();
  };
  assert.equal(meant("13:05", "Europe/Berlin", "2026-11-29T12:00:00Z"), "2026-11-29T12:05:00.000Z");
  assert.equal(meant("12:55", "Europe/Berlin", "2026-11-29T12:00:00Z"), "2026-11-29T11:55:00.000Z"); // over
  assert.equal(meant("00:15", "Europe/Berlin", "2026-11-29T22:50:00Z"), "2026-11-29T23:15:00.000Z");
  assert.equal(meant("3:30:00", "Europe/Berlin", "2027-03-27T20:00:00Z"), "2027-03-28T01:30:00.000Z"); // summer begins that night
  assert.equal(meant("18:00", "America/Los_Angeles", "2026-11-30T01:30:00Z"), "2026-11-30T02:00:00.000Z");
  for (const text of ["", "25:00", "12:60", "noon", "1200"]) assert.equal(meant(text, "Europe/Berlin", "2026-11-29T12:00:00Z"), null, text);
  assert.equal(clockTime(Date.parse("2026-06-01T07:05:00Z"), "Europe/Berlin"), "09:05");
});

test("the one tap of a ticket makes only a step that the account may make", () => {
  const step = (status, next, fulfilment = "table") => nextStep(order(1, { status, next, fulfilment }));
  assert.equal(step("pending", ["accepted", "rejected"]), "accepted");
  assert.equal(step("accepted", ["preparing", "ready", "dispatched", "delivered"]), "preparing");
  assert.equal(step("preparing", ["ready", "delivered"]), "ready");
  assert.equal(step("ready", ["dispatched", "delivered"]), "delivered");
  assert.equal(step("ready", ["dispatched", "delivered"], "delivery"), "dispatched");
  assert.equal(step("dispatched", ["failed"], "delivery"), null);
  assert.equal(nextStep(order(1, { next: undefined })), null);
});

test("tomorrow at six is six o'clock in the store's zone, also when its clocks change that night", () => {
  const six = (zone, now) => new Date(tomorrowAt(6, zone, Date.parse(now))).toISOString();
  assert.equal(six("Europe/Berlin", "2026-11-29T12:00:00Z"), "2026-11-30T05:00:00.000Z");
  assert.equal(six("Europe/Berlin", "2026-11-29T23:30:00Z"), "2026-12-01T05:00:00.000Z"); // half past midnight there
  assert.equal(six("Europe/Berlin", "2027-03-27T12:00:00Z"), "2027-03-28T04:00:00.000Z"); // summer begins
  assert.equal(six("Europe/Berlin", "2026-10-24T12:00:00Z"), "2026-10-25T05:00:00.000Z"); // summer ends
  assert.equal(six("Australia/Lord_Howe", "2026-04-04T01:00:00Z"), "2026-04-04T19:30:00.000Z"); // back by half an hour
  assert.equal(six("America/Los_Angeles", "2026-12-31T12:00:00Z"), "2027-01-01T14:00:00.000Z");
});

test("orders are counted in the quarter of an hour in which they came, with their average wait", () => {
  const came = (minute, waitS) => ({ placed_at: at(minute), accepted_at: waitS === null ? null : new Date(AT + minute * 60_000 + waitS * 1000).toISOString() });
  const counted = bins([came(1, 10), came(2, 20), came(14, null), came(16, 60), came(-1, 5), came(31, 5)], AT, AT + 30 * 60_000, 15 * 60_000);
  assert.deepEqual(counted.map(({ placed, wait }) => [placed, wait]), [[3, 15_000], [1, 60_000]]);
});
