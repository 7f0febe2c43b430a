// Shows whether the page is live, and since when it is not.

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
      return { phase: "Live", detail: `last ${state.lastHeardWhat} ${seconds(nowMs - state.lastHeardAt)} ago` };
    case "connecting":
      return state.lastHeardAt === null
        ? { phase: "Connecting…", detail: "not live yet" }
        : { phase: `Not live since ${since}, reconnecting`, detail: "connecting now" };
    case "waiting": {
      const wait = `retrying in ${seconds(state.retryAt - nowMs)}`;
      return { phase: `Not live since ${since}, reconnecting`, detail: state.why ? `${state.why}; ${wait}` : wait };
    }
    case "ended":
      return { phase: `Not live since ${since}`, detail: state.why };
    default:
      return { phase: "Not live", detail: "" };
  }
}
