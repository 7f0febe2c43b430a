// The demo's kitchen: the requests it received, and the buttons that break it.

import { el, fill } from "./elements.js";
import { clockTime, plainly } from "./words.js";

const LINES_SHOWN = 40;

export const MODES = [
  { mode: "fine", name: "Fine again", says: "responds at once" },
  { mode: "down", name: "Kitchen down", says: "responds with 503 until it is fine again" },
  { mode: "down", for_requests: 4, name: "Down for four requests", says: "the fifth attempt succeeds" },
  { mode: "slow", name: "Slow", says: "responds after 12 s; the timeout is 10 s" },
  { mode: "twice", name: "Calls back twice", says: "sends every callback twice" },
];

const SAW = {
  accepted: "accepted the order",
  duplicate: "duplicate: ignored",
  known_order: "order already known",
  cancelled: "cancelled the order",
  unknown_order: "order not known",
  noted: "noted",
  bad_signature: "bad signature",
  malformed: "malformed",
  too_large: "too large",
  down: "down",
  full: "full",
};

/** Draws the buttons once; `choose(mode)` is called with the body to PUT. */
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

/** Marks the button of the mode that the kitchen reports. */
export function markMode(place, board) {
  for (const button of place.children) {
    const { mode, for_requests: counted } = MODES[button.dataset.mode];
    const is = mode === board.mode && Boolean(counted) === Boolean(board.for_requests);
    button.setAttribute("aria-pressed", String(is));
    if (counted) {
      const left = is ? `${board.for_requests} more will be refused` : MODES[button.dataset.mode].says;
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
  return `${count(attempts.length, "request", "requests")} received, including ${count(duplicates, "duplicate", "duplicates")}; ${count(orders.length, "order", "orders")} on the board.`;
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
  const again = tries > 1 ? `, attempt ${tries}` : "";
  return `called back “${status}”: ${answered ?? plainly(state)}${again}${twice}`;
}

function sighting(seen) {
  const bad = seen.answered >= 400 ? "bad" : seen.outcome === "duplicate" ? "again" : "good";
  const about = [seen.event, seen.order_number ? `order ${seen.order_number}` : null].filter(Boolean).join(", ");
  return el(
    "li",
    { class: `sighting ${bad}` },
    el("span", { class: "sighting-time" }, clockTime(seen.at)),
    el("span", { class: "sighting-try" }, seen.attempt ?? "–"),
    el("span", { class: "sighting-what" }, `${SAW[seen.outcome] ?? plainly(seen.outcome)}${seen.slowly ? ", responds late" : ""}`, el("small", {}, about)),
    el("span", { class: "sighting-status" }, String(seen.answered)),
  );
}
