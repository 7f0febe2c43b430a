// Shows whether the page is live, and since when it is not.

import { t } from "../shared/messages.js";
import { clockTime, seconds } from "./words.js";

const at = (id) => document.getElementById(id);

export function showLine(channel) {
  const { state } = channel;
  const { phase, detail } = lineSaid(state, Date.now());
  at("line").dataset.phase = state.phase;
  document.body.dataset.live = String(state.phase === "live");
  // Screen readers announce changes of a status region, so the countdown is outside it.
  if (at("line-phase").textContent !== phase) at("line-phase").textContent = phase;
  at("line-detail").textContent = detail;
  at("line-retry").hidden = state.phase !== "waiting";
}

/** Returns the two lines that describe the connection's state. */
export function lineSaid(state, nowMs) {
  const since = state.notLiveSince === null ? "" : clockTime(state.notLiveSince);
  switch (state.phase) {
    case "live":
      return { phase: t("demo.line.live"), detail: t("demo.line.heard", { what: state.lastHeardWhat, ago: seconds(nowMs - state.lastHeardAt) }) };
    case "connecting":
      return state.lastHeardAt === null
        ? { phase: t("demo.line.connecting"), detail: t("demo.line.not_yet") }
        : { phase: t("demo.line.reconnecting", { since }), detail: t("demo.line.now") };
    case "waiting": {
      const wait = t("demo.line.retry", { wait: seconds(state.retryAt - nowMs) });
      return { phase: t("demo.line.reconnecting", { since }), detail: state.why ? `${state.why}; ${wait}` : wait };
    }
    case "ended":
      return { phase: t("demo.line.ended", { since }), detail: state.why };
    default:
      return { phase: t("demo.line.not_live"), detail: "" };
  }
}
