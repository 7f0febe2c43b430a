// The times at which a store's opening changes by itself, which no event tells of.

/** The browser's timers stop while a device sleeps, so a long wait is looked at so often. */
const LOOK_EVERY_MS = 30_000;
/** Added to a time, because a server says the time of its answers in whole seconds. */
const AFTER_MS = 1_000;

/** Returns the next moment after `now` at which this answer of an opening does not hold any more, or null. */
export function nextChange(opening, now) {
  const ways = Object.values(opening.fulfilments ?? {});
  const times = [opening.by_hand?.until, opening.busy?.paused_until, ...ways.flatMap((way) => [way.opens_at, way.closes_at])];
  const ahead = times.map((at) => Date.parse(at ?? "")).filter((at) => at > now);
  return ahead.length > 0 ? Math.min(...ahead) : null;
}

/** Calls `again` when the next time of an opening has come by the server's clock, whatever the device's clock says. */
export class OpeningClock {
  #timer = null;
  #due = null;

  constructor(again, { now = Date.now, later = (action, ms) => setTimeout(action, ms), never = (timer) => clearTimeout(timer) } = {}) {
    Object.assign(this, { again, now, later, never });
  }

  /** Follows the opening of an outcome that is done. */
  follow({ body, headers }) {
    const said = Date.parse(headers?.get("date") ?? "");
    const ahead = Number.isNaN(said) ? 0 : this.now() - said;
    const next = nextChange(body, this.now() - ahead);
    this.#due = next === null ? null : next + ahead + AFTER_MS;
    this.#wait();
  }

  stop() {
    this.never(this.#timer);
    this.#due = null;
  }

  #wait() {
    this.never(this.#timer);
    if (this.#due === null) return;
    const left = this.#due - this.now();
    if (left > 0) {
      this.#timer = this.later(() => this.#wait(), Math.min(left, LOOK_EVERY_MS));
      return;
    }
    this.#due = null;
    this.again();
  }
}
