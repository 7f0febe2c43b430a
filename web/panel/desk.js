// One store's desk: its live channel, what it knows, and what staff do there.

import { newKey, words } from "../shared/api.js";
import { Line } from "../shared/line.js";
import { t } from "../shared/messages.js";
import { OpeningClock } from "../shared/opening.js";
import { announce, toast } from "../shared/parts.js";
import { State } from "../shared/ui.js";
import { TicketSocket } from "./account.js";
import { COLUMN, StoreModel } from "./model.js";

/** A burst of events is drawn so often, so that taps are answered in between. */
const DRAW_EVERY_MS = 100;
const PAGE = 100;
const MAX_PAGES = 20;
const API = "/api/v1";

export class Desk {
  #known = new Map(); // sessions with their codes, by code
  #asked = new Map(); // how often each thing was asked for
  #drawing = false;
  #drawnAt = -Infinity;
  #codesAsked = false;
  /** Reads the opening again when a time of it has come: no event tells of that. */
  #clock = new OpeningClock(() => this.loadOpening());

  constructor({ account, store }) {
    this.account = account;
    this.store = new State(store);
    this.id = store.id;
    this.kept = `expediter-seen-${store.id}`;
    this.model = new StoreModel({ seen: readSeen(this.kept) });
    this.changed = new State(0);
    /** Orders that a move is under way for: their id and the status that was asked for. */
    this.moving = new State(new Map());
    this.closed = new State({ items: [], cursor: null, loaded: false });
    this.products = new State(null);
    this.opening = new State(null);
    this.line = new Line({
      address: () => `/ws/stores/${this.id}`,
      openSocket: (url) => new TicketSocket(url, account, { store_id: this.id }),
      onSnapshot: (hello) => this.#snapshot(hello),
      onEvent: (event) => this.#event(event),
    });
  }

  start() {
    this.line.start();
    this.loadClosed();
    this.loadOpening();
    this.loadStore();
  }

  stop() {
    this.line.stop();
    this.#clock.stop();
  }

  get zone() {
    return this.store.value.timezone;
  }

  #snapshot(hello) {
    this.model.restart(hello);
    // A snapshot carries none of these, and what changed before it is told by no event.
    this.loadOpening();
    this.loadStore();
    this.loadAges();
    if (this.products.value) this.loadProducts();
    if (this.closed.value.loaded) this.loadClosed();
    this.#after();
  }

  #event(event) {
    const known = event.data?.order && this.model.orders.get(event.data.order.id);
    this.model.take(event);
    if (event.type === "order.placed" && !known) announce(t("panel.spoken.placed", { number: event.data.order.number, table: event.data.order.session?.name ?? t(`shared.fulfilment.${event.data.order.fulfilment}`) }));
    if (event.type === "session.closed") this.#wasClosed(event);
    if (event.type === "product.availability") this.#productTold(event.data);
    if (event.type === "store.opening_changed") this.loadOpening();
    this.#after();
  }

  #after() {
    if (this.model.needsCodes && this.#known.size > 0) this.model.learn([...this.#known.values()]);
    if (this.model.needsCodes) this.loadSessions();
    this.draw();
  }

  /** Renders once for all that happens before the next picture. */
  draw() {
    if (this.#drawing) return;
    this.#drawing = true;
    const now = () => {
      this.#drawing = false;
      this.#drawnAt = performance.now();
      this.changed.set(this.model.version);
    };
    const wait = this.#drawnAt + DRAW_EVERY_MS - performance.now();
    if (document.hidden) setTimeout(now, 250);
    else if (wait > 0) setTimeout(() => requestAnimationFrame(now), wait);
    else requestAnimationFrame(now);
  }

  look(orders) {
    this.model.look(orders);
    keepSeen(this.kept, this.model.seen);
    this.draw();
  }

  /** Reads the codes of the open tables. */
  async loadSessions() {
    if (this.#codesAsked) return;
    this.#codesAsked = true;
    let cursor = null;
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const outcome = await this.account.call({ path: list("/sessions", { store_id: this.id, state: "OPEN", limit: PAGE, cursor }) });
      if (outcome.kind !== "done") break;
      for (const session of outcome.body.items) this.#know(session);
      cursor = outcome.body.next_cursor;
      if (!cursor) break;
    }
    this.model.learn([...this.#known.values()]);
    this.draw();
    // Not at once again: a table that was opened meanwhile is asked for with the next event.
    setTimeout(() => (this.#codesAsked = false), 1000);
  }

  async loadClosed(more = false) {
    const { items, cursor } = this.closed.value;
    const outcome = await this.account.call({ path: list("/sessions", { store_id: this.id, state: "CLOSED", limit: 30, cursor: more ? cursor : null }) });
    if (outcome.kind !== "done") return;
    this.closed.set({ items: [...(more ? items : []), ...outcome.body.items], cursor: outcome.body.next_cursor ?? null, loaded: true });
  }

  #wasClosed(event) {
    const table = this.model.tables.get(event.stream);
    const session = { ...table, ...event.data.session };
    this.closed.set((closed) => ({ ...closed, items: [session, ...closed.items.filter((one) => one.code !== session.code || !session.code)] }));
  }

  #know(session) {
    this.#known.set(session.code, session);
  }

  /** Opens a table; returns its session, or null after it has said why not. */
  async openTable(name) {
    const outcome = await this.account.settle({ method: "POST", path: `${API}/sessions`, body: { store_id: this.id, name }, key: newKey() });
    if (outcome.kind !== "done") return this.say(outcome);
    this.#know(outcome.body);
    this.model.learn([outcome.body]);
    this.draw();
    return outcome.body;
  }

  async closeTable(table, finish) {
    const outcome = await this.account.settle({ method: "POST", path: `${API}/sessions/${table.code}/close`, body: { finish }, key: newKey() });
    return outcome.kind === "done" ? outcome.body : this.say(outcome);
  }

  async renewCode(table) {
    const outcome = await this.account.settle({ method: "POST", path: `${API}/sessions/${table.code}/code`, key: newKey() });
    if (outcome.kind !== "done") return this.say(outcome);
    this.#known.delete(table.code);
    this.#know(outcome.body);
    this.model.learn([outcome.body]);
    this.draw();
    return outcome.body;
  }

  /** Moves an order; an answer that does not come is asked for again, because the same move twice changes nothing. */
  async move(order, status, reason, more = {}) {
    if (this.moving.value.has(order.id)) return false;
    this.#moving(order.id, status);
    const body = reason ? { status, reason, ...more } : { status, ...more };
    const outcome = await this.account.settle({
      method: "PUT",
      path: `${API}/orders/${order.id}/status`,
      body,
      onUnknown: (missed, tries) => tries === 1 && toast(words(missed), "bad"),
    });
    this.#moving(order.id, null);
    this.look([order]);
    if (outcome.kind === "done") {
      this.learnOrder(outcome.body);
      announce(t("panel.spoken.moved", { number: order.number, status: t(`shared.status.${outcome.body.status}`) }));
      return true;
    }
    this.say(outcome);
    this.loadOrder(order.id);
    return false;
  }

  #moving(id, status) {
    const moving = new Map(this.moving.value);
    if (status) moving.set(id, status);
    else moving.delete(id);
    this.moving.set(moving);
  }

  /** Reads one order as the account sees it; what comes late does not replace what is newer. */
  async loadOrder(id) {
    const outcome = await this.account.call({ path: `${API}/orders/${id}` });
    if (outcome.kind === "done") this.learnOrder(outcome.body);
    return outcome;
  }

  learnOrder(order) {
    this.model.learnOrder(order);
    this.draw();
  }

  /** Reads since when orders are ready or on their way, which a snapshot does not say. */
  async loadAges() {
    const missing = new Set(this.model.ageless.map((order) => order.id));
    let cursor = null;
    for (let page = 0; missing.size > 0 && page < MAX_PAGES; page += 1) {
      const outcome = await this.account.call({ path: list("/orders", { store_id: this.id, status: "ready,dispatched", limit: PAGE, cursor }) });
      if (outcome.kind !== "done") return;
      for (const order of outcome.body.items) if (missing.delete(order.id)) this.model.learnOrder(order);
      this.draw();
      cursor = outcome.body.next_cursor;
      if (!cursor) return;
    }
  }

  async ordersOf(table, cursor) {
    return this.account.call({ path: list("/orders", { store_id: this.id, session: table.code, limit: 50, cursor }) });
  }

  history(order) {
    return Promise.all([this.account.call({ path: `${API}/orders/${order.id}/events` }), this.account.call({ path: `${API}/orders/${order.id}/handoffs` })]);
  }

  async retryHandoff(handoff) {
    const outcome = await this.account.settle({ method: "POST", path: `${API}/handoffs/${handoff.id}/retry`, key: newKey() });
    return outcome.kind === "done" ? outcome.body : this.say(outcome);
  }

  async pause(paused) {
    const outcome = await this.account.settle({ method: "PATCH", path: `${API}/stores/${this.id}`, body: { paused }, key: newKey() });
    if (outcome.kind !== "done") return this.say(outcome);
    this.store.set(outcome.body);
    this.model.paused = outcome.body.paused;
    this.model.version += 1;
    this.draw();
    return outcome.body;
  }

  async loadStore() {
    const outcome = await this.#latest("store", { path: `${API}/stores/${this.id}` });
    if (outcome?.kind === "done") this.store.set(outcome.body);
  }

  /** Reads if the store is open, until when, and how busy it is. */
  async loadOpening() {
    const outcome = await this.#latest("opening", { path: `${API}/stores/${this.id}/opening` });
    if (outcome?.kind !== "done") return;
    this.opening.set(outcome.body);
    this.#clock.follow(outcome);
  }

  /** Asks, and returns null if the same was asked again meanwhile: that answer is newer. */
  async #latest(what, request) {
    const asked = (this.#asked.get(what) ?? 0) + 1;
    this.#asked.set(what, asked);
    const outcome = await this.account.call(request);
    return this.#asked.get(what) === asked ? outcome : null;
  }

  setBusy(adds_minutes) {
    return this.#open("busy", { adds_minutes, paused_until: null });
  }

  /** Opens or closes by hand for so many minutes; null is by the hours again. */
  openByHand(open, minutes) {
    const until = minutes ? new Date(Date.now() + minutes * 60_000).toISOString() : null;
    return this.#open("opening", { open, until });
  }

  async #open(what, body) {
    const outcome = await this.account.settle({ method: "PUT", path: `${API}/stores/${this.id}/${what}`, body });
    if (outcome.kind !== "done") return this.say(outcome);
    await this.loadOpening();
    return outcome.body;
  }

  /** Says when an order will be ready; also accepts it if nobody has. */
  async setReady(order, at) {
    const ready_at = new Date(at).toISOString();
    if (COLUMN[order.status] === "new") return this.move(order, "accepted", null, { ready_at });
    const outcome = await this.account.settle({ method: "PUT", path: `${API}/orders/${order.id}/ready-time`, body: { ready_at } });
    if (outcome.kind !== "done") return this.say(outcome);
    this.learnOrder(outcome.body);
    return true;
  }

  async loadProducts() {
    const items = [];
    let cursor = null;
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const outcome = await this.account.call({ path: list("/products", { store_id: this.id, limit: PAGE, cursor }) });
      if (outcome.kind !== "done") return this.say(outcome);
      items.push(...outcome.body.items);
      cursor = outcome.body.next_cursor;
      if (!cursor) break;
    }
    this.products.set(items);
    return items;
  }

  /** Takes a product off sale, until a time if one is given, or offers it again. */
  async sell(product, available, until = null) {
    const body = until ? { available, until: new Date(until).toISOString() } : { available };
    const outcome = await this.account.settle({ method: "PATCH", path: `${API}/products/${product.id}`, body, key: newKey() });
    return outcome.kind === "done" ? this.#product(outcome.body) : this.say(outcome);
  }

  async stock(product, delta) {
    const body = { delta, reason: delta > 0 ? "delivery" : "correction" };
    const outcome = await this.account.settle({ method: "POST", path: `${API}/products/${product.id}/stock`, body, key: newKey() });
    return outcome.kind === "done" ? this.#product(outcome.body) : this.say(outcome);
  }

  #product(product) {
    this.products.set((list) => list?.map((one) => (one.id === product.id ? product : one)) ?? null);
    return product;
  }

  #productTold({ product_id: id, available, available_from = null }) {
    this.products.set((list) => list?.map((one) => (one.id === id ? { ...one, available, available_from } : one)) ?? null);
  }

  /** Says why something did not happen; returns null. */
  say(outcome) {
    toast(words(outcome), "bad");
    return null;
  }
}

/** Returns the path of a list; parameters without a value are left out. */
export function list(path, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return `${API}${path}?${new URLSearchParams(given)}`;
}

function readSeen(key) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? [];
  } catch {
    return [];
  }
}

function keepSeen(key, seen) {
  try {
    localStorage.setItem(key, JSON.stringify([...seen].slice(-1000)));
  } catch {
    // Without storage, orders count as new again after a reload.
  }
}
