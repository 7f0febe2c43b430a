// What a guest's page knows of its table: the menu, the hours, the orders, and whether it is live.

import { guestKey } from "../shared/api.js";
import { Line } from "../shared/line.js";
import { onLanguage } from "../shared/messages.js";
import { OpeningClock } from "../shared/opening.js";
import { State } from "../shared/ui.js";
import { readMenu, readOpening } from "./cart.js";

/** Interval of looking at the menu while the page is visible: its answer is 304 mostly. */
const LOOK_EVERY_MS = 5_000;
/** Interval of looking at the opening hours. */
const HOURS_EVERY_MS = 15_000;
/** All guests of a store are told of a change at once; each looks at another moment within this time. */
const SPREAD_MS = 300;

/** Close codes of the live channel after which the code is of no use. */
const ENDED = { 4401: "unknown", 4404: "unknown", 4410: "ended" };

export class Table {
  #hoursLookedAt = 0;
  #looking = false;
  #wanted = false;
  #clock = new OpeningClock(() => this.lookAgain());
  #menuTag = null;
  #hasHours = true;

  constructor(code, names) {
    this.code = code;
    /** `{store, table}`: the names on top. */
    this.names = new State(names);
    /** Null until it is known. */
    this.menu = new State(null);
    this.opening = new State(null);
    /** `open`, `closed`, `unknown` (no such code, or not any more) or `ended` (closed long ago). */
    this.phase = new State("open");
    /** Orders by id, each with `mine`. Null until they are known. */
    this.orders = new State(null);
    /** What screen readers and the page are told of a moved order: called with the order and its former status. */
    this.onMoved = () => {};
    this.line = new Line({
      address: () => `/ws/sessions/${encodeURIComponent(code)}`,
      greeting: { type: "guest", key: guestKey(), store: true },
      onStoreChanged: () => setTimeout(() => this.lookAgain(), Math.random() * SPREAD_MS),
      onSnapshot: (hello) => this.#snapshot(hello),
      onEvent: (event) => this.#event(event),
    });
  }

  start() {
    let before = null;
    this.line.state.subscribe(({ phase, closeCode }) => {
      if (phase === "ended") this.phase.set(ENDED[closeCode] ?? "unknown");
      if (phase === "live" && before !== "live") this.lookAgain(); // what was missed while it was not live
      before = phase;
    });
    this.line.start();
    this.look();
    onLanguage(() => this.look());
    setInterval(() => document.hidden || this.look(), LOOK_EVERY_MS);
    document.addEventListener("visibilitychange", () => document.hidden || this.look());
  }

  /** Reads the menu, and now and then the hours. */
  async look() {
    if (this.#looking || this.phase.value === "unknown" || this.phase.value === "ended") return;
    this.#looking = true;
    try {
      const looks = [readMenu(this.code, this.#menuTag).then((outcome) => this.#takeMenu(outcome))];
      if (this.#hasHours && Date.now() - this.#hoursLookedAt >= HOURS_EVERY_MS) looks.push(this.#lookAtHours());
      await Promise.all(looks);
    } finally {
      this.#looking = false;
    }
    if (!this.#wanted) return;
    this.#wanted = false;
    await this.lookAgain();
  }

  /** Reads the menu and the hours now: after a refusal, and when they have changed. What is being read may be older. */
  async lookAgain() {
    this.#hoursLookedAt = 0;
    if (this.#looking) this.#wanted = true;
    else await this.look();
  }

  async #lookAtHours() {
    const outcome = await readOpening(this.code);
    if (outcome.kind === "done") {
      this.#hoursLookedAt = Date.now();
      set(this.opening, outcome.body);
      this.#clock.follow(outcome);
    } else if (outcome.kind === "refused" && outcome.status === 404 && outcome.problem.reason !== "session_not_found") {
      this.#hasHours = false; // a server that knows no hours
    }
  }

  #takeMenu(outcome) {
    if (outcome.status === 304) return;
    if (outcome.kind === "done") {
      this.#menuTag = outcome.headers.get("etag");
      set(this.menu, outcome.body);
      this.names.set((names) => (names.store === outcome.body.store_name ? names : { ...names, store: outcome.body.store_name }));
    } else if (outcome.kind === "refused") {
      const { reason } = outcome.problem;
      if (reason === "session_not_found") this.phase.set("unknown");
      if (reason === "session_ended") this.phase.set("ended");
    }
  }

  #snapshot({ session, orders }) {
    this.#session(session);
    this.orders.set((before) => new Map(orders.map((order) => [order.id, { ...order, mine: order.mine ?? before?.get(order.id)?.mine ?? false }])));
  }

  #event({ type, data, mine }) {
    if (data?.order) this.#order(data.order, mine);
    if (data?.session) this.#session(data.session);
    if (type === "session.closed") this.phase.set("closed");
  }

  #order(order, mine) {
    const before = this.orders.value?.get(order.id);
    const now = { ...before, ...order, mine: mine ?? before?.mine ?? false };
    this.orders.set((orders) => new Map(orders ?? []).set(order.id, now));
    if (before?.status !== order.status) this.onMoved(now, before?.status ?? null);
  }

  /** Takes an order that this page has placed or cancelled, without waiting for the live channel. */
  takeOwn(order) {
    const before = this.orders.value?.get(order.id);
    if (before && (before.ended_at || ORDER_OF.indexOf(before.status) > ORDER_OF.indexOf(order.status))) return;
    this.orders.set((orders) => new Map(orders ?? []).set(order.id, { ...before, ...order, mine: true }));
  }

  #session({ name, state }) {
    if (name) this.names.set((names) => (names.table === name ? names : { ...names, table: name }));
    if (state === "CLOSED") this.phase.set("closed");
    else if (this.phase.value === "closed") this.phase.set("open");
  }
}

const ORDER_OF = ["draft", "pending", "processing", "accepted", "preparing", "ready", "dispatched", "delivered", "rejected", "failed", "cancelled"];

/** Sets a State unless the value is the same JSON, so that nothing is rendered anew for nothing. */
function set(state, value) {
  if (JSON.stringify(state.value) !== JSON.stringify(value)) state.set(value);
}

/** Returns when orders are taken: now, for later, not at all, and why not. */
export function taking(menu, opening, now = Date.now()) {
  const here = opening?.fulfilments?.table ?? null;
  const busy = opening?.busy ?? null;
  const pausedUntil = busy?.paused_until && Date.parse(busy.paused_until) > now ? busy.paused_until : null;
  const stopped = menu?.paused === true;
  const open = here?.open !== false;
  return {
    /** True while nothing at all is taken, for later either. */
    stopped,
    paused: stopped || pausedUntil !== null,
    pausedUntil: stopped ? null : pausedUntil,
    open,
    /** True if an order is taken for as soon as possible. */
    atOnce: !stopped && pausedUntil === null && open,
    opensAt: here?.opens_at ?? null,
    closesAt: here?.open ? (here.closes_at ?? null) : null,
    addsMinutes: pausedUntil ? 0 : (busy?.adds_minutes ?? 0),
    ordersAhead: (opening?.order_ahead_days ?? 0) > 0,
    aheadMs: { least: (opening?.lead_time_min ?? 0) * 60_000, most: (opening?.order_ahead_days ?? 0) * 86_400_000 },
    zone: opening?.timezone ?? menu?.timezone ?? null,
  };
}

/** Returns the menu in sections as people read it: `[{id, name, description, products}]`; the last has no name. */
export function sections(menu) {
  const products = new Map((menu?.items ?? []).map((product) => [product.id, product]));
  const seen = new Set();
  const named = (menu?.categories ?? []).map(({ id, name, description, product_ids = [] }) => {
    const inside = product_ids.map((product) => products.get(product)).filter(Boolean);
    for (const product of inside) seen.add(product.id);
    return { id, name, description: description ?? null, products: inside };
  });
  const rest = [...products.values()].filter((product) => !seen.has(product.id));
  return [...named, { id: "rest", name: null, description: null, products: rest }].filter(({ products: inside }) => inside.length > 0);
}
