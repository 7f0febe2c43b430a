// What the board counts, reads and sends, without a browser.

import assert from "node:assert/strict";
import { test } from "node:test";

import { dayAt, said } from "../board/audit.js";
import { roundTop } from "../board/chart.js";
import { changes, statusMap } from "../board/integrator-form.js";
import { priceOf } from "../board/menu-product.js";
import { faultOf, isOwn } from "../board/picture.js";
import { path, read } from "../board/poll.js";
import { everywhere, storeOf } from "../board/scope.js";
import { lastHours, waiting } from "../board/today.js";
import { listed, translations } from "../board/translations.js";

const NOON = Date.parse("2026-11-29T12:00:00Z");
const at = (minutes) => new Date(NOON + minutes * 60_000).toISOString();

test("a scale ends at a round number above the largest value, and its half is whole", () => {
  for (const [largest, top] of [[0, 2], [1, 2], [2, 2], [3, 4], [7, 8], [13, 16], [20, 20], [21, 40], [101, 120], [999, 1000], [1_000_001, 1_200_000]]) {
    assert.equal(roundTop(largest), top, String(largest));
    assert.ok(Number.isInteger(roundTop(largest) / 2));
  }
});

test("a change is told in a few letters, and a secret by its name only", () => {
  assert.equal(said("accept_within_s", { from: 600, to: 300 }), "accept within s: 600 → 300");
  assert.equal(said("name", { from: null, to: "Table 1" }), "name: Table 1");
  assert.equal(said("reference", { from: "A1", to: null }), "reference: A1 → ");
  assert.equal(said("disabled", { from: false, to: true }), "disabled: false → true");
  assert.equal(said("signing_secret", null), "signing_secret");
  assert.equal(said("stock", { delta: 5, reason: "delivered", to: 9 }), "stock: {\"delta\":5,\"reason\":\"delivered\",\"to\":9}");
  assert.equal(said("by", "phone"), "by: phone");
  assert.equal(said("events", { from: [], to: "x".repeat(200) }).length, "events: ".length + 81);
});

test("a day that is still being typed is no time", () => {
  assert.equal(dayAt("2026-11-30"), new Date(2026, 10, 30).toISOString());
  assert.equal(dayAt("2026-02-28", 1), new Date(2026, 2, 1).toISOString());
  for (const day of ["", "2026-13-01", "0000-01-01", "123456-01-01", "275760-09-13"]) assert.equal(dayAt(day, 1), "", day);
});

test("the last hours begin later if older orders were not read", () => {
  const items = [{ placed_at: at(-1) }, { placed_at: at(-20) }, { placed_at: at(-100) }];
  assert.equal(lastHours({ items, isCut: false }, [4, 15], NOON).length, 16);
  const cut = lastHours({ items, isCut: true }, [4, 15], NOON);
  assert.equal(cut[0].at, NOON - 90 * 60_000, "the quarter in which the oldest came may lack others");
  assert.equal(cut.reduce((sum, bin) => sum + bin.placed, 0), 2);
  assert.equal(lastHours({ items: [], isCut: true }, [24, 60], NOON).length, 24);
});

test("those wait to be accepted whose time has come, the oldest first", () => {
  const order = (id, status, placed_at, hand_over_at = null) => ({ id, status, placed_at, hand_over_at });
  const orders = [order(1, "pending", at(-1)), order(2, "accepted", at(-9)), order(3, "processing", at(-5)), order(4, "pending", at(-8), at(30)), order(5, "pending", at(-70), at(-2))];
  assert.deepEqual(waiting(orders, NOON).map(({ id }) => id), [5, 3, 1]);
});

test("several lists are read as one, page by page, each item once, and a trouble ends it", async () => {
  const pages = { "/a?limit=2": { items: [{ id: 1 }, { id: 2 }], next_cursor: "x&y" }, "/a?limit=2&cursor=x%26y": { items: [{ id: 3 }], next_cursor: null }, "/b?limit=2": { items: [{ id: 2 }, { id: 4 }], next_cursor: "z" }, "/order": { id: 9, items: [{ id: 1 }] } };
  const account = { call: async ({ path: asked }) => (pages[asked.slice("/api/v1".length)] ? { kind: "done", body: pages[asked.slice("/api/v1".length)] } : { kind: "refused", status: 404 }) };
  const both = await read(account, ["/a?limit=2", "/b?limit=2"], 2);
  assert.equal(both.kind, "refused", "the second list's second page is not there");
  const first = await read(account, ["/a?limit=2", "/b?limit=2"], 1);
  assert.deepEqual([first.body.items.map(({ id }) => id), first.body.isCut], [[1, 2, 4], true]);
  assert.deepEqual((await read(account, "/a?limit=2", 9)).body, { items: [{ id: 1 }, { id: 2 }, { id: 3 }], isCut: false });
  assert.equal((await read(account, "/order", 9)).body.id, 9, "an order has items, but is no list");
});

test("a path has only what is given", () => {
  assert.equal(path("/stuck", { store_id: null, limit: 100, state: "", q: "a&b" }), "/stuck?limit=100&q=a%26b");
  assert.equal(path("/stats", { store_id: null }), "/stats");
});

test("an entry's store is its own, and what the board looks at if it has none", () => {
  const all = everywhere([{ id: "a", name: "A" }]);
  assert.equal(storeOf(all, "a").name, "A");
  assert.equal(storeOf(all, null), all);
  assert.equal(storeOf({ id: "b" }, "gone").id, "b");
});

test("translations lose what is empty, and keep what the form does not know", () => {
  assert.deepEqual(translations([{ tag: "de", name: " Kaffee ", description: "" }, { tag: "fr", name: " ", description: "" }, { tag: "", name: "x", description: "" }]), { de: { name: "Kaffee" } });
  const kept = { "pt-BR": { name: "Café", description: null }, tlh: { name: "qaHwa", description: "qay" } };
  assert.deepEqual(translations(listed(kept)), { "pt-BR": { name: "Café" }, tlh: { name: "qaHwa", description: "qay" } });
  assert.deepEqual(listed(undefined), []);
});

test("words of a system are read line by line", () => {
  assert.deepEqual(statusMap("done = ready\n\n in work=preparing "), { done: "ready", "in work": "preparing" });
  assert.deepEqual(statusMap(""), {});
  for (const wrong of ["done", "= ready", "done = eaten", "a = ready = b"]) assert.equal(statusMap(wrong), null, wrong);
});

test("an edit of a system sends only what differs", () => {
  const before = { name: "Till", url: "https://a.example", events: ["order.placed"], rate_per_s: 5, status_map: {} };
  assert.deepEqual(changes(before, { ...before, events: ["order.placed"], rate_per_s: null }), { rate_per_s: null });
});

test("guests see uploaded pictures only, and only those are taken", () => {
  assert.ok(isOwn("/api/v1/images/01a2"));
  for (const url of ["https://elsewhere.example/a.png", "https://elsewhere.example/api/v1/images/1", "//elsewhere.example/a.png"]) assert.ok(!isOwn(url), url);
  assert.equal(faultOf(null), null);
  assert.equal(faultOf({ type: "image/webp", size: 10 }), null);
  assert.equal(faultOf({ type: "image/gif", size: 10 }), "board.menu.picture.type");
  assert.equal(faultOf({ type: "image/png", size: 2 ** 20 + 1 }), "board.menu.picture.large");
});

test("a price is read as people write it, in either language", () => {
  for (const [text, amount] of [["2,50", 250], ["2.5", 250], [" 12 ", 1200], ["-0,50", -50], ["2.505", null], ["1.000,00", null], ["", null]]) assert.equal(priceOf(text, "EUR"), amount, text);
  assert.equal(priceOf("150", "JPY"), 150);
  assert.equal(priceOf("1.5", "JPY"), null);
});
