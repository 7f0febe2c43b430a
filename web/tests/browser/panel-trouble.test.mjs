// The order panel through what goes wrong in a service, and what changes while it is not looking.

import assert from "node:assert/strict";

import { fits, picture, scene, until } from "./harness.mjs";

const BY_HAND = { store: { auto_accept: false } };
const live = (page) => page.locator(".line-badge[data-phase=live]").waitFor();
const row = (page, name) => page.locator(".open-tables .row", { hasText: name });
const tool = (page, words) => page.locator(".top-tools .tool", { hasText: words });
const guestOrder = (server, session, product) =>
  server.ask("POST", `/sessions/${session.code}/orders`, { items: [{ product_id: product.id }] }, null, { "expediter-guest": "ab".repeat(16) });

async function signIn(page, server) {
  await page.locator("input[autocomplete=username]").fill("steffi");
  await page.locator("input[type=password]").fill(server.password);
  await page.locator(".sign-in button.primary").click();
  await page.locator(".shell").waitFor();
}

/** A store with a table and a waiter. */
async function house(server) {
  const made = await server.table("Table 1", BY_HAND);
  await server.account("steffi", "staff", [made.store.id]);
  return made;
}

scene("what changes between the page's first answers and its channel's snapshot is seen", async ({ server, open }) => {
  const { store } = await house(server);
  const page = await open("/panel", { wide: true });
  let letGo;
  const held = new Promise((resolve) => (letGo = resolve));
  await page.route("**/api/v1/live-tickets", async (route) => (await held, route.continue()));
  await signIn(page, server);
  await tool(page, "Open").waitFor();
  await page.locator(".top-store h1", { hasText: "Trattoria" }).waitFor();
  // No channel is open, so nobody tells the page of these.
  await server.ask("PUT", `/stores/${store.id}/busy`, { adds_minutes: 20 });
  await server.ask("PATCH", `/stores/${store.id}`, { paused: true, name: "Zum Anker" });
  await tool(page, "Open").waitFor();
  letGo();
  await live(page);
  await tool(page, "Busy: +20 min").waitFor();
  await page.getByText("Paused: guests cannot order").waitFor();
  assert.deepEqual(page.errors, []);
});

scene("the store opens again on the screen when its time has come, without an event", async ({ server, open }) => {
  const { store } = await house(server);
  const opening = await server.ask("GET", `/stores/${store.id}/opening`);
  const closed = Object.fromEntries(Object.entries(opening.fulfilments).map(([name, way]) => [name, { ...way, open: false }]));
  const page = await open("/offline.html", { wide: true });
  await page.clock.install();
  // The server's time, which is half an hour behind the screen's.
  let now = Date.now() - 1_800_000;
  const until = new Date(now + 600_000).toISOString();
  await page.route("**/opening", (route) => {
    const body = now < Date.parse(until) ? { ...opening, by_hand: { open: false, until }, fulfilments: closed } : opening;
    return route.fulfill({ json: body, headers: { date: new Date(now).toUTCString() } });
  });
  await page.goto(`${server.url}/panel`);
  await signIn(page, server);
  await live(page);
  await page.locator(".top-tools .tool[data-tone=bad]").waitFor();
  now += 620_000;
  await page.clock.fastForward(620_000);
  await tool(page, "Open").waitFor();
  assert.deepEqual(page.errors, []);
});

scene("the bell asks once, rings until somebody has looked, and can be muted", async ({ server, open }) => {
  const { session, products } = await house(server);
  const page = await open("/offline.html", { wide: true });
  await page.clock.install();
  const start = async () => {
    await page.goto(`${server.url}/panel`);
    await page.evaluate(() => {
      window.rung = 0;
      const { start } = OscillatorNode.prototype;
      OscillatorNode.prototype.start = function (...at) {
        window.rung += 1;
        return start.apply(this, at);
      };
    });
  };
  const rung = () => page.evaluate(() => window.rung);
  const asks = () => page.getByText("Ring until somebody has looked").count();
  await start();
  await signIn(page, server);
  await live(page);
  await page.getByRole("button", { name: "Yes, ring" }).click();
  await tool(page, "Sound on").waitFor();
  assert.equal(await asks(), 0);
  assert.equal(await rung(), 0, "nothing is new");

  await guestOrder(server, session, products.Espresso);
  await until("it rings", async () => (await rung()) === 4);
  assert.equal(await page.title(), "(1) Order panel");
  await page.clock.runFor(8_000);
  assert.ok((await rung()) >= 8, "and again until somebody looks");
  await row(page, "Table 1").click();
  await page.locator("dialog[open] .order-card").waitFor();
  await until("it counts as looked at", async () => (await page.title()) === "Order panel");
  const looked = await rung();
  await page.clock.runFor(30_000);
  assert.equal(await rung(), looked, "it is quiet then");
  await page.keyboard.press("Escape");

  // After a reload it does not ask again; it rings as soon as somebody has touched the page.
  await start();
  await live(page);
  assert.equal(await asks(), 0);
  await page.locator("h2").first().click();
  await tool(page, "Sound on").waitFor();
  await page.keyboard.press("m");
  await tool(page, "Sound off").waitFor();
  await guestOrder(server, session, products.Espresso);
  await row(page, "Table 1").locator(".count").waitFor();
  await page.clock.runFor(30_000);
  assert.equal(await rung(), 0, "muted");
  await start();
  await live(page);
  assert.equal(await asks(), 0);
  await page.locator("h2").first().click();
  await tool(page, "Sound off").waitFor();
  assert.deepEqual(page.errors, []);
});

scene("too many requests are told with the time to wait, and the step is made by itself then", async ({ server, open }) => {
  const { session, products } = await house(server);
  const page = await open("/panel", { wide: true });
  // Somebody has tried too many passwords.
  await page.route("**/api/v1/token", (route) => route.fulfill({ status: 429, headers: { "retry-after": "840" }, contentType: "application/problem+json", body: JSON.stringify({ reason: "rate_limited" }) }));
  await page.locator("input[autocomplete=username]").fill("steffi");
  await page.locator("input[type=password]").fill(server.password);
  await page.locator(".sign-in button.primary").click();
  await page.getByText("It is possible again in 14 min.").waitFor();
  await page.unroute("**/api/v1/token");
  await page.locator(".sign-in button.primary").click();
  await live(page);
  const order = await guestOrder(server, session, products.Espresso);
  await row(page, "Table 1").click();
  let turnedAway = 0;
  await page.route("**/status", (route) => {
    turnedAway += 1;
    if (turnedAway > 1) return route.continue();
    return route.fulfill({ status: 429, headers: { "retry-after": "2" }, contentType: "application/problem+json", body: JSON.stringify({ reason: "rate_limited" }) });
  });
  const card = page.locator("dialog[open] .order-card");
  await card.getByRole("button", { name: "Accept", exact: true }).click();
  await page.locator(".toast", { hasText: "possible again in 2 sec" }).waitFor();
  await card.locator(".badge[data-status=accepted]").waitFor();
  assert.equal((await server.ask("GET", `/orders/${order.id}`)).status, "accepted");
  assert.equal(turnedAway, 2);
  assert.deepEqual(page.errors, []);
});

scene("a server that is killed is told on both sides, and nothing is lost or doubled when it is back", async ({ server, open }) => {
  const { session, store, products } = await house(server);
  const page = await open("/panel", { wide: true });
  await signIn(page, server);
  await live(page);
  const guest = await open(`/s/${session.code}`);
  await live(guest);
  await guest.getByRole("button", { name: /Espresso/ }).first().click();
  await guest.locator(".guest-add button[type=submit]").click();
  await guest.locator(".guest-foot button").click();
  await server.crash();
  for (const screen of [page, guest]) await screen.getByText(/Not live since/).waitFor();
  await page.getByText("This screen may miss orders").waitFor();
  await row(page, "Table 1").click();
  await page.locator("dialog[open] .banner", { hasText: "This screen may miss orders" }).waitFor();
  await page.keyboard.press("Escape");
  await guest.locator("dialog .button.primary").click();
  await guest.locator("dialog").getByText("We do not know yet").waitFor();
  assert.equal(await guest.locator(".guest-sent-number").count(), 0);
  await server.run();
  // The tab's sign-in outlives it, and so do the table and its code.
  for (const screen of [page, guest]) await live(screen);
  await guest.locator(".guest-sent-number", { hasText: "1" }).waitFor();
  await row(page, "Table 1").locator(".count").waitFor();
  assert.equal((await server.ask("GET", `/orders?store_id=${store.id}`)).items.length, 1);
  await row(page, "Table 1").click();
  await page.locator("dialog[open] .order-card").getByRole("button", { name: "Accept", exact: true }).click();
  await guest.locator("[data-status=accepted]").first().waitFor({ state: "attached" });
  assert.deepEqual([...page.errors, ...guest.errors], []);
});

scene("tokens end and are renewed while the panel stands for hours, and each step works", async ({ server, open }) => {
  const { session, products } = await house(server);
  const page = await open("/offline.html", { wide: true });
  await page.clock.install();
  await page.goto(`${server.url}/panel`);
  await signIn(page, server);
  await live(page);
  let renewed = 0;
  page.on("response", (response) => response.url().endsWith("/token/refresh") && response.ok() && (renewed += 1));
  for (const [button, status] of [["Accept", "accepted"], ["Start", "preparing"], ["Ready", "ready"]]) {
    if (status === "accepted") await guestOrder(server, session, products.Espresso);
    await page.clock.fastForward(6 * 60_000); // longer than an access token counts
    await live(page);
    if (status === "accepted") await row(page, "Table 1").click();
    await page.locator("dialog[open] .order-card").getByRole("button", { name: button, exact: true }).click();
    await page.locator(`dialog[open] .badge[data-status=${status}]`).waitFor();
  }
  assert.ok(renewed >= 3, `${renewed} renewals`);
  assert.equal(await page.locator(".sign-in").count(), 0);
  assert.deepEqual(page.errors, []);
});

scene("an order is promised for a time of the day, and a reload knows since when it is ready", async ({ server, open }) => {
  const { session, products } = await house(server);
  const page = await open("/panel", { wide: true });
  await signIn(page, server);
  await live(page);
  const order = await guestOrder(server, session, products.Espresso);
  await row(page, "Table 1").click();
  const card = page.locator("dialog[open] .order-card");
  const zone = (moment) => new Intl.DateTimeFormat("en-GB", { timeZone: "Europe/Berlin", hour: "2-digit", minute: "2-digit" }).format(moment);
  // A time that has passed is told; nothing is sent.
  await card.locator("input[type=time]").fill(zone(Date.now() - 10 * 60_000));
  await card.getByRole("button", { name: "Set" }).click();
  await card.getByText("This time is over").waitFor();
  assert.equal((await server.ask("GET", `/orders/${order.id}`)).status, "pending");
  const wanted = Math.floor(Date.now() / 60_000 + 37) * 60_000;
  await card.locator("input[type=time]").fill(zone(wanted));
  await page.keyboard.press("Enter");
  await card.locator(".badge[data-status=accepted]").waitFor();
  assert.equal(Date.parse((await server.ask("GET", `/orders/${order.id}`)).ready_at), wanted);
  assert.equal(await card.locator("input[type=time]").inputValue(), zone(wanted));

  await server.ask("PUT", `/orders/${order.id}/status`, { status: "ready" });
  await card.locator(".badge[data-status=ready]").waitFor();
  await page.goto(`${server.url}/panel/kitchen`);
  await live(page);
  const age = page.locator("[data-lane=ready] .ticket .age");
  await until("its age is known", async () => /^\d+:\d\d/.test(await age.textContent()));
  assert.deepEqual(page.errors, []);
});

scene("names and notes with markup, right-to-left text, emoji and 1000 characters neither break nor inject", async ({ server, open }) => {
  const markup = `<img src=x onerror="window.hacked=1"><b>NO NUTS</b>`;
  const rtl = "بدون مكسرات من فضلك שלום";
  const emoji = "👨‍👩‍👧‍👦🌶️🍕";
  const long = (text, length) => [...text.repeat(length)].slice(0, length).join("");
  const euro = { amount: 1_000_000_00, currency: "EUR" };
  const menu = [{ name: `${markup} ${rtl}`, price: euro }, { name: long("W", 200), price: euro }];
  const made = await server.table(long(`${emoji}${rtl} `, 60), { store: { auto_accept: false, name: long(`${rtl} ${markup}`, 150) }, menu });
  const { store, session, products } = made;
  await server.account("steffi", "staff", [store.id]);
  const ids = Object.values(products).map((product) => product.id);
  const items = [{ product_id: ids[0], note: long(`${markup} `, 500), quantity: 99 }, { product_id: ids[1], note: long(`${rtl} `, 500) }];
  await server.ask("POST", `/sessions/${session.code}/orders`, { items, user_note: long(`${emoji} `, 300) }, null, { "expediter-guest": "ab".repeat(16) });
  const customer = { name: `${markup} ${rtl}`, phone: "+49 30 123", address: long(`${rtl}\n`, 200) };
  await server.ask("POST", "/orders", { store_id: store.id, items, fulfilment: "delivery", customer, user_note: long("x", 1000) });
  for (const width of [320, 390, 1920]) {
    const page = await open("/panel", { width, height: 900, wide: width === 1920, dark: width === 390, language: width === 390 ? "de" : "en" });
    await signIn(page, server);
    await live(page);
    for (const [at, part] of [".open-tables .row", ".cards .order-card", ".ticket", ".product"].entries()) {
      await page.locator(".view").nth(at).click();
      await page.locator(part).first().waitFor();
      await fits(page);
      await picture(page, `panel-odd-${at}-${width}`, { whole: true });
    }
    await page.locator(".menu > button").click();
    await page.locator(".menu-inside").waitFor();
    await fits(page);
    await page.keyboard.press("Escape");
    await page.locator(".view").first().click();
    await page.locator(".open-tables .row").first().click();
    await page.locator("dialog[open] .order-card").waitFor();
    await page.locator("dialog[open] .order-more button").first().click();
    await page.locator("dialog[open] .timeline li").first().waitFor();
    const wide = await page.locator("dialog[open]").evaluate((dialog) => dialog.scrollWidth - dialog.clientWidth);
    assert.ok(wide <= 0, `the dialog is ${wide} pixels too wide at ${width}`);
    await picture(page, `panel-odd-table-${width}`);
    assert.equal(await page.evaluate(() => window.hacked), undefined);
    assert.deepEqual(page.errors, []);
    await page.context().close();
  }
});
