// Tests of the guest's page in a browser, with a real server behind it.

import assert from "node:assert/strict";

import { accessible, fits, MENU, picture, scene, until } from "./harness.mjs";

/** A store that waits for its staff to accept orders, and a table. */
const byHand = (server, more) => server.table("Table 1", { store: { auto_accept: false }, ...more });
const ordersOf = async (server, session) => (await server.ask("GET", `/sessions/${session.code}/orders`)).items;
const move = (server, order, status) => server.ask("PUT", `/orders/${order.id}/status`, { status });

/** Puts pieces of a dish into the cart. */
async function add(page, name, { note } = {}) {
  await page.getByRole("button", { name: new RegExp(name) }).first().click();
  if (note) await page.getByLabel(/Note for the kitchen|Hinweis für die Küche/).fill(note);
  await page.locator(".guest-add button[type=submit]").click();
  await page.locator("dialog").waitFor({ state: "detached" });
}

const openCart = (page) => page.locator(".guest-foot button").click();
const sendButton = (page) => page.locator("dialog .button.primary");
const isLive = (page) => page.locator(".line-badge[data-phase=live]").waitFor();
const isNotLive = (page) => page.locator('.line-badge[data-phase="waiting"]').waitFor();

scene("a guest orders, sees each step, and cancels while it is possible", async ({ server, open }) => {
  const { session } = await byHand(server);
  const page = await open(`/s/${session.code}`);
  await page.getByRole("heading", { name: "Trattoria Ärger & Söhne" }).waitFor();
  await isLive(page);
  await add(page, "Espresso", { note: "NO NUTS - allergy" });
  await add(page, "Espresso");
  await add(page, "Espresso");
  await openCart(page);
  await page.getByText("€7.50").first().waitFor();
  await sendButton(page).click();
  await page.locator(".guest-sent-number", { hasText: "1" }).waitFor();
  await page.getByRole("button", { name: "Back to the menu" }).click();

  const [order] = await ordersOf(server, session);
  assert.deepEqual(order.items.map(({ quantity, note }) => [quantity, note]), [[1, "NO NUTS - allergy"], [2, null]]);
  await page.locator(".guest-item-note", { hasText: "NO NUTS - allergy" }).waitFor();
  for (const [status, says] of [["accepted", "Accepted"], ["preparing", "Being prepared"], ["ready", "Ready"]]) {
    await move(server, order, status);
    await page.locator(".guest-order .badge", { hasText: says }).waitFor();
    assert.equal(await page.getByRole("button", { name: "Cancel" }).count(), 0, "nobody cancels what is being made");
  }

  await add(page, "Pizza");
  await openCart(page);
  await sendButton(page).click();
  await page.getByRole("button", { name: "Back to the menu" }).click();
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("button", { name: "Cancel the order" }).click();
  await page.locator("dialog").waitFor({ state: "detached" });
  await page.getByText("1 earlier order").waitFor();
  const cancelled = (await ordersOf(server, session)).find(({ number }) => number === 2);
  assert.equal(cancelled.status, "cancelled");
  assert.deepEqual(page.errors, []);
});

scene("what others at the table order is shown as theirs", async ({ server, open }) => {
  const { session } = await byHand(server);
  const [mine, theirs] = [await open(`/s/${session.code}`), await open(`/s/${session.code}`)];
  await isLive(theirs);
  await add(mine, "Tiramisù");
  await openCart(mine);
  await sendButton(mine).click();
  await mine.getByRole("button", { name: "Back to the menu" }).click();
  await mine.getByRole("button", { name: "Cancel" }).waitFor();
  await theirs.getByText("1 order of others").click();
  await theirs.locator(".guest-order", { hasText: "Tiramisù" }).waitFor();
  assert.equal(await theirs.getByRole("button", { name: "Cancel" }).count(), 0, "only their own");
});

scene("a double tap and an answer that is lost make one order, and 'sent' waits for the answer", async ({ server, open }) => {
  const { session } = await byHand(server);
  const page = await open(`/s/${session.code}`);
  await isLive(page);
  await add(page, "Espresso");
  await openCart(page);
  await sendButton(page).dblclick();
  await page.locator(".guest-sent-number").waitFor();
  await page.getByRole("button", { name: "Back to the menu" }).click();
  assert.equal((await ordersOf(server, session)).length, 1);

  await add(page, "Pizza");
  await openCart(page);
  server.line.swallowAnswers();
  await sendButton(page).dblclick();
  await until("the order has arrived", async () => (await ordersOf(server, session)).length === 2);
  await page.locator("dialog").getByText("We do not know yet").waitFor();
  assert.equal(await page.locator(".guest-sent-number").count(), 0);
  await page.getByText("cannot be sent twice").waitFor();

  server.line.mend();
  await page.locator(".guest-sent-number", { hasText: "2" }).waitFor();
  assert.equal((await ordersOf(server, session)).length, 2, "the same key again is the same order");
  assert.equal(await page.evaluate(() => Object.keys(localStorage).filter((key) => localStorage.getItem(key).includes("sending\":{")).length), 0);
});

scene("a double click on the cart opens it and does not send it, although the button to send appears there", async ({ server, open }) => {
  const { session } = await byHand(server);
  const page = await open(`/s/${session.code}`);
  await isLive(page);
  await add(page, "Espresso");
  await openCart(page);
  await sendButton(page).hover();
  await page.mouse.down({ clickCount: 2 });
  await page.mouse.up({ clickCount: 2 });
  await page.keyboard.press("Escape");
  await page.locator(".guest-foot", { hasText: "1 piece" }).waitFor();
  await openCart(page);
  await sendButton(page).click();
  await page.locator(".guest-sent-number").waitFor();
  assert.equal((await ordersOf(server, session)).length, 1);
});

scene("an order that was being sent when the page was left is settled when it is back", async ({ server, open }) => {
  const { session } = await byHand(server);
  const page = await open(`/s/${session.code}`);
  await isLive(page);
  await add(page, "Espresso", { note: "no sugar" });
  await page.reload();
  await page.locator(".guest-foot", { hasText: "1 piece" }).waitFor();
  await openCart(page);
  assert.equal(await page.locator("dialog input[type=text]").inputValue(), "no sugar", "the cart survives a reload");
  server.line.swallowAnswers();
  await sendButton(page).click();
  await until("the order has arrived", async () => (await ordersOf(server, session)).length === 1);
  server.line.mend();
  await page.reload();
  await page.locator(".guest-foot").waitFor({ state: "detached" });
  await page.locator(".guest-order", { hasText: "Order 1" }).waitFor();
  assert.equal((await ordersOf(server, session)).length, 1);
});

scene("no page says live while it is not: cut, frozen, and back", async ({ server, open }) => {
  const { session } = await byHand(server);
  const page = await open(`/s/${session.code}`);
  await isLive(page);
  server.line.cut();
  await isNotLive(page);
  await page.getByText("Not live since").waitFor();
  await add(page, "Espresso");
  await openCart(page);
  await sendButton(page).click();
  await page.locator("dialog").getByText("We do not know yet").waitFor();
  server.line.mend();
  await page.locator(".guest-sent-number").waitFor();
  await page.getByRole("button", { name: "Back to the menu" }).click();
  await isLive(page);

  server.line.freeze();
  await isNotLive(page);
  const [order] = await ordersOf(server, session);
  await move(server, order, "accepted");
  assert.equal(await page.locator(".guest-order .badge", { hasText: "Accepted" }).count(), 0);
  server.line.mend();
  await isLive(page);
  await page.locator(".guest-order .badge", { hasText: "Accepted" }).waitFor();

  await page.context().setOffline(true);
  await isNotLive(page);
  await page.context().setOffline(false);
  await isLive(page);
});

scene("the last piece goes to one of two guests, and the other is told so", async ({ server, open }) => {
  const menu = [...MENU, { name: "Last cake", price: { amount: 400, currency: "EUR" }, stock: 1 }];
  const { session } = await byHand(server, { menu });
  const [one, other] = [await open(`/s/${session.code}`), await open(`/s/${session.code}`)];
  for (const page of [one, other]) {
    await isLive(page);
    await add(page, "Last cake");
    await add(page, "Espresso");
    await openCart(page);
  }
  // Neither page may hear of the other's order before it sends its own.
  await Promise.all([sendButton(one).click(), sendButton(other).click()]);
  const outcome = (page) => Promise.race([
    page.locator(".guest-sent-number").waitFor().then(() => "sent"),
    page.locator("dialog").getByText(/Not ordered|Sold out|No longer/).first().waitFor().then(() => "refused"),
  ]);
  const outcomes = await Promise.all([outcome(one), outcome(other)]);
  assert.deepEqual(outcomes.toSorted(), ["refused", "sent"]);
  assert.equal((await ordersOf(server, session)).length, 1);
  const loser = outcomes[0] === "refused" ? one : other;
  await loser.locator("dialog .guest-cart-line", { hasText: /Sold out|No longer on the menu|Only 0 left/ }).waitFor();
  assert.equal(await sendButton(loser).isDisabled(), true);
  await loser.locator("dialog .guest-cart-line").first().getByRole("button", { name: "One less" }).click();
  await sendButton(loser).click();
  await loser.locator(".guest-sent-number").waitFor();
});

scene("a pause and the closing of the table are told at once, and the cart stays", async ({ server, open }) => {
  const { store, session } = await byHand(server);
  const page = await open(`/s/${session.code}`);
  await isLive(page);
  await add(page, "Espresso");
  await server.ask("PATCH", `/stores/${store.id}`, { paused: true });
  await page.locator("header .banner", { hasText: "takes no new orders" }).waitFor();
  await openCart(page);
  assert.equal(await sendButton(page).isDisabled(), true);
  await accessible(page, "paused, with the cart open");
  await picture(page, "guest-paused");
  await server.ask("PATCH", `/stores/${store.id}`, { paused: false });
  await page.locator("header .banner").waitFor({ state: "detached" });
  await until("it can be sent again", async () => !(await sendButton(page).isDisabled()));

  await server.ask("POST", `/sessions/${session.code}/close`);
  await page.locator("header .banner", { hasText: "This table is closed" }).waitFor();
  assert.equal(await sendButton(page).isDisabled(), true);
  await page.keyboard.press("Escape");
  await picture(page, "guest-closed");
  await accessible(page, "closed");
  const header = await page.locator("header .banner").boundingBox();
  assert.ok(header.width >= 380, "across the page's width");
});

scene("a pause, new hours and a dish that is sold out are told at once, before the page asks", async ({ server, open }) => {
  const { store, products, session } = await byHand(server);
  const page = await open("/offline.html");
  // Without its intervals the page asks for nothing by itself.
  await page.addInitScript(() => {
    const { setInterval } = window;
    window.setInterval = (action, ms, ...rest) => (ms >= 5000 ? 0 : setInterval(action, ms, ...rest));
  });
  await page.goto(`${server.url}/s/${session.code}`);
  await isLive(page);
  await page.getByRole("button", { name: /Espresso/ }).waitFor();
  const told = async (action, seen) => (await action(), await seen.waitFor());
  const banner = (words) => page.locator("header .banner", { hasText: words });
  await told(() => server.ask("PATCH", `/stores/${store.id}`, { paused: true }), banner("takes no new orders"));
  await told(() => server.ask("PATCH", `/stores/${store.id}`, { paused: false }), page.locator("header:not(:has(.banner))"));
  await told(() => server.ask("PUT", `/stores/${store.id}/busy`, { adds_minutes: 25 }), banner("25"));
  await told(() => server.ask("PUT", `/stores/${store.id}/opening`, { open: false, until: null }), banner("closed"));
  const espresso = page.locator(".guest-product", { hasText: "Espresso" });
  await told(() => server.ask("PATCH", `/products/${products.Espresso.id}`, { available: false, until: new Date(Date.now() + 3_600_000).toISOString() }), espresso.locator(".badge", { hasText: "Sold out" }));
  assert.deepEqual(page.errors, []);
});

scene("a code that is not valid, or not any more, is told kindly", async ({ server, open }) => {
  const { session } = await byHand(server);
  const unknown = await open(`/s/${"0".repeat(40)}`);
  await unknown.getByRole("heading", { name: "This code is not valid any more" }).waitFor();
  await accessible(unknown);
  const page = await open(`/s/${session.code}`, { language: "de" });
  await isLive(page);
  await server.ask("POST", `/sessions/${session.code}/code`);
  await page.getByRole("heading", { name: "Dieser Code gilt nicht mehr" }).waitFor();
  assert.equal(await page.locator(".line-badge").count(), 0, "nothing says live");
});

scene("the page is usable in both themes and languages, on a narrow phone and on a desktop", async ({ server, open }) => {
  const { store, products, session } = await byHand(server);
  await server.ask("PATCH", `/products/${products["Pizza Margherita"].id}`, { available: false });
  const looks = [
    ["light-en", {}],
    ["dark-de", { dark: true, language: "de" }],
    ["narrow-de", { width: 320, height: 640, language: "de" }],
    ["narrow-dark-en", { width: 320, height: 640, dark: true }],
    ["wide", { wide: true, width: 1920, height: 1080 }],
  ];
  for (const [name, options] of looks) {
    const page = await open(`/s/${session.code}`, options);
    await isLive(page);
    await page.getByRole("button", { name: /Espresso/ }).waitFor();
    const check = async (part) => {
      await fits(page);
      await accessible(page, `${name}, ${part}`);
      await picture(page, `guest-${name}-${part}`);
    };
    await check("menu");
    await page.getByRole("button", { name: /Espresso/ }).click();
    await check("dish");
    await page.keyboard.press("Escape");
    const focused = await page.evaluate(() => document.activeElement.textContent);
    assert.match(focused, /Espresso/, "the dialog gives the focus back");
    await add(page, "Espresso", { note: "Bitte ohne Zucker" });
    await openCart(page);
    await check("cart");
    await sendButton(page).click();
    await page.locator(".guest-sent-number").waitFor();
    await check("sent");
    await page.keyboard.press("Escape");
    await page.locator(".guest-order").first().waitFor();
    await check("order");
    assert.deepEqual(page.errors, []);
  }
  assert.equal((await server.ask("GET", `/stores/${store.id}/menu`)).paused, false);
});

scene("names and notes with markup, right-to-left text, emoji and 1000 characters neither break nor inject", async ({ server, open }) => {
  const euro = (amount) => ({ amount, currency: "EUR" });
  const menu = [
    { name: '<img src=x onerror="window.hacked=1">', description: "<script>window.hacked=1</script>", price: euro(1) },
    { name: "مشاوي مشكلة مع الأرز", description: "طبق اليوم", price: euro(1200) },
    { name: "🍕🍕🍕 👨‍👩‍👧‍👦", price: euro(999_999_99) },
    { name: "W".repeat(200), description: "x".repeat(2000), price: euro(350) },
  ];
  const { session } = await server.table("Τραπέζι <b>7</b> 🍷 " + "y".repeat(80), { menu, store: { name: "<b>Zur Post</b> ".repeat(12).trim() } });
  const page = await open(`/s/${session.code}`, { width: 320, height: 640 });
  await isLive(page);
  await page.getByRole("button", { name: /onerror/ }).waitFor();
  await fits(page);
  await page.getByRole("button", { name: /مشاوي/ }).click();
  await page.locator("textarea").fill(`<b>لا مكسرات</b> 🥜 ${"n".repeat(400)}`);
  await fits(page);
  await page.locator(".guest-add button[type=submit]").click();
  await page.locator("dialog").waitFor({ state: "detached" });
  await add(page, "onerror");
  await openCart(page);
  await fits(page);
  await picture(page, "guest-odd-cart");
  await sendButton(page).click();
  await page.locator(".guest-sent-number").waitFor();
  await page.keyboard.press("Escape");
  await page.locator(".guest-item-note", { hasText: "<b>لا مكسرات</b>" }).waitFor();
  await fits(page);
  await accessible(page);
  await picture(page, "guest-odd");
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  assert.deepEqual(page.errors, []);
});

scene("nothing moves under a finger when the menu or the orders come after the other", async ({ server, open }) => {
  const { session, products } = await byHand(server);
  await server.ask("POST", `/sessions/${session.code}/orders`, { items: [{ product_id: products.Espresso.id }] }, null, { "expediter-guest": "ab".repeat(16) });
  for (const late of ["menu", "orders"]) {
    const page = await open("/offline.html");
    await page.addInitScript(() => {
      // The page waits for the other one, however long a busy machine takes.
      const { setTimeout } = window;
      window.setTimeout = (action, ms, ...rest) => (ms === 2000 ? 0 : setTimeout(action, ms, ...rest));
      window.moved = [];
      const note = (list) => window.moved.push(...list.getEntries().flatMap((entry) => entry.sources.map(({ node }) => node?.className ?? "?")));
      new PerformanceObserver(note).observe({ type: "layout-shift", buffered: true });
    });
    let letGo;
    const held = new Promise((resolve) => (letGo = resolve));
    if (late === "menu") await page.route("**/menu", async (route) => (await held, route.continue()));
    else {
      await page.routeWebSocket("**/ws/sessions/**", (socket) => {
        const far = socket.connectToServer();
        far.onMessage(async (message) => (await held, socket.send(message)));
      });
    }
    await page.goto(`${server.url}/s/${session.code}`);
    await page.locator(".guest-waiting").waitFor();
    if (late === "menu") await isLive(page);
    letGo();
    await page.getByRole("button", { name: /Espresso/ }).waitFor();
    await page.getByText("1 order of others").waitFor();
    await isLive(page);
    assert.deepEqual(await page.evaluate(() => window.moved), [], late);
    await page.context().close();
  }
});

scene("the page loads less than 100 kB, and nothing from elsewhere", async ({ server, browser }) => {
  const { session } = await byHand(server);
  const context = await browser.newContext();
  const page = await context.newPage();
  const sizes = new Map();
  const counting = [];
  const count = async (request) => {
    const { responseBodySize, responseHeadersSize } = await request.sizes();
    sizes.set(request.url(), responseBodySize + responseHeadersSize);
  };
  page.on("requestfinished", (request) => void counting.push(count(request)));
  await page.goto(`${server.url}/s/${session.code}`);
  await isLive(page);
  await until("all is counted", () => [...sizes.keys()].some((url) => url.endsWith("/menu")));
  // The browser must not close under one that is still counted.
  page.removeAllListeners("requestfinished");
  await Promise.all(counting);
  for (const url of sizes.keys()) assert.ok(url.startsWith(server.url), url);
  const total = [...sizes.values()].reduce((sum, size) => sum + size, 0);
  assert.ok(total < 100_000, `${total} bytes: ${[...sizes].map(([url, size]) => `${url} ${size}`).join(", ")}`);
});

scene("without JavaScript the page has the store's name and says what to do", async ({ server, open }) => {
  const { session } = await byHand(server);
  const page = await open(`/s/${session.code}`, { script: false });
  await page.getByRole("heading", { name: "Trattoria Ärger & Söhne" }).waitFor();
  await page.getByText("Table 1").waitFor();
  await page.getByText("ask the staff").waitFor();
  await page.getByText("das Personal fragen").waitFor();
  await picture(page, "guest-no-script");
});
