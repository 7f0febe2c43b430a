// Shows the five attempts of each handoff, their outcomes, and when the next one is due.

import { el } from "./elements.js";
import { plainly, seconds } from "./words.js";

/** Returns the part below an order's card: its handoffs, or null if it has none. */
export function handoffsBeneath(order, handoffs, nowMs) {
  const of = handoffs.filter((handoff) => handoff.order_number === order.number);
  if (of.length === 0) return null;
  const lines = of.map((handoff) => ({ handoff, next: nextTry(handoff, nowMs) }));
  return {
    fingerprint: lines,
    element: () => el("div", { class: "handoffs" }, lines.map(({ handoff, next }) => handoffLine(handoff, next))),
  };
}

/** Describes the next step of a handoff; this is the part that counts down. */
export function nextTry(handoff, nowMs) {
  const made = handoff.attempts.length;
  const coming = `attempt ${Math.min(made + 1, handoff.max_attempts)}/${handoff.max_attempts}`;
  switch (handoff.state) {
    case "sending":
      return `sending attempt ${Math.max(1, made)}/${handoff.max_attempts}`;
    case "waiting":
    case "due": {
      const wait = handoff.next_attempt_at ? Date.parse(handoff.next_attempt_at) - nowMs : 0;
      return wait > 500 ? `${coming} in ${seconds(wait)}` : `${coming} now`;
    }
    case "acknowledged":
      if (handoff.attempts.at(-1)?.outcome !== "acknowledged") return "no response, but acknowledged by a callback";
      return made > 1 ? `acknowledged at attempt ${made}/${handoff.max_attempts}` : "acknowledged";
    case "failed":
      return made >= handoff.max_attempts ? `given up after ${made} attempts` : "given up";
    default:
      return plainly(handoff.state);
  }
}

function handoffLine(handoff, next) {
  const round = handoff.round > 1 ? `, round ${handoff.round}` : "";
  return el(
    "section",
    { class: `handoff ${handoff.state}`, "aria-label": `${handoff.event} to ${handoff.integrator}` },
    el("p", { class: "handoff-head" }, el("span", {}, `${handoff.event} → ${handoff.integrator}${round}`), el("strong", { class: "next" }, next)),
    el("ol", { class: "attempts" }, pips(handoff)),
  );
}

function pips(handoff) {
  const { attempts, max_attempts: max } = handoff;
  return Array.from({ length: Math.max(max, attempts.length) }, (_, place) => {
    const attempt = attempts[place];
    const outcome = attempt ? (attempt.outcome ?? "sending") : "none";
    return el(
      "li",
      { class: `attempt ${outcome}`, title: attempt?.error ?? null },
      el("span", { class: "attempt-n" }, `${attempt?.n ?? place + 1}/${max}`),
      el("span", { class: "attempt-what" }, attempt ? saying(attempt) : "–"),
    );
  });
}

function saying(attempt) {
  if (!attempt.outcome) return "sending…";
  if (attempt.status) return String(attempt.status);
  return attempt.outcome === "unknown" ? "no response" : plainly(attempt.error ?? attempt.outcome);
}
