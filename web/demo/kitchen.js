// The demo's kitchen: the requests it received, and the buttons that break it.

import { has, t } from "../shared/messages.js";
import { el, fill } from "./elements.js";
import { clockTime, plainly } from "./words.js";

const LINES_SHOWN = 40;

/** Ways to break the kitchen; each has a name and a sentence among the words. */
export const MODES = [
  { key: "fine", mode: "fine" },
  { key: "down", mode: "down" },
  { key: "down_for", mode: "down", for_requests: 4 },
  { key: "slow", mode: "slow" },
  { key: "twice", mode: "twice" },
];

/** Draws the buttons once; `choose(mode)` is called with the body to PUT. */
export function drawModes(place, choose) {
  place.replaceChildren(
    ...MODES.map((mode, number) =>
      el(
        "button",
        { type: "button", class: "mode", "data-mode": number, "aria-pressed": "false", onclick: () => choose(mode) },
        el("span", { class: "mode-name" }, t(`demo.mode.${mode.key}`)),
        el("span", { class: "mode-says" }, t(`demo.mode.says.${mode.key}`)),
      ),
    ),
  );
}

/** Marks the button of the mode that the kitchen reports. */
export function markMode(place, board) {
  for (const button of place.children) {
    const { mode, for_requests: counted } = MODES[button.dataset.mode];
    const is = mode === board.mode && Boolean(counted) === Boolean(board.for_requests);
    button.setAttribute("aria-pressed", String(is));
    if (counted) {
      const left = is ? t("demo.mode.left", { count: board.for_requests }) : t("demo.mode.says.down_for");
      button.querySelector(".mode-says").textContent = left;
    }
  }
}

export function drawBoard({ tickets, attempts, duplicates }, board) {
  duplicates.textContent = duplicatesSaid(board);
  fill(tickets, () => board.orders.slice(0, LINES_SHOWN).map(ticket), board.orders.slice(0, LINES_SHOWN));
  fill(attempts, () => board.attempts.slice(0, LINES_SHOWN).map(sighting), board.attempts.slice(0, LINES_SHOWN));
}

function duplicatesSaid({ attempts, duplicates, orders }) {
  if (attempts.length === 0) return t("demo.requests.none");
  return [t("demo.requests.count", { count: attempts.length }), t("demo.requests.again", { count: duplicates }), t("demo.requests.orders", { count: orders.length })].join(" · ");
}

function ticket(order) {
  const items = order.items.map((item) => `${item.quantity} × ${item.name}`).join(", ");
  return el(
    "li",
    { class: `ticket ${order.state}` },
    el("span", { class: "ticket-number" }, order.reference),
    el("span", { class: "ticket-items" }, items),
    el("span", { class: "ticket-state" }, plainly(order.state)),
    order.callbacks.length > 0 ? el("span", { class: "ticket-callbacks" }, order.callbacks.map(callback).join(" · ")) : null,
  );
}

function callback({ status, state, tries, copies, answered }) {
  const twice = copies > 1 ? `, ${t("demo.called.twice")}` : "";
  const again = tries > 1 ? `, ${t("demo.attempt", { of: tries })}` : "";
  return `${t("demo.called", { status: plainly(status) })}: ${answered ?? plainly(state)}${again}${twice}`;
}

function sighting(seen) {
  const bad = seen.answered >= 400 ? "bad" : seen.outcome === "duplicate" ? "again" : "good";
  const about = [seen.event, seen.order_number ? t("demo.order", { number: seen.order_number }) : null].filter(Boolean).join(", ");
  return el(
    "li",
    { class: `sighting ${bad}` },
    el("span", { class: "sighting-time" }, clockTime(seen.at)),
    el("span", { class: "sighting-try" }, seen.attempt ?? "–"),
    el("span", { class: "sighting-what" }, `${has(`demo.saw.${seen.outcome}`) ? t(`demo.saw.${seen.outcome}`) : plainly(seen.outcome)}${seen.slowly ? `, ${t("demo.saw.slowly")}` : ""}`, el("small", {}, about)),
    el("span", { class: "sighting-status" }, String(seen.answered)),
  );
}
