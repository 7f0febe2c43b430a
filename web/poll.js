// Reads one address again and again, never twice at once, and says since when it could not.

const ANSWER_WITHIN_MS = 5_000;
/** The Date header counts whole seconds, so less than this is no difference of clocks. */
const SKEW_MIN_MS = 1_500;

export class Poll {
  #busy = false;
  #skewMs = 0;
  #failingSince = null;

  constructor({ url, onAnswer, onTrouble = () => {}, send = fetch.bind(globalThis), now = Date.now }) {
    Object.assign(this, { url, onAnswer, onTrouble, send, clock: now });
  }

  /** Reads once, unless a reading is under way. */
  async now() {
    if (this.#busy) return;
    this.#busy = true;
    let body;
    try {
      const answer = await this.send(this.url, { cache: "no-store", signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
      if (!answer.ok) throw new Error(`${this.url} answered ${answer.status}`);
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

  /** The server's time, for countdowns on a phone whose clock is wrong. */
  serverNow() {
    return this.clock() + this.#skewMs;
  }

  #readClock(date) {
    const skew = date ? Date.parse(date) - this.clock() : 0;
    this.#skewMs = Math.abs(skew) > SKEW_MIN_MS ? skew : 0;
  }
}
