// Orders from the live channel: kept in a list, drawn as cards with a progress bar.

import { t } from "../shared/messages.js";
import { el, fill } from "./elements.js";
import { clockTime, money, plainly } from "./words.js";

export const STEPS = ["pending", "processing", "accepted", "preparing", "ready", "dispatched", "delivered"];
const BAD_ENDS = ["rejected", "failed", "cancelled"];
const WAITING = ["pending", "processing"];
const KEPT_MAX = 100;
const SHOWN_OPENLY = 4;

/** Orders of one channel, newest first. */
export class Orders {
  #byId = new Map();

  restart(orders) {
    const before = this.#byId;
    this.#byId = new Map();
    for (const order of orders) {
      const reached = Math.max(before.get(order.id)?.reached ?? 0, furthest(order));
      this.#byId.set(order.id, { ...order, reached });
    }
  }

  /** Updates an order from an `order.*` event; returns the status change, or null if there is none. */
  take(order) {
    const known = this.#byId.get(order.id);
    const reached = Math.max(known?.reached ?? 0, furthest(order));
    this.#byId.set(order.id, { ...order, reached });
    this.#forgetOldest();
    if (known?.status === order.status) return null;
    return { number: order.number, from: known?.status ?? null, to: order.status, reason: order.reason };
  }

  /** Splits the orders: `shown` has the newest few and all that wait to be accepted, `earlier` the rest. */
  get shownAndEarlier() {
    const all = this.newestFirst;
    const open = (order, place) => place < SHOWN_OPENLY || WAITING.includes(order.status);
    return { shown: all.filter(open), earlier: all.filter((order, place) => !open(order, place)) };
  }

  get newestFirst() {
    return [...this.#byId.values()].sort((a, b) => b.number - a.number);
  }

  /** True while any order may still change. */
  get someUnfinished() {
    return [...this.#byId.values()].some((order) => !isEnded(order));
  }

  #forgetOldest() {
    if (this.#byId.size <= KEPT_MAX) return;
    const oldest = this.newestFirst.reverse();
    const gone = oldest.find(isEnded) ?? oldest[0];
    this.#byId.delete(gone.id);
  }
}

export function isEnded(order) {
  return order.status === "delivered" || BAD_ENDS.includes(order.status);
}

/** Draws all cards into `list`; `beneath(order)` returns the part below a card's progress, or null. */
export function drawOrders(list, orders, beneath = () => null) {
  const cards = new Map([...list.children].map((card) => [card.dataset.order, card]));
  const drawn = orders.map((order) => {
    const card = cards.get(order.id) ?? el("li", { class: "card", "data-order": order.id }, el("div"), el("div"));
    const [above, below] = card.children;
    fill(above, () => orderCard(order), order);
    const extra = beneath(order);
    fill(below, () => (extra ? [extra.element()] : []), extra?.fingerprint ?? null);
    card.classList.toggle("ended-badly", BAD_ENDS.includes(order.status));
    card.classList.toggle("mine", Boolean(order.mine));
    return card;
  });
  // Moving an element loses its focus, so it is moved only if the sequence changed.
  drawn.forEach((card, place) => {
    if (list.children[place] !== card) list.insertBefore(card, list.children[place] ?? null);
  });
  while (list.children.length > drawn.length) list.lastElementChild.remove();
}

function orderCard(order) {
  return [
    el(
      "header",
      {},
      el("h3", {}, t("demo.order.title", { number: order.number })),
      order.mine ? el("span", { class: "tag" }, t("demo.order.yours")) : null,
      el("span", { class: "when" }, order.placed_at ? clockTime(order.placed_at) : ""),
      el("strong", { class: "total" }, money(order.total)),
    ),
    el(
      "ul",
      { class: "items" },
      order.items.map((item) => el("li", {}, el("span", { class: "count" }, `${item.quantity} ×`), ` ${item.name}`)),
    ),
    progress(order),
    ending(order),
    order.delivery ? el("p", { class: "delivery" }, t("demo.order.delivery", { status: plainly(order.delivery.status).toLowerCase() })) : null,
  ].filter(Boolean);
}

function progress(order) {
  const bad = BAD_ENDS.includes(order.status);
  const at = STEPS.indexOf(order.status);
  const steps = STEPS.map((step, place) => {
    const done = place <= order.reached;
    const current = place === at;
    const saying = t(current ? "demo.wait.now" : done ? "demo.step.done" : "demo.step.to_come");
    return el(
      "li",
      { class: `step ${done ? "done" : ""} ${current ? "current" : ""}`, "aria-current": current ? "step" : null },
      el("span", { class: "step-name" }, plainly(step)),
      el("span", { class: "unseen" }, ` (${saying})`),
    );
  });
  if (bad) {
    // Steps that were never reached keep their space, so that all cards line up.
    const never = steps.slice(order.reached + 2).map(() => el("li", { class: "step never", "aria-hidden": "true" }));
    steps.splice(order.reached + 1, Infinity, badEnd(order), ...never);
  }
  return el("ol", { class: "progress", "aria-label": t("demo.order.progress", { number: order.number }) }, steps);
}

function badEnd(order) {
  return el("li", { class: "step bad current", "aria-current": "step" }, el("span", { class: "step-name" }, plainly(order.status)));
}

function ending(order) {
  if (!BAD_ENDS.includes(order.status)) return null;
  const why = order.reason ? `: ${plainly(order.reason)}` : "";
  return el("p", { class: "ending" }, `${t("demo.order.ended", { number: order.number, status: plainly(order.status) })}${why}.`);
}

/** Returns the index of the furthest step that the order is known to have reached. */
function furthest(order) {
  const at = STEPS.indexOf(order.status);
  if (at >= 0) return at;
  return order.accepted_at ? STEPS.indexOf("accepted") : 0;
}
