// The demonstration in a browser: what a newcomer sees first, in both languages and themes.

import assert from "node:assert/strict";

import { accessible, fits, picture, quiet, scene, until } from "./harness.mjs";

scene("a newcomer orders, breaks the kitchen, and reads each step in their language", async ({ open }) => {
  for (const [language, says] of [["en", { fine: "Fine again", down: "Kitchen down", order: "Order 1", failed: "attempt 2/5", placed: "placed" }], ["de", { fine: "Wieder gut", down: "Küche weg", order: "Bestellung", failed: "Versuch 2/5", placed: "aufgegeben" }]]) {
    const dark = language === "de";
    const page = await open("/", { language, dark, wide: true, width: 1400 });
    await page.waitForURL("**/demo");
    await page.locator("[data-live=true]").waitFor({ state: "attached" });
    await page.locator(".mode", { hasText: says.fine }).first().click();
    await page.locator(".dish").first().click();
    await page.locator("#order-answer", { hasText: says.placed }).waitFor();
    await page.locator(".card h3", { hasText: says.order }).first().waitFor();
    await page.locator(".card .step.current", { hasText: /ready|fertig/ }).first().waitFor();
    await page.locator(".mode", { hasText: says.down }).first().click();
    await page.locator(".dish").first().click();
    await page.locator(".handoff .next", { hasText: says.failed }).first().waitFor();
    await accessible(page, `the demonstration ${language}`);
    await fits(page);
    await picture(page, `demo-${language}`);
    assert.deepEqual(page.errors, []);
    await page.locator(".mode", { hasText: says.fine }).first().click();
    const phone = await open("/demo", { language, dark });
    await phone.locator(".card").first().waitFor();
    await fits(phone);
    await accessible(phone, `the demonstration on a phone ${language}`);
    await picture(phone, `demo-phone-${language}`, { whole: true });
    await phone.locator("#language select").selectOption(language === "en" ? "de" : "en");
    await phone.getByRole("heading", { name: language === "en" ? "In der Küche" : "In the kitchen" }).waitFor();
    assert.deepEqual(phone.errors, []);
    await page.context().close();
    await phone.context().close();
  }
}, { demo: true });

/** Opens the demonstration, live and with its menu. */
async function demonstration(open, options = {}) {
  const page = await open("/demo", options);
  await page.locator("body[data-live=true] .dish").first().waitFor({ state: "attached" });
  await quiet(page);
  return page;
}

const cards = (page) => page.locator(".card").count();

/** Orders once more, and waits for its card: what was ordered before it is there by then. */
async function orderOnceMore(page, number) {
  await page.locator(".dish").nth(1).click();
  await page.locator(".card h3", { hasText: `Order ${number}` }).first().waitFor();
}

scene("a double tap and a key that is held order once, and another tap orders again", async ({ open }) => {
  const page = await demonstration(open);
  const dish = page.locator(".dish").first();
  await dish.click();
  await page.locator(".card h3", { hasText: "Order 1" }).waitFor();
  // The second click of a double click, although the first one has its answer.
  await page.mouse.down({ clickCount: 2 });
  await page.mouse.up({ clickCount: 2 });
  await orderOnceMore(page, 2);
  assert.equal(await cards(page), 2);

  // Both while there is no answer.
  await dish.dblclick();
  await page.locator(".card h3", { hasText: "Order 3" }).waitFor();
  await orderOnceMore(page, 4);
  assert.equal(await cards(page), 4);

  await dish.focus();
  for (let times = 0; times < 5; times += 1) await page.keyboard.down("Enter");
  await page.keyboard.up("Enter");
  await page.locator(".card h3", { hasText: "Order 5" }).waitFor();
  await orderOnceMore(page, 6);
  assert.equal(await cards(page), 6);
  assert.deepEqual(page.errors, []);
}, { demo: true });

scene("an order whose answer was lost is not called refused, and is asked for again under its key", async ({ server, open }) => {
  const page = await demonstration(open);
  const keys = [];
  page.on("request", (request) => request.method() === "POST" && keys.push(request.headers()["idempotency-key"]));
  server.line.swallowAnswers();
  await page.locator(".dish").first().click();
  const answer = page.locator("#order-answer");
  await answer.filter({ hasText: "We do not know yet" }).waitFor();
  server.line.mend();
  await answer.filter({ hasText: "order 1 placed" }).waitFor();
  assert.ok(keys.length > 1 && new Set(keys).size === 1, `one key: ${keys}`);
  await orderOnceMore(page, 2);
  assert.equal(await cards(page), 2);
}, { demo: true });

scene("the demonstration says at once that it is not live, and soon when its line is only silent", async ({ server, open }) => {
  const page = await demonstration(open);
  const live = () => page.evaluate(() => document.body.dataset.live);
  await page.context().setOffline(true);
  await until("the page knows that the network is off", async () => (await live()) === "false", 5_000);
  await page.context().setOffline(false);
  await until("the page is live again", async () => (await live()) === "true");
  server.line.freeze();
  await until("the page doubts the silent line", async () => (await live()) === "false", 20_000);
  server.line.mend();
  await until("the page is live after all", async () => (await live()) === "true");
}, { demo: true });
