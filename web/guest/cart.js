// The guest's cart: survives a reload, and is sent once, however often and however badly it is sent.

import { call, guestKey, newKey, settle } from "../shared/api.js";
import { State } from "../shared/ui.js";

export const QUANTITY_MAX = 99;
export const NOTE_MAX = 300;
const LINES_MAX = 100;
/** Age after which an order of which nobody knows whether it was sent is not sent by itself any more. */
const FORGET_AFTER_MS = 12 * 3_600_000;

const empty = () => ({ lines: [], wantedAt: null, sending: null });

/** Looks products and options of a menu up by their ids. */
export class Prices {
  constructor(menu) {
    this.products = new Map((menu?.items ?? []).map((product) => [product.id, product]));
    this.groups = new Map((menu?.option_groups ?? []).map((group) => [group.id, group]));
    this.options = new Map();
    for (const group of this.groups.values()) {
      for (const option of group.options ?? []) this.options.set(option.id, { ...option, group });
    }
    this.currency = menu?.currency ?? menu?.items?.[0]?.price.currency ?? "EUR";
  }

  groupsOf(product) {
    return (product.option_group_ids ?? []).map((id) => this.groups.get(id)).filter(Boolean);
  }

  /** Returns the price of one piece with its options in minor units, or null if something is not on the menu any more. */
  unit({ product_id, options = [] }) {
    const product = this.products.get(product_id);
    if (!product) return null;
    const chosen = options.map(({ option_id, quantity }) => {
      const option = this.options.get(option_id);
      return option && this.groupsOf(product).some((group) => group.id === option.group.id) ? (option.price?.amount ?? 0) * quantity : NaN;
    });
    const amount = chosen.reduce((sum, price) => sum + price, product.price.amount);
    return Number.isNaN(amount) ? null : amount;
  }

  total(lines) {
    return { amount: lines.reduce((sum, line) => sum + (this.unit(line) ?? 0) * line.quantity, 0), currency: this.currency };
  }

  /** Returns why a line cannot be ordered as it is: `gone`, `sold_out`, `option`, `left`, or null. */
  trouble(line, lines = [line]) {
    const product = this.products.get(line.product_id);
    if (!product || this.unit(line) === null) return "gone";
    if (isSoldOut(product)) return "sold_out";
    if ((line.options ?? []).some(({ option_id }) => this.options.get(option_id)?.available === false)) return "option";
    if (this.groupsOf(product).some((group) => !fitsGroup(group, line.options ?? []))) return "option";
    const wanted = lines.filter((other) => other.product_id === line.product_id).reduce((sum, other) => sum + other.quantity, 0);
    return Number.isInteger(product.stock) && wanted > product.stock ? "left" : null;
  }
}

/** Returns true if the product cannot be ordered now. */
export function isSoldOut(product, now = Date.now()) {
  const later = product.available_from && Date.parse(product.available_from) > now;
  return product.sold_out === true || product.available === false || product.stock === 0 || Boolean(later);
}

/** Returns true if so many options of the group are chosen as it asks for. */
export function fitsGroup(group, options) {
  const ids = new Set((group.options ?? []).map((option) => option.id));
  const count = options.filter(({ option_id }) => ids.has(option_id)).reduce((sum, { quantity }) => sum + quantity, 0);
  return count >= (group.min ?? 0) && count <= (group.max ?? Infinity);
}

/** Returns the options with which a product begins: the defaults, as many as fit. */
export function defaults(groups) {
  return groups.flatMap((group) => {
    const wanted = (group.options ?? []).filter((option) => option.is_default && option.available !== false);
    return wanted.slice(0, group.max ?? wanted.length).map((option) => ({ option_id: option.id, quantity: 1 }));
  });
}

/** The cart of one table's code in this browser. `state` is a State of `{lines, wantedAt, sending}`. */
export class Cart {
  #code;
  #storage;
  #running = null;

  constructor(code, storage = () => localStorage) {
    this.#code = code;
    this.#storage = storage;
    this.state = new State(this.#read());
    /** The outcome of the last sending: `{kind: "sent", order}`, `{kind: "refused", outcome}`, `{kind: "unknown", outcome}` or null. */
    this.outcome = new State(null);
    // Another window of this browser changed it.
    globalThis.addEventListener?.("storage", (event) => event.key === this.#name && this.state.set(this.#read()));
  }

  get #name() {
    return `expediter-cart-${this.#code}`;
  }

  /** Adds pieces; a line with the same product, options and note grows instead. */
  add({ product_id, quantity, note = "", options = [] }) {
    const same = (line) => line.product_id === product_id && line.note === note && sameOptions(line.options, options);
    this.#change((cart) => {
      const known = cart.lines.find(same);
      const grown = (line) => (line === known ? { ...line, quantity: Math.min(QUANTITY_MAX, line.quantity + quantity) } : line);
      if (known) return { ...cart, lines: cart.lines.map(grown) };
      if (cart.lines.length >= LINES_MAX) return cart;
      return { ...cart, lines: [...cart.lines, { id: newKey(), product_id, quantity, note, options }] };
    });
  }

  setQuantity(id, quantity) {
    this.#change((cart) => ({
      ...cart,
      lines: cart.lines.map((line) => (line.id === id ? { ...line, quantity } : line)).filter((line) => line.quantity > 0),
    }));
  }

  setNote(id, note) {
    this.#change((cart) => ({ ...cart, lines: cart.lines.map((line) => (line.id === id ? { ...line, note } : line)) }));
  }

  setWantedAt(wantedAt) {
    this.#change((cart) => ({ ...cart, wantedAt }));
  }

  /**
   * Sends the cart, and continues a sending that a reload broke off. The key is stored before the first try, so that
   * no second tap and no reload makes a second order. Resolves when the outcome is known.
   */
  send(prices) {
    this.#running ??= this.#settle(prices).finally(() => (this.#running = null));
    return this.#running;
  }

  /** Returns true if an order was being sent when the page was left. */
  get isSending() {
    return this.state.value.sending !== null;
  }

  async #settle(prices) {
    if (!this.isSending) {
      const { lines, wantedAt } = this.state.value;
      if (lines.length === 0) return;
      const body = { items: lines.map(item), expected_total: prices.total(lines) };
      if (wantedAt) body.wanted_at = wantedAt;
      this.#keep({ ...this.state.value, sending: { key: newKey(), body, since: Date.now() } });
    }
    const { key, body } = this.state.value.sending;
    this.outcome.set(null);
    const outcome = await settle({
      method: "POST",
      path: `/api/v1/sessions/${encodeURIComponent(this.#code)}/orders`,
      headers: { "expediter-guest": guestKey() },
      body,
      key,
      onUnknown: (unknown) => this.outcome.set({ kind: "unknown", outcome: unknown }),
    });
    // Another window may have heard the answer first, and may be at the next order already.
    if (this.state.value.sending?.key === key) {
      this.#keep(outcome.kind === "done" ? empty() : { ...this.state.value, sending: null });
    }
    this.outcome.set(outcome.kind === "done" ? { kind: "sent", order: outcome.body } : { kind: "refused", outcome });
  }

  /** Changes the cart, unless it is being sent. */
  #change(change) {
    if (!this.isSending) this.#keep(change(this.state.value));
  }

  #keep(cart) {
    this.state.set(cart);
    try {
      this.#storage().setItem(this.#name, JSON.stringify(cart));
    } catch {
      // Without storage the cart lasts as long as the page is open.
    }
  }

  #read() {
    try {
      const kept = { ...empty(), ...JSON.parse(this.#storage().getItem(this.#name) ?? "{}") };
      if (!Array.isArray(kept.lines)) return empty();
      if (kept.sending && Date.now() - kept.sending.since > FORGET_AFTER_MS) return empty();
      return kept;
    } catch {
      return empty();
    }
  }
}

/** Cancels a guest's order until the outcome is known. */
export function cancelOrder(code, id, onUnknown) {
  const path = `/api/v1/sessions/${encodeURIComponent(code)}/orders/${encodeURIComponent(id)}/cancel`;
  return settle({ method: "POST", path, headers: { "expediter-guest": guestKey() }, key: newKey(), onUnknown });
}

export const readMenu = (code, etag) => call({ path: `/api/v1/sessions/${encodeURIComponent(code)}/menu`, etag });
export const readOpening = (code) => call({ path: `/api/v1/sessions/${encodeURIComponent(code)}/opening` });

export function readSlots(code, from, to) {
  const query = new URLSearchParams({ fulfilment: "table", from, to });
  return call({ path: `/api/v1/sessions/${encodeURIComponent(code)}/slots?${query}` });
}

function item({ product_id, quantity, note, options }) {
  const asked = { product_id, quantity };
  if (note.trim() !== "") asked.note = note.trim();
  if (options.length > 0) asked.options = options;
  return asked;
}

function sameOptions(some, others) {
  const told = (options) => JSON.stringify([...options].map(({ option_id, quantity }) => [option_id, quantity]).sort());
  return told(some) === told(others);
}
