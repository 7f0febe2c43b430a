// Shows the five attempts of each handoff, their outcomes, and what the next one waits for.

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

/** Returns the attempts that count: an answer that means "slow down" uses up none of the five. */
function counted(handoff) {
  return handoff.attempts.filter((attempt) => attempt.counted !== false);
}

/** Describes the next step of a handoff; this is the part that counts down. */
export function nextTry(handoff, nowMs) {
  const made = counted(handoff).length;
  const coming = `attempt ${Math.min(made + 1, handoff.max_attempts)}/${handoff.max_attempts}`;
  switch (handoff.state) {
    case "sending":
      return `sending attempt ${Math.max(1, made)}/${handoff.max_attempts}`;
    case "waiting":
    case "due":
      return `${coming} ${waitingFor(handoff, nowMs)}`;
    case "acknowledged":
      if (handoff.attempts.at(-1)?.outcome !== "acknowledged") return "no response, but acknowledged by a callback";
      return made > 1 ? `acknowledged at attempt ${made}/${handoff.max_attempts}` : "acknowledged";
    case "failed":
      return made >= handoff.max_attempts ? `given up after ${made} attempts` : "given up";
    default:
      return plainly(handoff.state);
  }
}

/** Says what a handoff waits for, and for how long if that is known. */
function waitingFor(handoff, nowMs) {
  const until = handoff.waiting_until ?? (handoff.waiting_for ? null : handoff.next_attempt_at);
  const wait = until ? Date.parse(until) - nowMs : 0;
  const inTime = wait > 500 ? `in ${seconds(wait)}` : null;
  switch (handoff.waiting_for) {
    case "breaker":
      return inTime ? `waits: it keeps failing, next probe ${inTime}` : "waits for the answer to a probe";
    case "rate":
      return inTime ? `${inTime}: asked to slow down` : "waits: only so many a second";
    case "concurrency":
      return "waits for a free place";
    case "earlier_handoff":
      return "waits for an earlier message";
    default:
      return inTime ?? "now";
  }
}

function handoffLine(handoff, next) {
  const slowed = handoff.attempts.length - counted(handoff).length;
  const round = (handoff.round > 1 ? `, round ${handoff.round}` : "") + (slowed > 0 ? `, asked to slow down ${slowed}×` : "");
  return el(
    "section",
    { class: `handoff ${handoff.state}`, "aria-label": `${handoff.event} to ${handoff.integrator}` },
    el("p", { class: "handoff-head" }, el("span", {}, `${handoff.event} → ${handoff.integrator}${round}`), el("strong", { class: "next" }, next)),
    el("ol", { class: "attempts" }, pips(handoff)),
  );
}

function pips(handoff) {
  const attempts = counted(handoff);
  const max = handoff.max_attempts;
  return Array.from({ length: Math.max(max, attempts.length) }, (_, place) => {
    const attempt = attempts[place];
    const outcome = attempt ? (attempt.outcome ?? "sending") : "none";
    return el(
      "li",
      { class: `attempt ${outcome}`, title: attempt?.error ?? null },
      el("span", { class: "attempt-n" }, `${place + 1}/${max}`),
      el("span", { class: "attempt-what" }, attempt ? saying(attempt) : "–"),
    );
  });
}

function saying(attempt) {
  if (!attempt.outcome) return "sending…";
  if (attempt.status) return String(attempt.status);
  return attempt.outcome === "unknown" ? "no response" : plainly(attempt.error ?? attempt.outcome);
}
