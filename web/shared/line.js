// The live channel of a page, watched so closely that it never says "live" while it is not.

import { LiveChannel } from "../live.js";
import { onNoAnswer } from "./api.js";
import { seconds, time } from "./format.js";
import { t, useLanguage } from "./messages.js";
import { html, State, useNow, useValue } from "./ui.js";

/** Interval of the questions for a sign of life while the page is visible. */
export const ASK_EVERY_MS = 5_000;
/** Silence after which the page says that it is asking, instead of "live"; longer than a question and its answer. */
export const SURE_FOR_MS = 11_000;

/** A live channel that doubts itself. `address(after, epoch)` returns a path that begins with `/ws/`. */
export class Line {
  #timer = null;
  #ends = [];

  constructor({ address, ...rest }) {
    const whole = (after, epoch) => {
      const url = new URL(address(after, epoch), location.href);
      url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
      if (after !== null && after !== undefined) url.searchParams.set("after", after);
      if (epoch !== null && epoch !== undefined) url.searchParams.set("epoch", epoch);
      return url.href;
    };
    this.channel = new LiveChannel({ ...rest, address: whole, onState: (state) => this.state?.set(state) });
    this.state = new State(this.channel.state);
  }

  start() {
    const doubt = () => this.doubt();
    const listen = (target, type, action) => {
      target.addEventListener(type, action);
      this.#ends.push(() => target.removeEventListener(type, action));
    };
    listen(globalThis, "offline", () => this.channel.lost());
    listen(globalThis, "online", () => this.retryNow());
    listen(globalThis, "pageshow", doubt);
    listen(document, "visibilitychange", () => document.hidden || this.#awake());
    this.#ends.push(onNoAnswer(doubt));
    this.#timer = setInterval(() => document.hidden || this.doubt(), ASK_EVERY_MS);
    this.channel.start();
  }

  stop() {
    clearInterval(this.#timer);
    for (const end of this.#ends.splice(0)) end();
    this.channel.stop();
  }

  retryNow() {
    this.channel.retryNow();
  }

  /** Asks for a sign of life now. */
  doubt() {
    this.channel.doubt();
  }

  #awake() {
    this.retryNow();
    this.doubt();
  }
}

/** Returns the state as words: `{phase, says, more}`; phase is `live`, `asking`, `connecting`, `waiting` or `ended`. */
export function said(state, now, zone) {
  const since = state.notLiveSince === null ? "" : time(state.notLiveSince, zone);
  switch (state.phase) {
    case "live":
      return now - state.lastHeardAt > SURE_FOR_MS
        ? { phase: "asking", says: t("shared.line.asking"), more: t("shared.line.heard", { ago: seconds(now - state.lastHeardAt) }) }
        : { phase: "live", says: t("shared.line.live"), more: "" };
    case "connecting":
      return state.lastHeardAt === null
        ? { phase: "connecting", says: t("shared.line.connecting"), more: "" }
        : { phase: "waiting", says: t("shared.line.lost", { since }), more: t("shared.line.trying") };
    case "waiting":
      return { phase: "waiting", says: t("shared.line.lost", { since }), more: t("shared.line.again", { wait: seconds(state.retryAt - now) }) };
    default:
      return { phase: "ended", says: t("shared.line.ended"), more: "" };
  }
}

/** A line that says in words whether the screen is live, and since when it is not. */
export function LineBadge({ line, zone }) {
  useLanguage();
  const state = useValue(line.state);
  const now = useNow(1000);
  const { phase, says, more } = said(state, now, zone);
  return html`<div class="line-badge" data-phase=${phase}>
    <span class="line-dot" aria-hidden="true"></span>
    <span class="line-words"><span role="status">${says}</span>${more && html` <span class="line-more">${more}</span>`}</span>
    ${state.phase === "waiting" && html`<button type="button" class="button small" onClick=${() => line.retryNow()}>${t("shared.line.now")}</button>`}
  </div>`;
}
