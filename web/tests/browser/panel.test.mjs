// The order panel in a browser: seed 000's story from both ends, the trouble of a service, and how it looks.

import assert from "node:assert/strict";

import { accessible, fits, picture, quiet, scene, until } from "./harness.mjs";

const MARKUP = `<img src=x onerror="document.title='owned'"> <b>NO NUTS</b> שלום 🌶️`;

/** Signs in on the page's own form. */
async function signIn(page, server, username = "steffi") {
  await page.locator("input[autocomplete=username]").fill(username);
  await page.locator("input[type=password]").fill(server.password);
  await page.locator(".sign-in button.primary").click();
  await page.locator(".shell").waitFor();
}

const live = (page) => page.locator(".line-badge[data-phase=live]").waitFor();

/** Opens the panel of a store with one table, signed in and live. */
async function panel({ server, open }, { path = "/panel", role = "staff", username = "steffi", ...options } = {}, made) {
  const house = made ?? (await server.table("Table 1", BY_HAND));
  if (!made) house.staff = await server.account(username, role, [house.store.id]);
  const page = await open(path, { wide: true, ...options });
  await signIn(page, server, username);
  await live(page);
  return { ...house, page };
}

/** A store whose orders wait for somebody to accept them. */
const BY_HAND = { store: { auto_accept: false } };
const guestOrder = (server, session, items, more = {}) => server.ask("POST", `/sessions/${session.code}/orders`, { items, ...more }, null, { "expediter-guest": "ab".repeat(16) });
const row = (page, name) => page.locator(".open-tables .row", { hasText: name });

scene("a table is opened, ordered at, served and closed, and the guest sees each step", async ({ server, open }) => {
  const { page, store, products } = await panel({ server, open });
  await page.locator("#new-table").fill("Terrace 7");
  await page.locator("#new-table").press("Enter");
  const dialog = page.locator("dialog[open]");
  await dialog.locator(".table-code img").waitFor();
  const sessions = await server.ask("GET", `/sessions?store_id=${store.id}`);
  const table = sessions.items.find((session) => session.name === "Terrace 7");
  const guest = await open(table.url);
  await page.keyboard.press("Escape");

  await guestOrder(server, table, [{ product_id: products.Espresso.id, quantity: 2, note: MARKUP }], { user_note: "at the window" });
  await row(page, "Terrace 7").locator(".count").waitFor();
  assert.match(await row(page, "Terrace 7").textContent(), /1 to accept/);
  await row(page, "Terrace 7").click();
  const card = dialog.locator(".order-card");
  assert.match(await card.textContent(), /at the window/);
  assert.ok((await card.textContent()).includes(MARKUP), "markup is shown as it was typed");
  for (const [button, status] of [["Accept", "accepted"], ["Start", "preparing"], ["Ready", "ready"]]) {
    await card.getByRole("button", { name: button, exact: true }).click();
    await card.locator(`.badge[data-status=${status}]`).waitFor();
  }
  await guest.locator("[data-status=ready]").first().waitFor({ state: "attached" });
  await dialog.getByRole("button", { name: "Close table" }).click();
  assert.match(await dialog.locator(".sure-box").textContent(), /1 order is not finished/);
  await dialog.getByRole("button", { name: /mark 1 as served/ }).click();
  await row(page, "Terrace 7").waitFor({ state: "detached" });
  await page.locator(".closed-tables .row", { hasText: "Terrace 7" }).waitFor();
  const orders = await server.ask("GET", `/orders?store_id=${store.id}`);
  assert.equal(orders.items[0].status, "delivered");
  assert.equal(await page.title(), "Order panel");
  assert.deepEqual([...page.errors, ...guest.errors], []);
});

scene("declining asks why, and the guest is told", async ({ server, open }) => {
  const { page, session, store, products } = await panel({ server, open });
  await guestOrder(server, session, [{ product_id: products.Espresso.id }]);
  await row(page, "Table 1").click();
  const card = page.locator("dialog[open] .order-card");
  await card.getByRole("button", { name: "Decline…" }).click();
  await card.getByRole("button", { name: "Sold out" }).click();
  await card.locator(".badge[data-status=rejected]").waitFor();
  const { items } = await server.ask("GET", `/orders?store_id=${store.id}`);
  assert.equal(items[0].reason, "Sold out");
  assert.deepEqual(page.errors, []);
});

scene("a ticket goes through the kitchen with Enter and with a finger", async ({ server, open }) => {
  const { page, session, store, products } = await panel({ server, open }, { path: "/panel/kitchen" });
  await guestOrder(server, session, [{ product_id: products["Pizza Margherita"].id, note: "NO NUTS - allergy" }]);
  await page.locator("[data-lane=new] .ticket").waitFor();
  assert.match(await page.locator(".ticket").textContent(), /Table 1.*NO NUTS - allergy/s);
  await page.locator("[data-lane=new] .ticket").focus();
  await page.keyboard.press("Enter");
  await page.locator("[data-lane=making] .ticket").waitFor();
  await page.locator("[data-lane=making] .ticket button.primary").dblclick();
  await page.locator("[data-lane=making] .ticket", { hasText: "Ready" }).waitFor();
  await page.locator("[data-lane=making] .ticket button.primary").click();
  await page.locator("[data-lane=ready] .ticket button.primary").click();
  await page.locator(".ticket").waitFor({ state: "detached" });
  const { items } = await server.ask("GET", `/orders?store_id=${store.id}`);
  assert.equal(items[0].status, "delivered");
  assert.deepEqual(page.errors, []);
});

scene("a token that ends in mid-service is renewed; a sign-in that ends is asked for and nothing is lost", async ({ server, open }) => {
  const { page, session, products } = await panel({ server, open });
  await guestOrder(server, session, [{ product_id: products.Espresso.id }]);
  await row(page, "Table 1").locator(".count").waitFor();
  // The API refuses the token once, as it does when its five minutes are over.
  let refused = 0;
  await page.route("**/status", async (route) => {
    refused += 1;
    if (refused > 1) return route.continue();
    return route.fulfill({ status: 401, contentType: "application/problem+json", body: JSON.stringify({ reason: "incorrect_credentials" }) });
  });
  await row(page, "Table 1").click();
  const card = page.locator("dialog[open] .order-card");
  await card.getByRole("button", { name: "Accept", exact: true }).click();
  await card.locator(".badge[data-status=accepted]").waitFor();
  assert.equal(refused, 2);
  // A reload keeps the sign-in.
  await page.unroute("**/status");
  await page.reload();
  await live(page);
  // An operator ends all sign-ins by a new password.
  const me = await page.evaluate(() => sessionStorage.getItem("expediter-refresh"));
  assert.ok(me, "the refresh token is in the tab's session storage");
  assert.equal(await page.evaluate(() => JSON.stringify(localStorage).includes("refresh")), false);
  await server.ask("POST", "/token/revoke", { refresh: me }, null);
  await page.reload();
  await page.getByText("Your sign-in has ended").waitFor();
  await signIn(page, server);
  await live(page);
  await row(page, "Table 1").waitFor();
  assert.deepEqual(page.errors, []);
});

scene("a network that is cut or frozen is told in words, and what was missed comes after it", async ({ server, open }) => {
  const { page, session, products } = await panel({ server, open });
  for (const trouble of ["cut", "freeze"]) {
    server.line[trouble]();
    await page.getByText(/Not live since/).waitFor();
    await page.getByText("This screen may miss orders").waitFor();
    await guestOrder(server, session, [{ product_id: products.Espresso.id }]);
    server.line.mend();
    await live(page);
  }
  await until("both orders are counted", async () => (await row(page, "Table 1").locator(".count").textContent())?.startsWith("2"));
  assert.deepEqual(page.errors, []);
});

scene("each refusal has words, and a way on", async ({ server, open }) => {
  const { page, session, products } = await panel({ server, open });
  await guestOrder(server, session, [{ product_id: products.Espresso.id }]);
  await row(page, "Table 1").click();
  const card = page.locator("dialog[open] .order-card");
  const problems = [
    [403, "forbidden", /may not do that/],
    [409, "invalid_transition", /the order has moved on/],
    [422, "validation_failed", /not right/],
    [503, "database_unavailable", /trouble/],
  ];
  for (const [status, reason, says] of problems) {
    let told = false;
    await page.route("**/status", (route) => {
      if (told) return route.abort();
      told = true;
      return route.fulfill({ status, contentType: "application/problem+json", body: JSON.stringify({ reason }) });
    });
    await card.getByRole("button", { name: "Accept", exact: true }).click();
    // In the dialog, where it is seen and spoken: all that stands behind it is dim and silent.
    await page.locator("dialog[open] .toast", { hasText: says }).first().waitFor();
    assert.match(await page.locator("dialog[open] [aria-live]").textContent(), says);
    assert.equal(await page.locator(".toast", { hasText: says }).count(), await page.locator("dialog[open] .toast", { hasText: says }).count());
    await page.unroute("**/status");
    if (status === 503) await card.locator(".badge[data-status=accepted]").waitFor(); // it tries again by itself
    else await card.getByRole("button", { name: "Accept", exact: true }).waitFor();
  }
  assert.deepEqual(page.errors, []);
});

scene("products are sold out and back, stock is booked, and the store pauses", async ({ server, open }) => {
  const { page, store, products } = await panel({ server, open }, { role: "manager" });
  await page.keyboard.press("4");
  const product = (name) => page.locator(".product", { hasText: name });
  await product("Espresso").getByRole("button", { name: "Take off the menu" }).click();
  await product("Espresso").getByRole("button", { name: "Back on the menu" }).waitFor();
  assert.equal((await server.ask("GET", `/products/${products.Espresso.id}`)).available, false);
  await product("Tiramisù").getByRole("button", { name: "One Tiramisù more" }).click();
  await product("Tiramisù").getByText("4 left").waitFor();
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByRole("button", { name: "Stop new orders" }).click();
  await page.getByText("Paused: guests cannot order").waitFor();
  assert.equal((await server.ask("GET", `/stores/${store.id}`)).paused, true);
  await page.getByRole("button", { name: "Take orders again" }).click();
  await page.getByText("Paused: guests").waitFor({ state: "detached" });
  assert.deepEqual(page.errors, []);
});

scene("a waiter says how busy it is, closes for a while, and opens by the hours again", async ({ server, open }) => {
  const { page, store } = await panel({ server, open });
  const opening = () => server.ask("GET", `/stores/${store.id}/opening`);
  await page.locator(".top-tools .tool", { hasText: "Open" }).click();
  await page.getByRole("button", { name: "+20 min" }).click();
  await page.locator("[aria-pressed=true]", { hasText: "+20 min" }).waitFor();
  assert.equal((await opening()).busy.adds_minutes, 20);
  await page.getByRole("button", { name: "Closed for 30 min" }).click();
  await page.locator(".ways .badge[data-tone=bad]").first().waitFor();
  assert.equal((await opening()).fulfilments.table.open, false);
  await accessible(page, "service");
  await page.getByRole("button", { name: "By the hours" }).click();
  await page.locator(".ways .badge[data-tone=good]").first().waitFor();
  // Another screen sees it too.
  const other = await open("/panel", { wide: true });
  await signIn(other, server);
  await other.locator(".top-tools .tool", { hasText: "Busy: +20 min" }).waitFor();
  await server.ask("PUT", `/stores/${store.id}/busy`, { adds_minutes: 0 });
  await other.locator(".top-tools .tool", { hasText: "Open" }).waitFor();
  assert.deepEqual([...page.errors, ...other.errors], []);
});

scene("an account that is disabled in mid-service is told so, and sees nothing more", async ({ server, open }) => {
  const { page, session, products } = await panel({ server, open });
  // A question that is refused would end the sign-in before the channel does.
  await quiet(page);
  const { items } = await server.ask("GET", "/users");
  await server.ask("PATCH", `/users/${items.find((one) => one.username === "steffi").id}`, { disabled: true });
  await page.getByText("your access has ended").waitFor();
  await guestOrder(server, session, [{ product_id: products.Espresso.id }]);
  await page.locator("#new-table").fill("Table 2");
  await page.locator("#new-table").press("Enter");
  await page.getByText("Your sign-in has ended").waitFor();
  assert.equal(await row(page, "Table 1").locator(".count").count(), 0);
  assert.deepEqual(page.errors, []);
});

scene("an order for later waits below the tickets, and accepting says when it is ready", async ({ server, open }) => {
  const { page, session, store, products } = await panel({ server, open }, { path: "/panel/kitchen" });
  await server.ask("PATCH", `/stores/${store.id}`, { order_ahead_days: 2, lead_time_min: 30 });
  const wanted_at = new Date(Date.now() + 26 * 3_600_000).toISOString();
  await server.ask("POST", "/orders", { store_id: store.id, items: [{ product_id: products.Tiramisù.id }], fulfilment: "pickup", wanted_at });
  await page.locator(".later .row").waitFor();
  assert.equal(await page.locator(".ticket").count(), 0);
  const now = await guestOrder(server, session, [{ product_id: products.Espresso.id }]);
  await page.locator("[data-lane=new] .ticket .ticket-foot .button").last().click();
  await page.locator("dialog[open] .ready-in .button", { hasText: "20 min" }).click();
  await page.locator("dialog[open] .badge[data-status=accepted]").waitFor();
  const accepted = await server.ask("GET", `/orders/${now.id}`);
  const minutes = (Date.parse(accepted.ready_at) - Date.parse(accepted.accepted_at)) / 60_000;
  assert.ok(minutes > 15 && minutes <= 20, String(minutes));
  await page.locator("dialog[open] .ready-in .button", { hasText: "45 min" }).click();
  await until("the guest is told", async () => Date.parse((await server.ask("GET", `/orders/${now.id}`)).ready_at) > Date.parse(accepted.ready_at));
  await accessible(page, "an order with its times");
  assert.deepEqual(page.errors, []);
});

scene("two stores are served and nothing needs a pointer", async ({ server, open }) => {
  const first = await server.table("Table 1", BY_HAND);
  const second = await server.table("Garden 1", { store: { name: "Zum Anker", auto_accept: false } });
  await server.account("steffi", "staff", [first.store.id, second.store.id]);
  const page = await open("/panel", { wide: true });
  await page.locator("input[autocomplete=username]:focus").waitFor();
  await page.keyboard.type("steffi");
  await page.keyboard.press("Tab");
  await page.keyboard.type(server.password);
  await page.keyboard.press("Enter");
  await live(page);
  await page.keyboard.press("?");
  await page.locator("dialog[open] .keys").waitFor();
  await page.keyboard.press("Escape");
  // The field has the focus before the next key can come, whatever view was shown: no letter of a name is lost.
  await page.keyboard.press("3");
  await page.locator("[data-view=kitchen]").waitFor();
  const takesLetters = await page.evaluate(async () => {
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "n", bubbles: true, cancelable: true }));
    await null;
    return document.activeElement.id;
  });
  assert.equal(takesLetters, "new-table");
  await page.keyboard.type("Terrace 9");
  await page.keyboard.press("Enter");
  await page.locator("dialog[open] h2", { hasText: "Terrace 9" }).waitFor();
  await page.keyboard.press("Escape");
  await row(page, "Terrace 9").waitFor();
  await guestOrder(server, first.session, [{ product_id: first.products.Espresso.id }]);
  await row(page, "Table 1").locator(".count").waitFor();
  await page.locator(".open-tables .row").first().focus();
  await page.keyboard.press("ArrowDown");
  const focused = () => page.evaluate(() => document.activeElement.textContent);
  assert.match(await focused(), /Terrace 9|Table 1/);
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("3");
  await page.locator(".ticket").focus();
  await page.keyboard.press("Enter");
  await page.locator("[data-lane=making] .ticket").waitFor();
  // The other store has its own tables, and the choice survives a reload.
  await page.locator(".store-choice").selectOption({ label: "Zum Anker" });
  await live(page);
  await page.keyboard.press("1");
  await row(page, "Garden 1").waitFor();
  assert.equal(await row(page, "Table 1").count(), 0);
  await page.reload();
  await live(page);
  await row(page, "Garden 1").waitFor();
  assert.deepEqual(page.errors, []);
});

scene("Enter after Enter takes orders from step to step, without looking for the button again", async ({ server, open }) => {
  const { page, session, products } = await panel({ server, open }, { path: "/panel/kitchen" });
  for (const name of ["Espresso", "Tiramisù", "Pizza Margherita"]) await guestOrder(server, session, [{ product_id: products[name].id }]);
  const lane = (name) => page.locator(`[data-lane=${name}] .ticket`);
  await until("all are new", async () => (await lane("new").count()) === 3);
  await lane("new").first().focus();
  for (const left of [2, 1, 0]) {
    await page.keyboard.press("Enter");
    await until("it has gone on", async () => (await lane("new").count()) === left && (await lane("making").count()) === 3 - left);
    await until("another ticket has the focus", () => page.evaluate(() => document.activeElement.matches(".ticket")));
  }
  await page.keyboard.press("1");
  await row(page, "Table 1").focus();
  await page.keyboard.press("Enter");
  const card = page.locator("dialog[open] .order-card").first();
  await card.locator(".moves .primary").focus();
  for (const status of ["preparing", "ready"]) {
    await page.keyboard.press("Enter");
    await card.locator(`.badge[data-status=${status}]`).waitFor();
  }
  await until("the button has the focus still", () => page.evaluate(() => document.activeElement.matches("dialog[open] .moves .primary")));
  // A key that is held and a double click are one step.
  await page.evaluate(() => {
    const held = new KeyboardEvent("keydown", { key: "Enter", repeat: true, bubbles: true, cancelable: true });
    window.stopped = !document.activeElement.dispatchEvent(held);
  });
  assert.equal(await page.evaluate(() => window.stopped), true);
  // The way back from a reason, too.
  await card.getByRole("button", { name: "Cancel…" }).focus();
  await page.keyboard.press("Enter");
  await card.getByLabel("Another reason").waitFor();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await until("a button of the order has the focus", () => page.evaluate(() => document.activeElement.matches("dialog[open] .moves .button")));
  assert.deepEqual(page.errors, []);
});

scene("a customer's account is told that the panel is not for it", async ({ server, open }) => {
  await server.account("carl", "customer", []);
  const page = await open("/panel", { wide: true });
  await page.locator("input[autocomplete=username]").fill("carl");
  await page.locator("input[type=password]").fill(server.password);
  await page.locator(".sign-in button.primary").click();
  await page.getByText("This account is not for staff").waitFor();
  await page.locator("input[type=password]").fill("wrong");
  await page.locator(".sign-in button.primary").click();
  await page.getByText("Name or password is wrong").waitFor();
  assert.deepEqual(page.errors, []);
});

scene("every view fits a phone and a wall, in both languages and themes, and axe finds nothing", async ({ server, open }) => {
  const house = await server.table("Table 1", BY_HAND);
  await server.account("steffi", "staff", [house.store.id]);
  const { products, store, session } = house;
  for (const name of ["Table 2", "Terrace 12", MARKUP]) await server.ask("POST", "/sessions", { store_id: store.id, name });
  const order = await guestOrder(server, session, [{ product_id: products["Pizza Margherita"].id, quantity: 2, note: "NO NUTS - allergy" }, { product_id: products.Espresso.id }], { user_note: "x".repeat(400) });
  await guestOrder(server, session, [{ product_id: products.Tiramisù.id }]);
  await server.ask("PUT", `/orders/${order.id}/status`, { status: "accepted" });
  await server.ask("POST", "/orders", { store_id: store.id, items: [{ product_id: products.Espresso.id }], fulfilment: "delivery", customer: { name: "Eve Ærø", phone: "+49 30 123", address: "Seestraße 4\n13353 Berlin" } });
  for (const [dark, language] of [[false, "en"], [true, "de"]]) {
    for (const width of [320, 1920]) {
      const look = { dark, language, width, height: width === 320 ? 700 : 1080, wide: width === 1920 };
      const page = await open("/panel", look);
      const name = (view) => `panel-${view}-${width}-${dark ? "dark" : "light"}-${language}`;
      await accessible(page, name("sign-in"));
      await picture(page, name("sign-in"));
      await signIn(page, server);
      await live(page);
      await row(page, "Table 1").waitFor();
      for (const view of ["tables", "orders", "kitchen", "products"]) {
        await page.locator(".view").nth(["tables", "orders", "kitchen", "products"].indexOf(view)).click();
        await page.locator({ tables: ".row", orders: ".order-card", kitchen: ".ticket", products: ".product" }[view]).first().waitFor();
        await fits(page);
        await picture(page, name(view));
        await accessible(page, name(view));
      }
      await page.locator(".view").first().click();
      await row(page, "Table 1").click();
      await page.locator("dialog[open] .order-card").first().waitFor();
      await page.locator("dialog[open] .order-more button").first().click();
      await page.locator("dialog[open] .timeline li").first().waitFor();
      await accessible(page, name("table"));
      await picture(page, name("table"));
      await page.keyboard.press("Escape");
      await page.locator("h2").first().click();
      await page.keyboard.press("?");
      await page.locator("dialog[open] .keys").waitFor();
      await accessible(page, name("help"));
      await page.keyboard.press("Escape");
      assert.deepEqual(page.errors, []);
      await page.context().close();
    }
  }
});

scene("what is printed is a code, a sheet of codes, and a ticket", async ({ server, open }) => {
  const { page, session, products } = await panel({ server, open });
  await guestOrder(server, session, [{ product_id: products.Espresso.id, note: "decaf" }]);
  await page.evaluate(() => {
    window.print = () => (window.printed = document.getElementById("paper").innerText || document.getElementById("paper").textContent);
  });
  await page.getByRole("button", { name: "Print all codes" }).click();
  await until("the sheet is printed", () => page.evaluate(() => window.printed?.includes("Table 1")));
  await row(page, "Table 1").click();
  await page.locator("dialog[open]").getByRole("button", { name: "Print a ticket" }).click();
  await until("the ticket is printed", () => page.evaluate(() => window.printed?.includes("decaf")));
  await page.emulateMedia({ media: "print" });
  await picture(page, "panel-ticket");
  assert.deepEqual(page.errors, []);
});
