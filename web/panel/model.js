// What a store's screen knows: its tables and orders, from a snapshot and the events after it. Draws nothing.

/** Statuses of orders that have not ended, with the column of the kitchen in which they stand. */
export const COLUMN = { pending: "new", processing: "new", accepted: "making", preparing: "making", ready: "ready", dispatched: "away" };
/** Statuses that an order may reach without any person: a store may accept by itself. */
const UNSEEN = ["pending", "processing", "accepted"];
export const isOpen = (order) => order.status in COLUMN;
/** Orders that have ended are kept so long, so that nothing vanishes under somebody's eyes. */
export const KEEP_ENDED_MS = 10 * 60_000;
/** Orders that were looked at are remembered up to this many. */
const MAX_SEEN = 5000;

/** Seconds after which an order is due in each column, if the store sets no limit. */
const LIMITS_S = { new: 300, making: 900, ready: 600, away: 2700 };

/** Sessions are known by the stream of their events. */
export class StoreModel {
  constructor({ seen = [], now = Date.now } = {}) {
    this.now = now;
    this.seen = new Set(seen);
    this.paused = false;
    this.name = "";
    this.truncated = false;
    this.orders = new Map();
    this.tables = new Map();
    this.problems = []; // failed handoffs and disabled integrators, newest first
    this.stale = new Set(); // streams of tables whose code is not known
    this.version = 0;
  }

  /** Begins anew with a snapshot; what was looked at stays so. */
  restart(hello) {
    const codes = new Map([...this.tables].map(([stream, table]) => [stream, table]));
    this.paused = hello.store.paused;
    this.name = hello.store.name;
    this.truncated = hello.truncated;
    this.tables = new Map();
    for (const session of hello.sessions) this.#table(session.stream, { ...codes.get(session.stream), ...session });
    const known = this.orders;
    const ended = [...known.values()].filter((order) => !isOpen(order));
    this.orders = new Map(ended.map((order) => [order.id, order]));
    // A snapshot does not say since when an order is ready; what is known of one that has not moved still holds.
    for (const order of hello.orders) {
      const before = known.get(order.id);
      const { changed_at, updated_at } = before?.status === order.status ? before : {};
      this.orders.set(order.id, { ...order, changed_at, updated_at });
    }
    this.#changed();
  }

  /** Applies an event of the channel; returns what happened in one word, for sounds and announcements. */
  take(event) {
    const { order, session } = event.data ?? {};
    const happened = event.type;
    if (event.type === "handoff.failed") {
      this.problems.unshift({ at: event.at, order, handoff: event.data.handoff });
      this.problems.length = Math.min(this.problems.length, 50);
    } else if (order) {
      const tellsWhen = event.type === "order.status_changed" || this.orders.has(order.id);
      // A person moved it, at this screen or at another one: nobody has to look at it any more.
      if (event.type === "order.status_changed" && event.actor?.kind === "account") this.seen.add(order.id);
      this.#merge(order, tellsWhen ? event.at : null, { stream: event.stream, actor: event.actor ?? null });
      if (order.session && !this.tables.has(event.stream)) this.#table(event.stream, { name: order.session.name, state: "OPEN" });
    } else if (session) {
      const known = this.tables.get(event.stream);
      this.#table(event.stream, { ...known, ...session });
      if (event.type === "session.code_renewed" || !known) this.stale.add(event.stream);
    } else if (event.type === "store.paused") {
      this.paused = event.data.paused;
    } else if (event.type === "integrator.disabled") {
      this.problems.unshift({ at: event.at, integrator: event.data.integrator });
    }
    this.#changed();
    return happened;
  }

  /** Takes an order as the API answered it; one that was overtaken by an event is left out. */
  learnOrder(order) {
    const known = this.orders.get(order.id);
    if (known && RANK.indexOf(order.status) < RANK.indexOf(known.status)) return;
    this.#merge(order, order.updated_at ?? null);
    this.#changed();
  }

  /** Joins what is known of an order with what is new; `at` is when it got its status, if that is known. */
  #merge(order, at, more = {}) {
    const known = this.orders.get(order.id);
    const hasMoved = known?.status !== order.status;
    const isElsewhere = !known || COLUMN[known.status] !== COLUMN[order.status];
    const changed_at = isElsewhere ? (at ?? undefined) : known.changed_at;
    const updated_at = order.updated_at ?? (hasMoved ? (at ?? undefined) : known.updated_at);
    this.orders.set(order.id, { ...known, ...order, ...more, changed_at, updated_at, heardAt: this.now() });
  }

  /** Orders that stand ready, or are on their way, since nobody here knows when. */
  get ageless() {
    return this.list.filter((order) => isOpen(order) && !isAgeKnown(order));
  }

  /** Adds codes and addresses, which the channel never tells: `GET /sessions` has them, by name and time of opening. */
  learn(sessions) {
    const byOpening = new Map(sessions.map((session) => [key(session), session]));
    for (const [stream, table] of this.tables) {
      const session = byOpening.get(key(table));
      if (!session) continue;
      this.tables.set(stream, { ...table, code: session.code, url: session.url });
      this.stale.delete(stream);
      byOpening.delete(key(table));
    }
    this.#changed();
    return [...byOpening.values()]; // those of which the channel told nothing yet
  }

  get needsCodes() {
    return this.stale.size > 0 || [...this.tables.values()].some((table) => table.state === "OPEN" && !table.code);
  }

  /** Marks orders as looked at. */
  look(orders) {
    const before = this.seen.size;
    for (const order of orders) this.seen.add(order.id);
    if (this.seen.size > MAX_SEEN) this.seen = new Set([...this.seen].slice(-MAX_SEEN / 2));
    if (this.seen.size !== before) this.#changed();
  }

  /** An order that nobody has looked at here; one that goes on in the kitchen was looked at there. */
  isUnseen(order) {
    return UNSEEN.includes(order.status) && !this.seen.has(order.id);
  }

  get unseen() {
    if (this.unseenOf === this.version) return this.unseenOrders;
    this.unseenOf = this.version;
    this.unseenOrders = this.list.filter((order) => this.isUnseen(order));
    return this.unseenOrders;
  }

  /** All orders, oldest first; the list is made once for each version. */
  get list() {
    if (this.listed !== this.version) {
      this.listed = this.version;
      this.ordered = [...this.orders.values()].sort((a, b) => (a.number ?? 0) - (b.number ?? 0));
      this.byTable = new Map();
      for (const order of this.ordered) {
        if (!order.session) continue;
        if (!this.byTable.has(order.stream)) this.byTable.set(order.stream, []);
        this.byTable.get(order.stream).push(order);
      }
    }
    return this.ordered;
  }

  ordersOf(stream) {
    void this.list;
    return this.byTable.get(stream) ?? [];
  }

  /** Open tables with what they need, those that need action first, then by name. */
  get openTables() {
    if (this.rowsOf === this.version) return this.rows;
    this.rowsOf = this.version;
    this.rows = [...this.tables]
      .filter(([, table]) => table.state === "OPEN")
      .map(([stream, table]) => this.#row(stream, table))
      .sort((a, b) => b.urgency - a.urgency || byName(a, b));
    return this.rows;
  }

  /** Closed tables of which the channel has told, the last closed first. */
  get closedTables() {
    return [...this.tables]
      .filter(([, table]) => table.state === "CLOSED")
      .map(([stream, table]) => this.#row(stream, table))
      .sort((a, b) => String(b.closed_at).localeCompare(String(a.closed_at)));
  }

  /** Orders that are not a table's: those that need action first, then the oldest. */
  get otherOrders() {
    const rank = { new: 3, ready: 2, making: 1, away: 0 };
    return this.list
      .filter((order) => !order.session)
      .sort((a, b) => (rank[COLUMN[b.status]] ?? -1) - (rank[COLUMN[a.status]] ?? -1) || (a.number ?? 0) - (b.number ?? 0));
  }

  /** Tickets of one column of the kitchen, the oldest first. Orders for later come when their time has come. */
  column(name) {
    return this.list.filter((order) => COLUMN[order.status] === name && !isLater(order, this.now()));
  }

  /** Orders for later that the kitchen need not begin yet, by the time at which they are wanted. */
  get later() {
    const later = this.list.filter((order) => isOpen(order) && isLater(order, this.now()));
    return later.sort((a, b) => String(a.wanted_at).localeCompare(String(b.wanted_at)));
  }

  #row(stream, table) {
    const orders = this.ordersOf(stream);
    const unseen = orders.filter((order) => this.isUnseen(order)).length;
    const waiting = orders.filter((order) => COLUMN[order.status] === "new" && !isLater(order, this.now())).length;
    const ready = orders.filter((order) => order.status === "ready").length;
    const open = orders.filter(isOpen).length;
    return { stream, ...table, unseen, waiting, ready, open, urgency: unseen > 0 ? 3 : waiting > 0 ? 2 : ready > 0 ? 1 : 0 };
  }

  #table(stream, table) {
    this.tables.set(stream, table);
  }

  #changed() {
    this.version += 1;
    const before = this.now() - KEEP_ENDED_MS;
    for (const [id, order] of this.orders) if (!isOpen(order) && (order.heardAt ?? 0) < before) this.orders.delete(id);
  }
}

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
const byName = (a, b) => collator.compare(a.name, b.name);
const key = (session) => `${session.opened_at} ${session.name}`;

/** Returns true for an order that is handed over at a later time. */
export const isLater = (order, now) => Boolean(order.hand_over_at) && Date.parse(order.hand_over_at) > now;

/** Statuses by their place on the way, so that an answer that was overtaken is left out. */
const RANK = ["draft", "pending", "processing", "accepted", "preparing", "ready", "dispatched", "delivered", "rejected", "failed", "cancelled"];

/** Columns in which an order stands since a time that is no field of its own: its last change, or an event. */
const isTimed = (order) => ["ready", "away"].includes(COLUMN[order.status]);

/** Returns when an order entered its column, as far as that is known. */
export function since(order) {
  const entered = order.changed_at ?? (isTimed(order) ? order.updated_at : null);
  const at = COLUMN[order.status] === "new" ? later(order.placed_at, order.hand_over_at) : (entered ?? order.accepted_at ?? order.placed_at);
  return Date.parse(at ?? order.created_at);
}

const later = (one, other) => (other && other > one ? other : one);

/** A snapshot does not tell since when an order is ready, so its age says nothing until its last change is known. */
export const isAgeKnown = (order) => !isTimed(order) || Boolean(order.changed_at ?? order.updated_at);

/** Returns the seconds that an order may take in its column: what the store sets, or a usual time. */
export function limitS(order, store) {
  const column = COLUMN[order.status];
  if (column === "new") return store?.accept_within_s ?? LIMITS_S.new;
  if (column === "making" && store?.prepare_min) return store.prepare_min * 60;
  return LIMITS_S[column] ?? LIMITS_S.making;
}

/** Returns how an order stands: `fine`, `soon` (half of its time is used up) or `late`, by its age in milliseconds. */
export function urgency(order, store, now) {
  if (!isAgeKnown(order)) return "fine";
  const limit = limitS(order, store) * 1000;
  // An order for later is not late before its time.
  const due = order.wanted_at && COLUMN[order.status] !== "new" ? Date.parse(order.wanted_at) : since(order) + limit;
  if (now >= due) return "late";
  return now >= due - limit / 2 ? "soon" : "fine";
}

/** Keeps the order of a list while somebody points at it: known ones stay in place, new ones come last. */
export function settled(before, now) {
  const present = new Set(now);
  const kept = before.filter((id) => present.has(id));
  const known = new Set(kept);
  return [...kept, ...now.filter((id) => !known.has(id))];
}

/** Returns the one next step that a tap on a ticket makes, or null. */
export function nextStep(order) {
  const may = (status) => (order.next?.includes(status) ? status : null);
  switch (COLUMN[order.status]) {
    case "new":
      return may("accepted");
    case "making":
      return order.status === "accepted" ? (may("preparing") ?? may("ready")) : may("ready");
    case "ready":
      return order.fulfilment === "delivery" ? (may("dispatched") ?? may("delivered")) : may("delivered");
    case "away":
      return may("delivered");
    default:
      return null;
  }
}
