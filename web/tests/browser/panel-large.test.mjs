// The panel of a very large house: 200 open tables and 2000 open orders; and the panel's weight.

import assert from "node:assert/strict";

import { scene, until } from "./harness.mjs";

const TABLES = 200;
const ORDERS = 2000;
const AT_ONCE = 40;
/** What the panel may weigh over the wire, uncompressed; the API's answers are not counted. */
const MAX_BYTES = 250_000;

async function inTurns(count, action) {
  let next = 0;
  const worker = async () => {
    while (next < count) await action(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** Counts from now on how often each component is rendered, by its name, in `window.rendered`. */
const countRenders = (page) =>
  page.evaluate(async () => {
    const { options } = await import("/vendor/preact.js");
    const before = options.__r; // Preact's own hook before a component is rendered
    window.rendered = {};
    options.__r = (vnode) => {
      window.rendered[vnode.type.name] = (window.rendered[vnode.type.name] ?? 0) + 1;
      before?.(vnode);
    };
  });

/** Clicks; returns the milliseconds to the second picture after it, and what was rendered before the browser could draw. */
const reaction = (page, selector) =>
  page.evaluate(
    (selector) =>
      new Promise((resolve) => {
        window.rendered = {};
        const began = performance.now();
        document.querySelector(selector).click();
        // Preact renders in a microtask: no timer runs before this one ends.
        const chain = (left) => (left === 0 ? (window.first = { ...window.rendered }) : queueMicrotask(() => chain(left - 1)));
        chain(50);
        requestAnimationFrame(() => requestAnimationFrame(() => resolve({ ms: Math.round(performance.now() - began), first: window.first })));
      }),
    selector,
  );

/** Does something and waits until it is seen; returns what was rendered meanwhile. */
async function rendering(page, action, seen) {
  await page.evaluate(() => (window.rendered = {}));
  await action();
  await seen();
  return page.evaluate(() => window.rendered);
}

scene("with 200 open tables and 2000 orders the panel shows a bounded part and stays usable", async ({ server, open }) => {
  const { store, products, session } = await server.table("Table 0", { store: { auto_accept: false, accept_within_s: 86_400 } });
  const staff = await server.account("steffi", "staff", [store.id]);
  const codes = [session.code];
  await inTurns(TABLES - 1, async (at) => {
    const made = await server.ask("POST", "/sessions", { store_id: store.id, name: `Table ${at + 1}` }, staff);
    codes.push(made.code);
  });
  const items = [{ product_id: products.Espresso.id, note: "hot" }];
  await inTurns(ORDERS, (at) => server.ask("POST", "/orders", at % 4 === 3 ? { store_id: store.id, fulfilment: "pickup", items } : { session: codes[at % TABLES], items }, staff));

  const page = await open("/panel", { wide: true });
  await page.locator("input[autocomplete=username]").fill("steffi");
  await page.locator("input[type=password]").fill(server.password);
  await page.locator(".sign-in button.primary").click();
  await page.locator(".line-badge[data-phase=live]").waitFor();
  await until("all tables are there", async () => (await page.locator(".open-tables .row").count()) === TABLES);
  // A snapshot has at most 1000 orders and says so; the rest comes into view as others end.
  await page.getByText("more open orders than fit").waitFor();
  await countRenders(page);
  const took = {};
  // A tap is answered by a few rows; the others follow when the browser has drawn them.
  const tap = async (name, selector, component, most) => {
    const { ms, first } = await reaction(page, selector);
    took[name] = ms;
    assert.ok(first[component] > 0 && first[component] <= most, `${name}: ${first[component]} of ${component} at once`);
  };
  await tap("a table", ".open-tables .row", "OrderCard", 8);
  await page.locator("dialog[open] .order-card").first().waitFor();
  assert.ok((await page.locator("dialog[open] .order-card").count()) <= 50);
  await page.keyboard.press("Escape");
  await tap("pickup and delivery", ".view:nth-child(2)", "OrderCard", 8);
  await until("all cards have come", async () => (await page.locator(".cards .order-card").count()) === 40);
  await tap("kitchen", ".view:nth-child(3)", "Ticket", 18);
  await until("all tickets have come", async () => (await page.locator("[data-lane=new] .ticket").count()) === 30);
  assert.ok((await page.locator(".ticket").count()) <= 90, "a wall shows no more tickets than people can read");
  await page.evaluate(() => (window.rendered = {}));
  took.step = (await reaction(page, ".ticket .button.primary")).ms;
  await page.locator("[data-lane=making] .ticket").first().waitFor();
  const { items: newest } = await server.ask("GET", `/orders?store_id=${store.id}&status=pending&limit=100`);
  const pending = newest.filter((order) => order.session);
  const accept = (order) => server.ask("PUT", `/orders/${order.id}/status`, { status: "accepted" }, staff);
  const lane = page.locator("[data-lane=making] .ticket");
  const inKitchen = await rendering(page, () => accept(pending[0]), () => until("the ticket has moved", async () => (await lane.count()) === 2));
  assert.ok(inKitchen.Ticket <= 6, `one event renders ${inKitchen.Ticket} tickets`);
  await tap("tables", ".view:nth-child(1)", "Row", 60);
  await until("all tables are there again", async () => (await page.locator(".open-tables .row").count()) === TABLES);
  const named = ({ session: { name } }) => page.locator(".open-tables .row").filter({ has: page.getByText(name, { exact: true }) });
  const before = await named(pending[1]).textContent();
  const inTables = await rendering(page, () => accept(pending[1]), () => until("its row says so", async () => (await named(pending[1]).textContent()) !== before));
  assert.ok(inTables.Row <= 6, `one event renders ${inTables.Row} rows`);
  // A burst of events while somebody works.
  const burst = inTurns(50, (at) => accept(pending[at + 2]));
  took["a table during a burst"] = (await reaction(page, ".open-tables .row")).ms;
  await burst;
  await page.locator("dialog[open] .order-card").first().waitFor();
  console.log(`reactions in ms: ${JSON.stringify(took)}`);
  const bytes = await page.evaluate(() => {
    const files = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
    return files.filter(({ name }) => !new URL(name).pathname.startsWith("/api/")).reduce((sum, { transferSize }) => sum + transferSize, 0);
  });
  assert.ok(bytes > 0 && bytes <= MAX_BYTES, `the panel weighs ${bytes} bytes`);
  console.log(`the panel weighs ${bytes} bytes`);
  assert.deepEqual(page.errors, []);
});
