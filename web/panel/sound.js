// The bell: rings until new orders were looked at. Browsers let a page sound only after somebody touched it.

import { State } from "../shared/ui.js";

const KEPT = "expediter-sound";
const AGAIN_AFTER_MS = 8_000;

/** `state.value` is `unasked`, `off`, `asleep` (wanted, but nobody has touched the page yet) or `on`. */
export class Bell {
  #context = null;
  #timer = null;

  constructor({ mustRing }) {
    this.mustRing = mustRing;
    this.state = new State({ on: "asleep", off: "off" }[kept()] ?? "unasked");
    if (this.state.value === "asleep") {
      const touched = () => this.on();
      addEventListener("pointerdown", touched, { once: true });
      addEventListener("keydown", touched, { once: true });
    }
    this.#timer = setInterval(() => this.ringIfNeeded(), AGAIN_AFTER_MS);
  }

  stop() {
    clearInterval(this.#timer);
  }

  async on() {
    keep("on");
    this.#context ??= new AudioContext();
    await this.#context.resume();
    this.state.set(this.#context.state === "running" ? "on" : "asleep");
    this.ringIfNeeded();
  }

  off() {
    keep("off");
    this.state.set("off");
  }

  ringIfNeeded() {
    if (this.state.value === "on" && this.mustRing()) this.ring();
  }

  /** Two tones that are heard over a kitchen. */
  ring() {
    const { currentTime: now } = this.#context;
    [[880, 0], [1175, 0.18], [880, 0.5], [1175, 0.68]].forEach(([pitch, after]) => {
      const tone = this.#context.createOscillator();
      const loudness = this.#context.createGain();
      tone.frequency.value = pitch;
      loudness.gain.setValueAtTime(0.0001, now + after);
      loudness.gain.exponentialRampToValueAtTime(0.5, now + after + 0.02);
      loudness.gain.exponentialRampToValueAtTime(0.0001, now + after + 0.3);
      tone.connect(loudness).connect(this.#context.destination);
      tone.start(now + after);
      tone.stop(now + after + 0.32);
    });
  }
}

function kept() {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null;
  }
}

function keep(choice) {
  try {
    localStorage.setItem(KEPT, choice);
  } catch {
    // Without storage the question comes again.
  }
}
