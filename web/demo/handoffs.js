// Shows the five attempts of each handoff, their outcomes, and what the next one waits for.

import { t } from "../shared/messages.js";
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
  const of = (attempt) => `${attempt}/${handoff.max_attempts}`;
  const coming = t("demo.attempt", { of: of(Math.min(made + 1, handoff.max_attempts)) });
  switch (handoff.state) {
    case "sending":
      return t("demo.attempt.sending", { of: of(Math.max(1, made)) });
    case "waiting":
    case "due":
      return `${coming} ${waitingFor(handoff, nowMs)}`;
    case "acknowledged":
      if (handoff.attempts.at(-1)?.outcome !== "acknowledged") return t("demo.attempt.by_callback");
      return made > 1 ? t("demo.attempt.acknowledged", { of: of(made) }) : plainly("acknowledged");
    case "failed":
      return made >= handoff.max_attempts ? t("demo.attempt.given_up_after", { count: made }) : t("demo.attempt.given_up");
    default:
      return plainly(handoff.state);
  }
}

/** Says what a handoff waits for, and for how long if that is known. */
function waitingFor(handoff, nowMs) {
  const until = handoff.waiting_until ?? (handoff.waiting_for ? null : handoff.next_attempt_at);
  const wait = until ? Date.parse(until) - nowMs : 0;
  const inTime = wait > 500 ? t("demo.wait.in", { time: seconds(wait) }) : null;
  switch (handoff.waiting_for) {
    case "breaker":
      return inTime ? t("demo.wait.breaker", { in: inTime }) : t("demo.wait.probe");
    case "rate":
      return inTime ? t("demo.wait.slow", { in: inTime }) : t("demo.wait.rate");
    case "concurrency":
      return t("demo.wait.place");
    case "earlier_handoff":
      return t("demo.wait.earlier");
    default:
      return inTime ?? t("demo.wait.now");
  }
}

function handoffLine(handoff, next) {
  const slowed = handoff.attempts.length - counted(handoff).length;
  const round = (handoff.round > 1 ? `, ${t("demo.round", { number: handoff.round })}` : "") + (slowed > 0 ? `, ${t("demo.slowed", { count: slowed })}` : "");
  return el(
    "div",
    { role: "group", class: `handoff ${handoff.state}`, "aria-label": t("demo.handoff", { event: handoff.event, integrator: handoff.integrator }) },
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
  if (!attempt.outcome) return t("demo.attempt.now");
  if (attempt.status) return String(attempt.status);
  return attempt.outcome === "unknown" ? t("demo.attempt.no_response") : plainly(attempt.error ?? attempt.outcome);
}
