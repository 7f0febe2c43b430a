// One tap is one wish: the second one of a double tap presses nothing, whatever stands under the finger by then.

/** Time and distance within which a touch belongs to the tap before it. */
const AGAIN_WITHIN_MS = 350;
const AGAIN_WITHIN_PX = 24;

let last = null;

/** Returns true for a click that is the second one of a double click or a double tap. Keys have no place, and are none. */
export function isSecond(event, before) {
  if (event.detail > 1) return true;
  // Some browsers count a finger's taps as one each.
  if (event.pointerType !== "touch" || before === null) return false;
  const isNear = Math.hypot(event.clientX - before.x, event.clientY - before.y) <= AGAIN_WITHIN_PX;
  return isNear && event.timeStamp - before.at <= AGAIN_WITHIN_MS;
}

/** Buttons that count: each tap is one more or one less. */
const COUNTS = ".counter, [data-each-tap]";

globalThis.document?.addEventListener?.(
  "click",
  (event) => {
    const second = isSecond(event, last);
    last = { at: event.timeStamp, x: event.clientX, y: event.clientY };
    if (!second || !event.target.closest?.("button") || event.target.closest(COUNTS)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  },
  { capture: true },
);

// A key that is held presses once too.
globalThis.document?.addEventListener?.(
  "keydown",
  (event) => {
    if (event.repeat && ["Enter", " "].includes(event.key) && event.target.closest?.("button") && !event.target.closest(COUNTS)) event.preventDefault();
  },
  { capture: true },
);
