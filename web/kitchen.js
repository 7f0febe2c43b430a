// The demo's kitchen: what it saw, and the buttons that break it.

import { el, fill } from "./elements.js";
import { clockTime, plainly } from "./words.js";

const LINES_SHOWN = 40;

export const MODES = [
  { mode: "fine", name: "Fine again", says: "answers at once" },
  { mode: "down", name: "Kitchen down", says: "answers 503 until it is fine again" },
  { mode: "down", for_requests: 4, name: "Down for four requests", says: "the fifth try gets through" },
  { mode: "slow", name: "Slow", says: "answers after 12 s; we hang up after 10" },
  { mode: "twice", name: "Answers twice", says: "sends every callback two times" },
];

const SAW = {
  accepted: "took the order",
  duplicate: "the same again: nothing done",
  known_order: "knows this order already",
  cancelled: "took it off the board",
  unknown_order: "never had this order",
  noted: "noted",
  bad_signature: "bad signature",
  malformed: "could not be read",
  too_large: "too large",
  down: "down",
  full: "full",
};

/** The buttons, drawn once; `choose(mode)` is called with what to PUT. */
export function drawModes(place, choose) {
  place.replaceChildren(
    ...MODES.map((mode, number) =>
      el(
        "button",
        { type: "button", class: "mode", "data-mode": number, "aria-pressed": "false", onclick: () => choose(mode) },
        el("span", { class: "mode-name" }, mode.name),
        el("span", { class: "mode-says" }, mode.says),
      ),
    ),
  );
}

/** Marks the button of the mode that the kitchen itself says it is in. */
export function markMode(place, board) {
  for (const button of place.children) {
    const { mode, for_requests: counted } = MODES[button.dataset.mode];
    const is = mode === board.mode && Boolean(counted) === Boolean(board.for_requests);
    button.setAttribute("aria-pressed", String(is));
    if (counted) {
      const left = is ? `${board.for_requests} more to be refused` : MODES[button.dataset.mode].says;
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
  if (attempts.length === 0) return "Nothing yet.";
  const count = (n, one, many) => `${n} ${n === 1 ? one : many}`;
  return `${count(attempts.length, "request", "requests")} seen, ${count(duplicates, "repeat", "repeats")} among them; ${count(orders.length, "order", "orders")} on the board.`;
}

function ticket(order) {
  const items = order.items.map((item) => `${item.quantity} × ${item.name}`).join(", ");
  return el(
    "li",
    { class: `ticket ${order.state}` },
    el("span", { class: "ticket-number" }, order.reference),
    el("span", { class: "ticket-items" }, items),
    el("span", { class: "ticket-state" }, order.state),
    order.callbacks.length > 0 ? el("span", { class: "ticket-callbacks" }, order.callbacks.map(callback).join(" · ")) : null,
  );
}

function callback({ status, state, tries, copies, answered }) {
  const twice = copies > 1 ? ", sent twice" : "";
  const again = tries > 1 ? `, try ${tries}` : "";
  return `told “${status}”: ${answered ?? plainly(state)}${again}${twice}`;
}

function sighting(seen) {
  const bad = seen.answered >= 400 ? "bad" : seen.outcome === "duplicate" ? "again" : "good";
  const about = [seen.event, seen.order_number ? `order ${seen.order_number}` : null].filter(Boolean).join(", ");
  return el(
    "li",
    { class: `sighting ${bad}` },
    el("span", { class: "sighting-time" }, clockTime(seen.at)),
    el("span", { class: "sighting-try" }, seen.attempt ?? "–"),
    el("span", { class: "sighting-what" }, `${SAW[seen.outcome] ?? plainly(seen.outcome)}${seen.slowly ? ", answers late" : ""}`, el("small", {}, about)),
    el("span", { class: "sighting-status" }, String(seen.answered)),
  );
}
