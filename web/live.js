// The live channel: one WebSocket that says truthfully whether it is live, resumes after its last
// number, and asks for a fresh snapshot when a number is missing. No page, no order is known here.

/** Nothing heard for this long: the line is taken for dead, whatever the socket says. */
export const STALE_AFTER_MS = 35_000;
/** A browser hides the protocol's own pings from a page, so the page sends one that is answered. */
export const PING_EVERY_MS = 15_000;
/** From opening a socket to its hello. */
export const HELLO_WITHIN_MS = 10_000;

/** A line that held this long starts over with short waits; one that breaks at once does not. */
export const SETTLED_AFTER_MS = 10_000;

const BACK_OFF_FIRST_MS = 500;
const BACK_OFF_MAX_MS = 15_000;

/** Close codes after which there is nothing to come back to. */
export const ENDED_BECAUSE = {
  4401: "access to this channel was withdrawn",
  4404: "there is no such session",
  4410: "this session has ended",
};

const COME_BACK_BECAUSE = {
  1012: "the server restarts",
  4408: "this page was too slow to keep up",
};

const systemClock = {
  now: () => Date.now(),
  setTimeout: (action, ms) => globalThis.setTimeout(action, ms),
  clearTimeout: (timer) => globalThis.clearTimeout(timer),
};

/**
 * `address(after)` gives the URL, with `after` a number or null for a snapshot. The callbacks:
 * `onSnapshot(hello)`, `onEvent(event)`, `onState(state)` and `onNote(note)`, where a note is
 * something a person should be told: `{kind: "snapshot" | "resumed" | "gap" | "down" | "ended", …}`.
 */
export class LiveChannel {
  constructor({
    address,
    onSnapshot = () => {},
    onEvent = () => {},
    onState = () => {},
    onNote = () => {},
    openSocket = (url) => new WebSocket(url),
    clock = systemClock,
    random = Math.random,
  }) {
    Object.assign(this, { address, onSnapshot, onEvent, onState, onNote, openSocket, clock, random });
    this.socket = null;
    this.stream = null;
    this.last = null; // the number of the last event seen, or of the snapshot
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

  /** Closes for good, from this side. */
  stop() {
    this.#dropSocket();
    this.#change({ phase: "stopped", retryAt: null });
  }

  /** Skips what is left of the wait: the network is back, or a person asked. */
  retryNow() {
    if (this.state.phase === "waiting") this.#connect();
  }

  #connect() {
    this.#dropSocket();
    this.#change({ phase: "connecting", retryAt: null });
    const socket = this.openSocket(this.address(this.last));
    this.socket = socket;
    // Late words of a socket that was given up must not count as the new one's.
    const mine = (action) => (event) => this.socket === socket && action(event);
    socket.onmessage = mine((message) => this.#heard(message.data));
    socket.onclose = mine((close) => this.#closed(close.code));
    this.#later("hello", HELLO_WITHIN_MS, () => this.#down("no greeting came", this.clock.now()));
  }

  #heard(text) {
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      return this.#fresh({ kind: "gap", why: "a message could not be read" });
    }
    const beat = frame.type === "ping" || frame.type === "pong";
    this.#change({
      lastHeardAt: this.clock.now(),
      lastHeardWhat: beat ? "ping" : "message",
    });
    this.#watchSilence();
    if (frame.type === "hello") this.#greeted(frame);
    else if (!beat && this.state.phase === "live") this.#event(frame);
  }

  #greeted(hello) {
    this.#cancel("hello");
    if (hello.resumed) {
      if (hello.stream !== this.stream || hello.seq !== this.last) {
        return this.#fresh({ kind: "gap", why: "the server resumed somewhere else", expected: this.last, got: hello.seq });
      }
      this.#live();
      return this.onNote({ kind: "resumed", after: hello.seq });
    }
    const again = this.last !== null;
    this.stream = hello.stream;
    this.last = hello.seq;
    this.#live();
    this.onSnapshot(hello);
    this.onNote({ kind: "snapshot", seq: hello.seq, again });
  }

  #event(event) {
    // Said twice is not a gap.
    if (event.stream === this.stream && event.seq <= this.last) return;
    if (event.stream !== this.stream || event.prev !== this.last) {
      return this.#fresh({ kind: "gap", why: "a message is missing", expected: this.last, got: event.prev });
    }
    this.last = event.seq;
    this.onEvent(event);
  }

  #live() {
    this.#later("settled", SETTLED_AFTER_MS, () => (this.failures = 0));
    this.#change({ phase: "live", notLiveSince: null, why: null, closeCode: null });
    this.#watchSilence();
    this.#pingLater();
  }

  /** Something is missing: forget the number, so that the next greeting is a whole snapshot. */
  #fresh(note) {
    this.last = null;
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
      if (this.state.phase === "live") this.#down("nothing was heard", this.state.lastHeardAt);
    });
  }

  #pingLater() {
    this.#later("ping", PING_EVERY_MS, () => {
      if (this.state.phase !== "live") return;
      this.socket.send('{"type":"ping"}');
      this.#pingLater();
    });
  }

  #dropSocket() {
    for (const name of [...this.timers.keys()]) this.#cancel(name);
    const socket = this.socket;
    this.socket = null;
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
