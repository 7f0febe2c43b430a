// Tests of calls with three outcomes, and of the cart that is sent once.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { call, settle, words } from "../shared/api.js";
import { setLanguage } from "../shared/messages.js";
import { Cart, defaults, fitsGroup, isSoldOut, Prices } from "../guest/cart.js";
import { sections, taking } from "../guest/table.js";

globalThis.document ??= { documentElement: {} };
setLanguage("en");

const answer = (status, body, headers = {}) => new Response(body === undefined ? null : JSON.stringify(body), { status, headers });
const gone = () => Promise.reject(new TypeError("no network"));
const pause = async () => {};

/** Answers one request after the other, and keeps them. */
function server(...answers) {
  const requests = [];
  const send = async (path, request) => {
    requests.push({ path, ...request });
    const next = answers.length > 1 ? answers.shift() : answers[0];
    return typeof next === "function" ? next() : next.clone();
  };
  return { send, requests };
}

test("a call is done, refused or unknown, and nothing else", async () => {
  const outcome = async (next) => (await call({ path: "/x", send: server(next).send })).kind;
  assert.equal(await outcome(answer(200, {})), "done");
  assert.equal(await outcome(answer(204)), "done");
  assert.equal(await outcome(answer(409, { reason: "store_paused" })), "refused");
  assert.equal(await outcome(answer(429, {})), "refused");
  assert.equal(await outcome(answer(500, {})), "unknown");
  assert.equal(await outcome(answer(503, { reason: "database_unavailable" })), "unknown");
  assert.equal(await outcome(answer(503, { reason: "overloaded" })), "refused");
  assert.equal(await outcome(gone), "unknown");
  assert.equal(await outcome(() => new Response("<html>a captive portal</html>", { status: 200 })), "unknown");
});

test("an answer that does not come in time is unknown", async () => {
  const never = (_, { signal }) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("aborted"))));
  const outcome = await call({ path: "/x", timeoutMs: 1, send: never });
  assert.deepEqual([outcome.kind, outcome.why], ["unknown", "timeout"]);
});

test("an unknown outcome is asked for again with the same key, until it is known", async () => {
  const { send, requests } = server(gone, answer(500, {}), answer(429, {}), answer(409, { reason: "idempotency_in_progress" }), answer(201, { number: 7 }));
  const told = [];
  const outcome = await settle({ method: "POST", path: "/x", body: {}, key: "k", send, pause, onUnknown: ({ kind }) => told.push(kind) });
  assert.deepEqual([outcome.kind, outcome.body.number], ["done", 7]);
  assert.deepEqual(requests.map(({ headers }) => headers["idempotency-key"]), ["k", "k", "k", "k", "k"]);
  assert.equal(told.length, 4);
});

test("a refusal is final, and the wait that the server asks for is kept", async () => {
  const waits = [];
  const { send } = server(answer(429, {}, { "retry-after": "7" }), answer(409, { reason: "store_paused" }));
  const outcome = await settle({ path: "/x", send, pause: async (ms) => waits.push(ms) });
  assert.equal(outcome.problem.reason, "store_paused");
  assert.deepEqual(waits, [7000]);
  assert.equal(words(outcome), "The kitchen takes no new orders at the moment.");
});

test("every outcome has words", () => {
  for (const status of [400, 401, 403, 404, 409, 410, 413, 422, 429, 503]) {
    const said = words({ kind: "refused", status, problem: { reason: "never heard of" } });
    assert.ok(said.length > 5 && !said.includes("shared."), said);
  }
  const wait = (retryAfterMs) => words({ kind: "refused", status: 429, problem: { reason: "rate_limited" }, retryAfterMs });
  assert.match(wait(7000), /a moment\. It is possible again in 7 sec\.$/);
  assert.match(wait(900_000), /again in 15 min\.$/);
  assert.match(wait(0), /a moment\.$/);
  for (const why of ["offline", "timeout", "server"]) assert.match(words({ kind: "unknown", why }), /We do not know yet/);
});

const euro = (amount) => ({ amount, currency: "EUR" });
const MENU = {
  currency: "EUR",
  categories: [
    { id: "c2", name: "Empty", product_ids: [] },
    { id: "c1", name: "Pizza", product_ids: ["pizza", "unknown"] },
  ],
  items: [
    { id: "pizza", name: "Pizza", price: euro(900), available: true, stock: null, option_group_ids: ["size", "top"] },
    { id: "cake", name: "Cake", price: euro(400), available: true, stock: 3 },
  ],
  option_groups: [
    { id: "size", name: "Size", min: 1, max: 1, options: [{ id: "s", price: euro(-200), available: true }, { id: "l", price: euro(300), available: true, is_default: true }] },
    { id: "top", name: "Toppings", min: 0, max: 2, options: [{ id: "olives", price: euro(100), available: true }, { id: "capers", price: euro(100), available: false, is_default: true }] },
  ],
};
const line = (product_id, quantity, options = []) => ({ id: product_id, product_id, quantity, note: "", options: options.map((option_id) => ({ option_id, quantity: 1 })) });

test("prices count options, and what cannot be ordered is named", () => {
  const prices = new Prices(MENU);
  assert.equal(prices.unit(line("pizza", 1, ["s", "olives"])), 800);
  assert.deepEqual(prices.total([line("pizza", 2, ["l"]), line("cake", 1)]), euro(2800));
  assert.equal(prices.trouble(line("pizza", 1, ["l"])), null);
  assert.equal(prices.trouble(line("pizza", 1, [])), "option", "a size must be chosen");
  assert.equal(prices.trouble(line("pizza", 1, ["l", "capers"])), "option", "sold out");
  assert.equal(prices.trouble(line("pizza", 1, ["l", "s"])), "option", "two sizes");
  assert.equal(prices.trouble(line("nothing", 1)), "gone");
  assert.equal(prices.trouble(line("cake", 1, ["l"])), "gone", "an option of another product");
  const two = [line("cake", 2), { ...line("cake", 2), id: "other", note: "with cream" }];
  assert.equal(prices.trouble(two[0], two), "left", "of all lines together");
  assert.deepEqual(defaults(MENU.option_groups).map(({ option_id }) => option_id), ["l"]);
  assert.equal(fitsGroup(MENU.option_groups[1], []), true);
});

test("a menu of before categories and options still works", () => {
  const old = { paused: false, items: [{ id: "a", name: "A", price: euro(1), available: true, stock: 0 }] };
  assert.deepEqual(sections(old).map(({ name, products }) => [name, products.length]), [[null, 1]]);
  assert.equal(isSoldOut(old.items[0]), true);
  assert.deepEqual(sections(MENU).map(({ name, products }) => [name, products.length]), [["Pizza", 1], [null, 1]]);
  assert.deepEqual(sections(null), []);
  assert.equal(taking(old, null).open, true);
});

test("a pause by busy mode ends when its time is over", () => {
  const now = Date.parse("2026-06-01T12:00:00Z");
  const opening = { busy: { adds_minutes: 10, paused_until: "2026-06-01T12:05:00Z" }, fulfilments: { table: { open: true } } };
  assert.equal(taking({ paused: false }, opening, now).paused, true);
  assert.deepEqual([taking({ paused: false }, opening, now).atOnce, taking({ paused: false }, opening, now).stopped], [false, false]);
  assert.equal(taking({ paused: true }, opening, now).stopped, true, "by hand: nothing for later either");
  assert.equal(taking({ paused: false }, opening, now + 301_000).paused, false);
  assert.equal(taking({ paused: false }, opening, now + 301_000).addsMinutes, 10);
});

let kept;
const storage = () => ({ getItem: (name) => kept.get(name) ?? null, setItem: (name, value) => kept.set(name, value) });
beforeEach(() => (kept = new Map()));

test("a cart is kept for its table alone, and the same dish with the same wishes is one line", () => {
  const cart = new Cart("a", storage);
  cart.add({ product_id: "pizza", quantity: 1, note: "hot", options: [{ option_id: "l", quantity: 1 }, { option_id: "olives", quantity: 1 }] });
  cart.add({ product_id: "pizza", quantity: 2, note: "hot", options: [{ option_id: "olives", quantity: 1 }, { option_id: "l", quantity: 1 }] });
  cart.add({ product_id: "pizza", quantity: 1, note: "", options: [] });
  assert.deepEqual(new Cart("a", storage).state.value.lines.map(({ quantity }) => quantity), [3, 1]);
  assert.deepEqual(new Cart("b", storage).state.value.lines, []);
});

test("storage with nonsense, or none at all, is an empty cart that works", () => {
  kept.set("expediter-cart-a", "{broken");
  kept.set("expediter-cart-b", '{"lines":7}');
  for (const code of ["a", "b"]) assert.deepEqual(new Cart(code, storage).state.value.lines, []);
  const refused = () => {
    throw new Error("no storage here");
  };
  const cart = new Cart("c", refused);
  cart.add({ product_id: "cake", quantity: 1 });
  assert.equal(cart.state.value.lines.length, 1);
});

test("a cart is sent once however often it is sent, and with the key that was kept", async () => {
  const requests = [];
  globalThis.fetch = async (path, request) => {
    requests.push(request.headers["idempotency-key"]);
    return answer(201, { id: "o", number: 5 });
  };
  const cart = new Cart("a", storage);
  cart.add({ product_id: "cake", quantity: 2 });
  const prices = new Prices(MENU);
  await Promise.all([cart.send(prices), cart.send(prices), cart.send(prices)]);
  assert.equal(requests.length, 1);
  assert.deepEqual([cart.state.value.lines, cart.isSending, cart.outcome.value.order.number], [[], false, 5]);
  await cart.send(prices);
  assert.equal(requests.length, 1, "an empty cart is not sent");

  const sending = { key: "kept", body: { items: [] }, since: Date.now() };
  kept.set("expediter-cart-b", JSON.stringify({ lines: [line("cake", 1)], sending }));
  await new Cart("b", storage).send(null);
  assert.equal(requests.at(-1), "kept");
});

test("a cart that was refused stays, and its next order has another key", async () => {
  const keys = [];
  globalThis.fetch = async (path, request) => {
    keys.push(request.headers["idempotency-key"]);
    return answer(409, { reason: "total_mismatch" });
  };
  const cart = new Cart("a", storage);
  cart.add({ product_id: "cake", quantity: 2 });
  await cart.send(new Prices(MENU));
  assert.equal(cart.outcome.value.kind, "refused");
  assert.equal(cart.state.value.lines.length, 1);
  await cart.send(new Prices(MENU));
  assert.notEqual(keys[0], keys[1]);
});

test("a cart is not changed while it is being sent", async () => {
  let give;
  globalThis.fetch = () => new Promise((resolve) => (give = resolve));
  const cart = new Cart("a", storage);
  cart.add({ product_id: "cake", quantity: 2 });
  const sent = cart.send(new Prices(MENU));
  cart.add({ product_id: "cake", quantity: 5 });
  cart.setQuantity(cart.state.value.lines[0].id, 0);
  assert.deepEqual(cart.state.value.lines.map(({ quantity }) => quantity), [2]);
  give(answer(201, { id: "o", number: 6 }));
  await sent;
  assert.deepEqual(cart.state.value.lines, []);
});
