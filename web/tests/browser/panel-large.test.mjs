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

/** Milliseconds from a click to the second picture after it. */
const reaction = (page, selector) =>
  page.evaluate(
    (selector) =>
      new Promise((resolve) => {
        const began = performance.now();
        document.querySelector(selector).click();
        requestAnimationFrame(() => requestAnimationFrame(() => resolve(Math.round(performance.now() - began))));
      }),
    selector,
  );

scene("with 200 open tables and 2000 orders the panel shows a bounded part and stays usable", async ({ server, open }) => {
  const { store, products, session } = await server.table("Table 0", { store: { auto_accept: false, accept_within_s: 86_400 } });
  const staff = await server.account("steffi", "staff", [store.id]);
  const codes = [session.code];
  await inTurns(TABLES - 1, async (at) => {
    const made = await server.ask("POST", "/sessions", { store_id: store.id, name: `Table ${at + 1}` }, staff);
    codes.push(made.code);
  });
  await inTurns(ORDERS, (at) => server.ask("POST", "/orders", { session: codes[at % TABLES], items: [{ product_id: products.Espresso.id, note: "hot" }] }, staff));

  const page = await open("/panel", { wide: true });
  await page.locator("input[autocomplete=username]").fill("steffi");
  await page.locator("input[type=password]").fill(server.password);
  await page.locator(".sign-in button.primary").click();
  await page.locator(".line-badge[data-phase=live]").waitFor();
  await until("all tables are there", async () => (await page.locator(".open-tables .row").count()) === TABLES);
  // A snapshot has at most 1000 orders and says so; the rest comes into view as others end.
  await page.getByText("more open orders than fit").waitFor();
  const times = { table: await reaction(page, ".open-tables .row") };
  await page.locator("dialog[open] .order-card").first().waitFor();
  assert.ok((await page.locator("dialog[open] .order-card").count()) <= 50);
  await page.keyboard.press("Escape");
  times.kitchen = await reaction(page, ".view:nth-child(3)");
  await page.locator(".ticket").first().waitFor();
  assert.ok((await page.locator(".ticket").count()) <= 90, "a wall shows no more tickets than people can read");
  times.step = await reaction(page, ".ticket .button.primary");
  await page.locator("[data-lane=making] .ticket").first().waitFor();
  // A burst of events while somebody works.
  const { items } = await server.ask("GET", `/orders?store_id=${store.id}&status=pending&limit=100`);
  const burst = inTurns(items.length, (at) => server.ask("PUT", `/orders/${items[at].id}/status`, { status: "accepted" }, staff));
  times.during = await reaction(page, ".view:nth-child(1)");
  await burst;
  await page.locator(".open-tables .row").first().waitFor();
  console.log(`reactions in ms: ${JSON.stringify(times)}`);
  const bytes = await page.evaluate(() => {
    const files = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
    return files.filter(({ name }) => !new URL(name).pathname.startsWith("/api/")).reduce((sum, { transferSize }) => sum + transferSize, 0);
  });
  assert.ok(bytes > 0 && bytes <= MAX_BYTES, `the panel weighs ${bytes} bytes`);
  console.log(`the panel weighs ${bytes} bytes`);
  assert.deepEqual(page.errors, []);
});
