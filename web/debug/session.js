// Shows a session's live channel frame by frame, as seed 000's debug template did. It mends nothing and hides nothing:
// what a page makes of the frames is live.js.

/** Older ones are dropped, so that a page left open does not grow. */
const MOST_FRAMES = 500;

/** Where the channel of the page at `location` is; `after` is a number or null. */
export function channelAddress(location, after) {
  const code = location.pathname.split("/").pop();
  const url = new URL(`/ws/sessions/${code}`, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  if (after !== null) url.searchParams.set("after", after);
  return url.href;
}

/** A frame as it is shown: what is JSON indented, all else as it came. */
export function shownFrame(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** The stream's number that a frame tells, or the one before. */
export function numberAfter(text, before) {
  try {
    const { seq } = JSON.parse(text);
    return Number.isInteger(seq) ? seq : before;
  } catch {
    return before;
  }
}

export class DebugPage {
  constructor({ document, location, openSocket = (url) => new WebSocket(url), now = () => new Date(), log = console.log }) {
    Object.assign(this, { document, location, openSocket, now, log });
    this.socket = null;
    this.last = null; // the last number that was told
  }

  start() {
    this.#on("again", () => this.connect(null));
    this.#on("resume", () => this.connect(this.last));
    this.#on("leave", () => this.socket?.close());
    this.connect(null);
  }

  connect(after) {
    const old = this.socket;
    const socket = this.openSocket(channelAddress(this.location, after));
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
