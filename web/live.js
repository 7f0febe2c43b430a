// The live channel: one WebSocket that reports whether it is live, resumes after its last number, and requests a new
// snapshot when a number is missing. Knows nothing about pages or orders.

/** Silence after which the connection counts as dead, whatever the socket reports. */
export const STALE_AFTER_MS = 35_000;
/** Interval of the page's own pings, because browsers hide the protocol's pings from pages. */
export const PING_EVERY_MS = 15_000;
/** Timeout from opening a socket to its hello. */
export const HELLO_WITHIN_MS = 10_000;

/** Time within which a channel that is doubted must be heard, before it counts as dead. */
export const ANSWER_WITHIN_MS = 4_000;

/** Time after which a live connection resets the backoff; one that breaks at once does not. */
export const SETTLED_AFTER_MS = 10_000;

const BACK_OFF_FIRST_MS = 500;
const BACK_OFF_MAX_MS = 15_000;

/** Close codes after which the channel does not reconnect. */
export const ENDED_BECAUSE = {
  4401: "access to this channel was revoked",
  4404: "session not found",
  4410: "this session has ended",
};

const COME_BACK_BECAUSE = {
  1012: "the server is restarting",
  4408: "this page was too slow to keep up",
};

const systemClock = {
  now: () => Date.now(),
  setTimeout: (action, ms) => globalThis.setTimeout(action, ms),
  clearTimeout: (timer) => globalThis.clearTimeout(timer),
};

/**
 * Channel with reconnects. `address(after, epoch)` returns the URL, with the number to resume after and the epoch in which
 * it counts, or two nulls for a snapshot.
 * `greeting` is a message that is sent once on each connection, after its hello, such as a guest's key. `opening()` returns
 * a promise of the first message of a connection, such as a fresh ticket; the next try asks again if it fails.
 * Callbacks: `onSnapshot(hello)`, `onEvent(event)`, `onState(state)` and `onNote(note)`; a note is for people:
 * `{kind: "snapshot" | "resumed" | "gap" | "down" | "ended", …}`. `onStoreChanged()` is called when the store has changed its
 * menu, hours or pause, if the greeting asked for that (`store: true`).
 */
export class LiveChannel {
  constructor({
    address,
    onSnapshot = () => {},
    onEvent = () => {},
    onState = () => {},
    onNote = () => {},
    onStoreChanged = () => {},
    openSocket = (url) => new WebSocket(url),
    clock = systemClock,
    random = Math.random,
    greeting = null,
    opening = null,
  }) {
    Object.assign(this, { address, onSnapshot, onEvent, onState, onNote, onStoreChanged, openSocket, clock, random, greeting, opening });
    this.attempt = null; // the connection that is being made or stands
    this.socket = null;
    this.greeted = null; // socket that the greeting was sent on
    this.stream = null;
    this.last = null; // number of the last event received, or of the snapshot
    this.heads = null; // on a store's channel, which has many streams: the last number of each
    this.epoch = null; // epoch in which that number counts
    this.failures = 0;
    this.timers = new Map();
    this.state = {
      phase: "connecting", // connecting, live, waiting, ended, stopped
      notLiveSince: clock.now(),
      lastHeardAt: null,
      lastHeardWhat: null,
      retryAt: null,
      why: null,
      closeCode: null,
    };
  }

  start() {
    this.#connect();
  }

  /** Closes the channel permanently. */
  stop() {
    this.#dropSocket();
    this.#change({ phase: "stopped", retryAt: null });
  }

  /** Skips the rest of the wait: the network is back, or a person asked for it. */
  retryNow() {
    if (this.state.phase === "waiting") this.#connect();
  }

  /** Asks the server for a sign of life now; the channel is down if none comes in time. Call it after a failed request. */
  doubt() {
    if (this.state.phase !== "live" || this.timers.has("answer")) return;
    this.#ping();
    this.#later("answer", ANSWER_WITHIN_MS, () => this.#down("no answer", this.state.lastHeardAt));
  }

  /** Gives the connection up at once: the network is gone. */
  lost(why = "the network is gone") {
    if (this.state.phase === "live" || this.state.phase === "connecting") this.#down(why, this.clock.now());
  }

  #connect() {
    this.#dropSocket();
    this.#change({ phase: "connecting", retryAt: null });
    this.#later("hello", HELLO_WITHIN_MS, () => this.#down("no first frame received", this.clock.now()));
    const attempt = {};
    this.attempt = attempt;
    if (this.opening === null) return this.#open();
    this.opening().then(
      (first) => this.attempt === attempt && this.#open(first),
      () => this.attempt === attempt && this.#down("the channel could not be opened", this.clock.now()),
    );
  }

  #open(first) {
    const socket = this.openSocket(this.address(this.last, this.epoch));
    this.socket = socket;
    // Late messages of an abandoned socket must not count as the new one's.
    const mine = (action) => (event) => this.socket === socket && action(event);
    socket.onmessage = mine((message) => this.#heard(message.data));
    socket.onclose = mine((close) => this.#closed(close.code));
    if (first !== undefined) socket.onopen = mine(() => socket.send(JSON.stringify(first)));
  }

  #heard(text) {
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      return this.#fresh({ kind: "gap", why: "unreadable message" });
    }
    const beat = frame.type === "ping" || frame.type === "pong";
    this.#change({
      lastHeardAt: this.clock.now(),
      lastHeardWhat: beat ? "ping" : "message",
    });
    this.#cancel("answer");
    this.#watchSilence();
    if (frame.type === "hello") this.#greeted(frame);
    else if (frame.type === "store.changed") this.onStoreChanged();
    else if (!beat && this.state.phase === "live") this.#event(frame);
  }

  #greeted(hello) {
    this.#cancel("hello");
    if (hello.resumed) {
      if (hello.stream !== this.stream || hello.seq !== this.last || (hello.epoch ?? null) !== this.epoch) {
        return this.#fresh({ kind: "gap", why: "the server resumed at another number", expected: this.last, got: hello.seq });
      }
      this.#live();
      return this.onNote({ kind: "resumed", after: hello.seq });
    }
    const again = this.last !== null || this.heads !== null;
    this.stream = hello.stream;
    // A store's channel begins with a snapshot each time: there is no number to resume after.
    this.heads = hello.streams ? new Map(Object.entries(hello.streams)) : null;
    this.last = this.heads ? null : hello.seq;
    this.epoch = this.heads ? null : (hello.epoch ?? null);
    this.#live();
    this.onSnapshot(hello);
    this.onNote({ kind: "snapshot", seq: hello.seq, again });
  }

  #event(event) {
    // A stream that a store's snapshot did not name begins with a `prev` of 0.
    const last = this.heads ? (this.heads.get(event.stream) ?? 0) : event.stream === this.stream ? this.last : null;
    // A duplicate is not a gap.
    if (last !== null && event.seq <= last) return;
    if (event.prev !== last) {
      return this.#fresh({ kind: "gap", why: "missing message", expected: last ?? this.last, got: event.prev });
    }
    if (this.heads) this.heads.set(event.stream, event.seq);
    else this.last = event.seq;
    this.onEvent(event);
  }

  #live() {
    if (this.greeting !== null && this.greeted !== this.socket) {
      this.greeted = this.socket;
      this.socket.send(JSON.stringify(this.greeting));
    }
    this.#later("settled", SETTLED_AFTER_MS, () => (this.failures = 0));
    this.#change({ phase: "live", notLiveSince: null, why: null, closeCode: null });
    this.#watchSilence();
    this.#pingLater();
  }

  /** Forgets the number after a gap, so that the next hello is a full snapshot. */
  #fresh(note) {
    this.last = null;
    this.heads = null;
    this.epoch = null;
    this.stream = null;
    this.onNote(note);
    this.#down(note.why, this.clock.now());
  }

  #closed(code) {
    const now = this.clock.now();
    if (code in ENDED_BECAUSE) {
      this.#dropSocket();
      const why = ENDED_BECAUSE[code];
      this.#change({ phase: "ended", notLiveSince: now, retryAt: null, why, closeCode: code });
      this.onNote({ kind: "ended", why, code });
      return;
    }
    this.#down(COME_BACK_BECAUSE[code] ?? "the connection was lost", now, code);
  }

  #down(why, since, closeCode = null) {
    const wasLive = this.state.phase === "live";
    this.#dropSocket();
    const ceiling = Math.min(BACK_OFF_MAX_MS, BACK_OFF_FIRST_MS * 2 ** this.failures);
    const wait = Math.round(ceiling * (0.5 + this.random() / 2));
    this.failures += 1;
    this.#later("retry", wait, () => this.#connect());
    this.#change({
      phase: "waiting",
      notLiveSince: this.state.notLiveSince ?? since,
      retryAt: this.clock.now() + wait,
      why,
      closeCode,
    });
    if (wasLive) this.onNote({ kind: "down", why, since });
  }

  #watchSilence() {
    const deadline = this.state.lastHeardAt + STALE_AFTER_MS;
    this.#later("silence", deadline - this.clock.now(), () => {
      if (this.state.phase === "live") this.#down("no message received", this.state.lastHeardAt);
    });
  }

  #pingLater() {
    this.#later("ping", PING_EVERY_MS, () => {
      if (this.state.phase !== "live") return;
      this.#ping();
      this.#pingLater();
    });
  }

  #ping() {
    this.socket.send('{"type":"ping"}');
  }

  #dropSocket() {
    for (const name of [...this.timers.keys()]) this.#cancel(name);
    const socket = this.socket;
    this.socket = null;
    this.attempt = null;
    socket?.close();
  }

  #later(name, ms, action) {
    this.#cancel(name);
    const timer = this.clock.setTimeout(() => {
      this.timers.delete(name);
      action();
    }, Math.max(0, ms));
    this.timers.set(name, timer);
  }

  #cancel(name) {
    if (!this.timers.has(name)) return;
    this.clock.clearTimeout(this.timers.get(name));
    this.timers.delete(name);
  }

  #change(part) {
    this.state = { ...this.state, ...part };
    this.onState(this.state);
  }
}
