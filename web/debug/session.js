// Shows a session's live channel frame by frame, as seed 000's debug template did. It neither repairs nor hides
// anything; live.js is the client that pages use.

/** Maximum number of frames shown, so that a page left open does not grow. */
const MOST_FRAMES = 500;

/** Returns the URL of the channel for the page at `location`; `after` is a number or null, and counts in `epoch`. */
export function channelAddress(location, after, epoch = null) {
  const code = location.pathname.split("/").pop();
  const url = new URL(`/ws/sessions/${code}`, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  if (after !== null) url.searchParams.set("after", after);
  if (after !== null && epoch !== null) url.searchParams.set("epoch", epoch);
  return url.href;
}

/** Formats a frame: JSON is indented, anything else is unchanged. */
export function shownFrame(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** Returns the stream's number in a frame, or `before` if it has none. */
export function numberAfter(text, before) {
  try {
    const { seq } = JSON.parse(text);
    return Number.isInteger(seq) ? seq : before;
  } catch {
    return before;
  }
}

/** Returns the epoch that a frame names, or `before` if it names none. */
export function epochAfter(text, before) {
  try {
    return JSON.parse(text).epoch ?? before;
  } catch {
    return before;
  }
}

export class DebugPage {
  constructor({ document, location, openSocket = (url) => new WebSocket(url), now = () => new Date(), log = console.log }) {
    Object.assign(this, { document, location, openSocket, now, log });
    this.socket = null;
    this.last = null; // last number received
    this.epoch = null; // epoch in which it counts
  }

  start() {
    this.#on("again", () => this.connect(null));
    this.#on("resume", () => this.connect(this.last));
    this.#on("leave", () => this.socket?.close());
    this.connect(null);
  }

  connect(after) {
    const old = this.socket;
    const socket = this.openSocket(channelAddress(this.location, after, this.epoch));
    this.socket = socket;
    old?.close();
    const mine = (action) => (event) => this.socket === socket && action(event);
    this.#say("Connecting…");
    socket.onopen = mine(() => this.#say("Open."));
    socket.onmessage = mine((message) => this.#heard(message.data));
    socket.onclose = mine((close) => this.#say(`Closed with ${close.code}${close.reason ? `: ${close.reason}` : ""}.`));
  }

  #heard(text) {
    this.log(text);
    this.last = numberAfter(text, this.last);
    this.epoch = epochAfter(text, this.epoch);
    this.document.getElementById("resume").disabled = this.last === null;
    const item = this.document.createElement("li");
    const when = this.document.createElement("small");
    when.textContent = this.now().toISOString();
    const frame = this.document.createElement("pre");
    frame.textContent = shownFrame(text);
    item.append(when, frame);
    const frames = this.document.getElementById("frames");
    frames.prepend(item);
    while (frames.childElementCount > MOST_FRAMES) frames.lastElementChild.remove();
  }

  #say(what) {
    this.document.getElementById("state").textContent = what;
  }

  #on(id, action) {
    this.document.getElementById(id).addEventListener("click", action);
  }
}

if (globalThis.document) new DebugPage({ document, location }).start();
