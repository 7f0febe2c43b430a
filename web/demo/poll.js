// Polls one URL, with at most one request at a time, and reports since when it fails.

const ANSWER_WITHIN_MS = 5_000;
/** Smallest clock difference taken into account, because the Date header has whole seconds. */
const SKEW_MIN_MS = 1_500;

export class Poll {
  #busy = false;
  #skewMs = 0;
  #failingSince = null;

  constructor({ url, onAnswer, onTrouble = () => {}, send = fetch.bind(globalThis), now = Date.now }) {
    Object.assign(this, { url, onAnswer, onTrouble, send, clock: now });
  }

  /** Reads once, unless a request is in flight. */
  async now() {
    if (this.#busy) return;
    this.#busy = true;
    let body;
    try {
      const answer = await this.send(this.url, { cache: "no-store", signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
      if (!answer.ok) throw new Error(`${this.url} returned status ${answer.status}`);
      this.#readClock(answer.headers.get("date"));
      body = await answer.json();
    } catch (error) {
      if (this.#failingSince === null) console.warn(error);
      this.#failingSince ??= this.clock();
      this.onTrouble(this.#failingSince);
      return;
    } finally {
      this.#busy = false;
    }
    this.#failingSince = null;
    this.onTrouble(null);
    this.onAnswer(body);
  }

  /** Returns the server's time, for countdowns on devices with a wrong clock. */
  serverNow() {
    return this.clock() + this.#skewMs;
  }

  #readClock(date) {
    const skew = date ? Date.parse(date) - this.clock() : 0;
    this.#skewMs = Math.abs(skew) > SKEW_MIN_MS ? skew : 0;
  }
}
