// Tests of the live channel with a fake socket and clock.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { ANSWER_WITHIN_MS, HELLO_WITHIN_MS, LiveChannel, PING_EVERY_MS, SETTLED_AFTER_MS, STALE_AFTER_MS } from "../live.js";

class FakeClock {
  time = 1_000_000;
  timers = new Map();
  made = 0;

  now = () => this.time;
  setTimeout = (action, ms) => {
    this.timers.set(++this.made, { at: this.time + ms, action });
    return this.made;
  };
  clearTimeout = (id) => this.timers.delete(id);

  advance(ms) {
    const end = this.time + ms;
    for (;;) {
      const due = [...this.timers].filter(([, t]) => t.at <= end).sort((a, b) => a[1].at - b[1].at)[0];
      if (!due) break;
      this.timers.delete(due[0]);
      this.time = Math.max(this.time, due[1].at);
      due[1].action();
    }
    this.time = end;
  }
}

class FakeSocket {
  sent = [];
  closed = false;
  constructor(url) {
    this.url = url;
  }
  send(text) {
    this.sent.push(text);
  }
  close() {
    this.closed = true;
  }
  says(frame) {
    this.onmessage({ data: typeof frame === "string" ? frame : JSON.stringify(frame) });
  }
  ends(code) {
    this.onclose({ code });
  }
}

let clock, sockets, snapshots, events, notes, channel;
const socket = () => sockets.at(-1);
const hello = (seq, stream = "session:1", epoch = "e1") => ({ type: "hello", stream, seq, epoch, session: {}, orders: [] });
const resumed = (seq, stream = "session:1", epoch = "e1") => ({ type: "hello", stream, seq, epoch, resumed: true });
const event = (seq, prev = seq - 1, stream = "session:1") => ({ stream, seq, prev, version: 1, type: "order.placed", data: {} });

beforeEach(() => {
  clock = new FakeClock();
  [sockets, snapshots, events, notes] = [[], [], [], []];
  channel = new LiveChannel({
    address: (after, epoch) => (after === null ? "ws://x" : `ws://x?after=${after}&epoch=${epoch}`),
    onSnapshot: (snapshot) => snapshots.push(snapshot.seq),
    onEvent: (happened) => events.push(happened.seq),
    onNote: (note) => notes.push(note.kind),
    openSocket: (url) => sockets[sockets.push(new FakeSocket(url)) - 1],
    clock,
    random: () => 1,
  });
  channel.start();
});

test("it is not live before the hello, and live after it", () => {
  assert.equal(channel.state.phase, "connecting");
  assert.equal(channel.state.notLiveSince, clock.time);
  socket().says(hello(4));
  assert.equal(channel.state.phase, "live");
  assert.equal(channel.state.notLiveSince, null);
  assert.deepEqual(snapshots, [4]);
});

test("events in sequence are passed on, and one said twice is passed on once", () => {
  socket().says(hello(4));
  for (const seq of [5, 6, 6, 5, 7]) socket().says(event(seq));
  assert.deepEqual(events, [5, 6, 7]);
  assert.equal(sockets.length, 1);
});

test("numbers may be left out as long as prev names the last one seen", () => {
  socket().says(hello(4));
  socket().says(event(9, 4));
  assert.deepEqual(events, [9]);
});

test("a missing number is told, and a fresh snapshot is fetched", () => {
  socket().says(hello(4));
  socket().says(event(7, 6));
  assert.deepEqual(events, []);
  assert.ok(notes.includes("gap"));
  assert.equal(channel.state.phase, "waiting");
  clock.advance(500);
  assert.equal(socket().url, "ws://x");
  socket().says(hello(7));
  assert.deepEqual(snapshots, [4, 7]);
});

test("a signal that the store has changed is no event: it is passed on, and the numbers go on", () => {
  let told = 0;
  channel.onStoreChanged = () => (told += 1);
  socket().says(hello(4));
  for (const frame of [{ type: "store.changed" }, event(5), { type: "store.changed" }, event(6)]) socket().says(frame);
  assert.deepEqual([told, events, sockets.length], [2, [5, 6], 1]);
});

test("an event of another stream or an unreadable message counts as a gap", () => {
  socket().says(hello(4));
  socket().says(event(5, 4, "session:2"));
  assert.deepEqual(notes.slice(-2), ["gap", "down"]);
  clock.advance(500);
  socket().says(hello(5));
  socket().says("{nonsense");
  assert.deepEqual(notes.slice(-2), ["gap", "down"]);
  assert.deepEqual(events, []);
});

test("after a lost connection it resumes after its last number without a new snapshot", () => {
  socket().says(hello(4));
  socket().says(event(5));
  socket().ends(1006);
  clock.advance(500);
  assert.equal(socket().url, "ws://x?after=5&epoch=e1");
  socket().says(resumed(5));
  socket().says(event(6));
  assert.deepEqual([snapshots, events], [[4], [5, 6]]);
  assert.deepEqual(notes, ["snapshot", "down", "resumed"]);
});

test("a resume at another number, of another stream or in another epoch is not believed", () => {
  const retry = () => clock.advance(channel.state.retryAt - clock.time);
  for (const wrong of [resumed(3), resumed(4, "session:2"), resumed(4, "session:1", "e2")]) {
    socket().says(hello(4));
    socket().ends(1006);
    retry();
    assert.equal(socket().url, "ws://x?after=4&epoch=e1");
    socket().says(wrong);
    assert.equal(notes.at(-1), "gap");
    retry();
    assert.equal(socket().url, "ws://x");
  }
});

test("a server that cannot resume sends a snapshot, which is taken and told", () => {
  socket().says(hello(4));
  socket().ends(1006);
  clock.advance(500);
  socket().says(hello(90));
  assert.deepEqual(snapshots, [4, 90]);
  assert.equal(notes.at(-1), "snapshot");
});

test("a snapshot in mid-stream brings a new epoch, and the next resume names it", () => {
  socket().says(hello(4));
  socket().says(event(5));
  socket().says(hello(4, "session:1", "e2"));
  socket().says(event(5));
  assert.deepEqual([snapshots, events], [[4, 4], [5, 5]]);
  socket().ends(1006);
  clock.advance(500);
  assert.equal(socket().url, "ws://x?after=5&epoch=e2");
});

for (const code of [4401, 4404, 4410]) {
  test(`close code ${code} is the end: it never comes back`, () => {
    socket().says(hello(4));
    socket().ends(code);
    assert.equal(channel.state.phase, "ended");
    assert.equal(channel.state.closeCode, code);
    channel.retryNow();
    clock.advance(3_600_000);
    assert.equal(sockets.length, 1);
  });
}

for (const code of [4408, 1012, 1006, 1000]) {
  test(`close code ${code} is no end: it comes back after its last number`, () => {
    socket().says(hello(4));
    socket().ends(code);
    clock.advance(500);
    assert.equal(socket().url, "ws://x?after=4&epoch=e1");
    assert.equal(sockets.length, 2);
  });
}

test("silence for 35 s is not live since the last word, although the socket is open", () => {
  socket().says(hello(4));
  const lastWord = clock.time;
  clock.advance(STALE_AFTER_MS - 1);
  assert.equal(channel.state.phase, "live");
  clock.advance(1);
  assert.equal(channel.state.phase, "waiting");
  assert.equal(channel.state.notLiveSince, lastWord);
  assert.ok(sockets[0].closed);
});

test("a pong to the page's own ping keeps the line alive", () => {
  socket().says(hello(4));
  for (let n = 1; n <= 6; n += 1) {
    clock.advance(PING_EVERY_MS);
    assert.equal(socket().sent.length, n);
    socket().says({ type: "pong" });
  }
  assert.equal(channel.state.phase, "live");
  assert.equal(channel.state.lastHeardWhat, "ping");
  assert.equal(channel.last, 4);
});

test("a late word of a socket that was given up changes nothing", () => {
  socket().says(hello(4));
  clock.advance(STALE_AFTER_MS);
  sockets[0].says(event(5));
  sockets[0].ends(4410);
  assert.equal(channel.state.phase, "waiting");
  assert.deepEqual(events, []);
});

test("a connection without a hello is given up", () => {
  clock.advance(HELLO_WITHIN_MS);
  assert.equal(channel.state.phase, "waiting");
  assert.ok(sockets[0].closed);
});

test("the wait doubles up to 15 s, keeps its since, and starts over once the line has held", () => {
  socket().says(hello(4));
  const lostAt = clock.time;
  const waits = [];
  for (let n = 0; n < 7; n += 1) {
    socket().ends(1006);
    assert.equal(channel.state.notLiveSince, lostAt);
    waits.push(channel.state.retryAt - clock.time);
    clock.advance(waits.at(-1));
  }
  assert.deepEqual(waits, [500, 1000, 2000, 4000, 8000, 15_000, 15_000]);
  socket().says(resumed(4));
  clock.advance(SETTLED_AFTER_MS);
  socket().ends(1006);
  assert.equal(channel.state.retryAt - clock.time, 500);
});

test("a line that breaks right after each hello does not hammer the server", () => {
  for (const wait of [500, 1000, 2000]) {
    socket().says(hello(4));
    socket().says(event(9, 8));
    assert.equal(channel.state.retryAt - clock.time, wait);
    clock.advance(wait);
  }
});

test("the wait is spread over its upper half", () => {
  channel.random = () => 0;
  socket().ends(1006);
  assert.equal(channel.state.retryAt - clock.time, 250);
});

test("retryNow skips the wait, and stop ends all", () => {
  socket().ends(1006);
  channel.retryNow();
  assert.equal(sockets.length, 2);
  channel.stop();
  clock.advance(3_600_000);
  assert.equal(sockets.length, 2);
  assert.ok(sockets[1].closed);
});

test("a channel that is doubted asks at once, and is down if nothing is heard in time", () => {
  socket().says(hello(1));
  channel.doubt();
  channel.doubt(); // it asks once
  assert.deepEqual(socket().sent, ['{"type":"ping"}']);
  clock.advance(ANSWER_WITHIN_MS - 1);
  assert.equal(channel.state.phase, "live");
  clock.advance(1);
  assert.equal(channel.state.phase, "waiting");
  assert.equal(channel.state.notLiveSince, channel.state.lastHeardAt, "since it was last heard");
});

test("a channel that is doubted and heard stays live, and can be doubted again", () => {
  socket().says(hello(1));
  channel.doubt();
  clock.advance(ANSWER_WITHIN_MS - 1);
  socket().says({ type: "pong" });
  clock.advance(ANSWER_WITHIN_MS);
  assert.equal(channel.state.phase, "live");
  channel.doubt();
  assert.equal(socket().sent.length, 2);
});

test("a page whose network is gone is not live from that moment on", () => {
  socket().says(hello(1));
  channel.lost();
  assert.equal(channel.state.phase, "waiting");
  assert.equal(channel.state.notLiveSince, clock.now());
  assert.equal(socket().closed, true);
});

test("a greeting is sent once on each connection, after its hello", () => {
  channel.greeting = { type: "guest", key: "k" };
  socket().says(hello(1));
  socket().says(hello(1)); // the answer to the greeting is another snapshot
  assert.deepEqual(socket().sent, ['{"type":"guest","key":"k"}']);
  channel.lost();
  channel.retryNow();
  socket().says(resumed(1));
  assert.deepEqual(socket().sent, ['{"type":"guest","key":"k"}']);
});

test("a connection begins with the message of its opening, and each has a fresh one", async () => {
  let made = 0;
  channel.opening = async () => ({ type: "ticket", ticket: `t${++made}` });
  channel.start();
  await Promise.resolve();
  await Promise.resolve();
  socket().onopen();
  assert.deepEqual(socket().sent, ['{"type":"ticket","ticket":"t1"}']);
  channel.lost();
  channel.retryNow();
  await Promise.resolve();
  await Promise.resolve();
  socket().onopen();
  assert.deepEqual(socket().sent, ['{"type":"ticket","ticket":"t2"}']);
});

test("an opening that fails is tried again, and one that comes too late opens nothing", async () => {
  channel.opening = async () => {
    throw new Error("no ticket");
  };
  channel.start();
  await Promise.resolve();
  await Promise.resolve();
  assert.equal(channel.state.phase, "waiting");
  assert.equal(sockets.length, 1, "the first one of this test's channel, before it had an opening");
  let give;
  channel.opening = () => new Promise((resolve) => (give = resolve));
  channel.retryNow();
  clock.advance(HELLO_WITHIN_MS);
  assert.equal(channel.state.phase, "waiting");
  give({});
  await Promise.resolve();
  assert.equal(sockets.length, 1);
});

test("a store's channel keeps the number of each stream, and a new stream begins with a prev of 0", () => {
  const store = { ...hello(3, "store:1"), streams: { "store:1": 3, "table:1": 7 } };
  socket().says(store);
  socket().says(event(8, 7, "table:1"));
  socket().says(event(1, 0, "table:2"));
  socket().says(event(8, 7, "table:1")); // a duplicate
  socket().says(event(4, 3, "store:1"));
  assert.deepEqual(events, [8, 1, 4]);
  assert.equal(channel.state.phase, "live");
  // Number 2 of the second table is missing.
  socket().says(event(3, 2, "table:2"));
  assert.deepEqual(notes, ["snapshot", "gap", "down"]);
  assert.equal(channel.state.phase, "waiting");
  clock.advance(1_000);
  assert.equal(socket().url, "ws://x", "it asks for a snapshot, not for what follows a number");
  socket().says({ ...store, streams: { "table:1": 8, "table:2": 3 } });
  socket().says(event(4, 3, "table:2"));
  assert.deepEqual(events, [8, 1, 4, 4]);
});
