// Tests of the times at which a store's opening changes by itself.

import assert from "node:assert/strict";
import { test } from "node:test";

import { nextChange, OpeningClock } from "../shared/opening.js";

const AT = Date.parse("2026-11-29T12:00:00Z");
const at = (minutes) => new Date(AT + minutes * 60_000).toISOString();
const way = (opens, closes) => ({ open: opens === null, opens_at: opens === null ? null : at(opens), closes_at: closes === null ? null : at(closes) });
const opening = (more = {}) => ({ fulfilments: { table: way(null, null) }, by_hand: null, busy: { adds_minutes: 0, paused_until: null }, ...more });

test("the next change is the earliest of all times that are still to come", () => {
  assert.equal(nextChange(opening(), AT), null);
  assert.equal(nextChange(opening({ by_hand: { open: false, until: null } }), AT), null);
  const many = opening({
    fulfilments: { table: way(null, 90), pickup: way(45, null) },
    by_hand: { open: false, until: at(60) },
    busy: { adds_minutes: 0, paused_until: at(-1) },
  });
  assert.equal(nextChange(many, AT), AT + 45 * 60_000);
  assert.equal(nextChange(many, AT + 45 * 60_000), AT + 60 * 60_000);
});

/** A clock whose device is so many minutes ahead of the server. */
function watched(deviceAhead = 0) {
  const made = { asked: 0, time: AT + deviceAhead * 60_000, timers: new Map(), waits: [] };
  made.answer = (body) => ({ body, headers: new Headers({ date: new Date(made.time - deviceAhead * 60_000).toUTCString() }) });
  made.clock = new OpeningClock(() => (made.asked += 1), {
    now: () => made.time,
    later: (action, ms) => (made.waits.push(ms), made.timers.set(action, made.time + ms), action),
    never: (timer) => made.timers.delete(timer),
  });
  made.pass = (minutes) => {
    made.time += minutes * 60_000;
    for (const [action, due] of [...made.timers]) if (due <= made.time) (made.timers.delete(action), action());
  };
  return made;
}

test("the opening is asked for again when its time has come, once, whatever the device's clock says", () => {
  for (const deviceAhead of [0, 7, -7]) {
    const made = watched(deviceAhead);
    made.clock.follow(made.answer(opening({ by_hand: { open: false, until: at(10) } })));
    for (let second = 0; second < 600; second += 5) made.pass(5 / 60);
    assert.equal(made.asked, 0, `${deviceAhead} minutes ahead`);
    for (let second = 0; second < 60; second += 5) made.pass(5 / 60);
    assert.equal(made.asked, 1, `${deviceAhead} minutes ahead`);
  }
});

test("a device that slept asks soon after it wakes up, and one that stops asks no more", () => {
  const made = watched();
  made.clock.follow(made.answer(opening({ busy: { adds_minutes: 0, paused_until: at(10) } })));
  assert.ok(made.waits[0] <= 30_000, "timers stop in a sleep, so no wait is long");
  made.pass(600);
  assert.equal(made.asked, 1);
  made.pass(600);
  assert.equal(made.asked, 1, "once");
  made.clock.follow(made.answer(opening({ busy: { adds_minutes: 0, paused_until: at(10) } })));
  assert.equal(made.timers.size, 0, "a time that has passed is none to wait for");
  made.clock.follow(made.answer(opening({ by_hand: { open: true, until: at(1300) } })));
  made.clock.stop();
  made.pass(600);
  assert.equal(made.asked, 1);
});
