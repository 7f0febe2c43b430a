// A lunch: three tables, two phones, the panel, the kitchen and the board; the network is cut and frozen, and the till is
// down. It leaves pictures of each step and of every page in both themes, both languages and two widths in
// target/screenshots. Against a setup that runs already:
//   EXPEDITER_PAGES_AT=http://operator:PASSWORD@127.0.0.1:8000 node --test web/tests/browser/lunch.test.mjs
// With EXPEDITER_PICTURES=1 it renews the pictures of README and docs.

import assert from "node:assert/strict";
import { createServer } from "node:http";

import { accessible, fits, picture, scene, signIn, until } from "./harness.mjs";

const euro = (amount) => ({ amount, currency: "EUR" });
const CARD = {
  Pizza: [["Pizza Margherita", 950, { description: "Tomato, mozzarella, basil", diets: ["vegetarian"], allergens: ["gluten", "milk"] }], ["Pizza Diavola", 1150, { description: "Spicy salami, chilli", allergens: ["gluten", "milk"] }]],
  Drinks: [["Lemonade", 420, { diets: ["vegan"] }], ["Espresso", 250, { diets: ["vegan"] }]],
  Desserts: [["Tiramisù", 600, { stock: 4, allergens: ["eggs", "milk", "gluten"] }]],
};
const IN_GERMAN = { Lemonade: "Limonade", Drinks: "Getränke", Desserts: "Nachtisch" };
const TABLES = ["Window 1", "Terrace 2", "Bar 3"];

/** The store, its menu, three accounts, and a till that is down. */
async function house(server) {
  // A setup that stays may have had a lunch before.
  const mark = server.process ? "" : `-${Math.random().toString(36).slice(2, 8)}`;
  const store = await server.ask("POST", "/stores", { name: "Trattoria Sole", currency: "EUR", timezone: "Europe/Berlin", auto_accept: false, accept_within_s: 600, prepare_min: 15 });
  const size = await server.ask("POST", "/option-groups", { store_id: store.id, name: "Size", min: 1, max: 1, options: [{ name: "Normal", is_default: true }, { name: "Large", price: euro(250) }] });
  const products = {};
  let position = 0;
  for (const [category, dishes] of Object.entries(CARD)) {
    const made = await server.ask("POST", "/categories", { store_id: store.id, name: category, position: (position += 1), translations: IN_GERMAN[category] ? { de: { name: IN_GERMAN[category] } } : {} });
    for (const [at, [name, amount, more]] of dishes.entries()) {
      products[name] = await server.ask("POST", "/products", { store_id: store.id, name, price: euro(amount), categories: [{ category_id: made.id, position: at }], translations: IN_GERMAN[name] ? { de: { name: IN_GERMAN[name] } } : {}, ...more });
      if (category === "Pizza") await server.ask("PATCH", `/products/${products[name].id}`, { option_group_ids: [size.id] });
    }
  }
  const names = { staff: `steffi${mark}`, cook: `kim${mark}`, manager: `mona${mark}` };
  await server.account(names.staff, "staff", [store.id]);
  await server.account(names.cook, "staff", [store.id]);
  await server.account(names.manager, "manager", [store.id]);
  const till = createServer((request, response) => {
    request.resume();
    request.on("end", () => response.writeHead(200, { "content-type": "application/json" }).end("{}"));
  });
  await new Promise((resolve) => till.listen(0, "127.0.0.1", resolve));
  const { port } = till.address();
  await new Promise((resolve) => till.close(resolve));
  const integrator = await server.ask("POST", "/integrators", { store_id: store.id, name: "Cash desk", kind: "pos", url: `http://127.0.0.1:${port}/orders`, required: false });
  return { store, products, names, integrator: integrator.integrator, till: { back: () => new Promise((resolve) => till.listen(port, "127.0.0.1", resolve)), close: () => till.close() } };
}

const live = (page) => page.locator(".line-badge[data-phase=live]").waitFor();
const notLive = (page) => page.locator(".line-badge[data-phase=waiting]").waitFor();
const row = (panel, name) => panel.locator(".open-tables .row", { hasText: name });
const lane = (kitchen, name) => kitchen.locator(`[data-lane=${name}] .ticket`);

/** Puts a dish into the cart, as a thumb does. */
async function add(phone, name, note) {
  await phone.getByRole("button", { name: new RegExp(name) }).first().click();
  if (note) await phone.getByLabel(/Note for the kitchen|Hinweis für die Küche/).fill(note);
  await phone.locator(".guest-add button[type=submit]").click();
  await phone.locator("dialog").waitFor({ state: "detached" });
}

const send = async (phone) => {
  await phone.locator(".guest-foot button").click();
  await phone.locator("dialog .button.primary").click();
};
const sent = async (phone, number) => {
  await phone.locator(".guest-sent-number", { hasText: String(number) }).waitFor();
  await phone.getByRole("button", { name: /Back to the menu|Zurück zur Karte/ }).click();
};

scene("a lunch: three tables, two phones, kitchen and panel, the network cut twice and the till down", async ({ server, open }) => {
  const { store, products, names, till, integrator } = await house(server);
  const orders = async () => (await server.ask("GET", `/orders?store_id=${store.id}&limit=100`)).items;
  try {
    // The doors open.
    const panel = await open(`/panel?store=${store.id}`, { wide: true });
    await signIn(panel, server, names.staff);
    await live(panel);
    const kitchen = await open(`/panel/kitchen?store=${store.id}`, { wide: true, dark: true, width: 1440 });
    await signIn(kitchen, server, names.cook);
    await live(kitchen);
    for (const name of TABLES) {
      await panel.locator("#new-table").fill(name);
      await panel.locator("#new-table").press("Enter");
      await panel.locator("dialog[open] .table-code img").waitFor();
      if (name === TABLES[0]) await picture(panel, "lunch-01-table");
      await panel.keyboard.press("Escape");
      await row(panel, name).waitFor();
    }
    const tables = (await server.ask("GET", `/sessions?store_id=${store.id}`)).items;
    const page = (name) => `/s/${tables.find((table) => table.name === name).code}`;

    // Two phones at two tables.
    const ann = await open(page("Window 1"));
    const bob = await open(page("Terrace 2"), { language: "de", dark: true });
    for (const phone of [ann, bob]) await live(phone);
    await picture(ann, "lunch-02-menu");
    await add(ann, "Pizza Margherita", "NO NUTS - allergy");
    await add(ann, "Lemonade");
    await ann.locator(".guest-foot button").click();
    await picture(ann, "lunch-03-cart");
    await ann.locator("dialog .button.primary").click();
    await sent(ann, 1);
    await add(bob, "Espresso");
    await add(bob, "Espresso");
    await send(bob);
    await sent(bob, 2);
    await row(panel, "Terrace 2").locator(".count").waitFor();
    await lane(kitchen, "new").nth(1).waitFor();

    // The kitchen takes one, the waiter the other.
    await lane(kitchen, "new").filter({ hasText: "NO NUTS - allergy" }).locator("button.primary").click();
    await ann.locator(".guest-order [data-status=accepted]").waitFor();
    await row(panel, "Terrace 2").click();
    await panel.locator("dialog[open] .order-card").getByRole("button", { name: "Accept", exact: true }).click();
    await panel.locator("dialog[open] [data-status=accepted]").first().waitFor();
    await panel.keyboard.press("Escape");
    await bob.locator(".guest-order [data-status=accepted]").waitFor();

    // The network is cut while a phone sends: it does not know, says so, and sends once.
    await add(bob, "Tiramisù");
    server.line.cut();
    for (const screen of [ann, bob, panel, kitchen]) await notLive(screen);
    await send(bob);
    await bob.locator("dialog").getByText(/We do not know yet|Wir wissen (es )?noch nicht/).waitFor();
    await picture(bob, "lunch-04-not-known");
    await picture(panel, "lunch-05-not-live");
    assert.equal((await orders()).length, 2);
    server.line.mend();
    await sent(bob, 3);
    for (const screen of [ann, bob, panel, kitchen]) await live(screen);
    assert.equal((await orders()).length, 3);

    // Ann moves to the third table; the waiter takes down a pickup by phone.
    await ann.goto(server.url + page("Bar 3"));
    await live(ann);
    await add(ann, "Pizza Diavola");
    await send(ann);
    await sent(ann, 4);
    await server.ask("POST", "/orders", { store_id: store.id, fulfilment: "pickup", items: [{ product_id: products.Espresso.id, quantity: 3 }], customer: { name: "Grace Hopper", phone: "+49 30 5550123" } });
    await lane(kitchen, "new").nth(2).waitFor();
    await picture(panel, "lunch-06-panel", { docs: "panel" });
    await picture(kitchen, "lunch-07-kitchen", { docs: "kitchen" });
    await picture(ann, "lunch-08-phone", { docs: "guest" });

    // The network stands still while the waiter accepts: the button waits, and the order is accepted once.
    await row(panel, "Bar 3").click();
    server.line.freeze();
    await panel.locator("dialog[open] .order-card").getByRole("button", { name: "Accept", exact: true }).click();
    for (const screen of [ann, panel]) await notLive(screen);
    await picture(panel, "lunch-09-frozen");
    server.line.mend();
    await panel.locator("dialog[open] [data-status=accepted]").first().waitFor();
    await panel.keyboard.press("Escape");
    for (const screen of [ann, bob, panel, kitchen]) await live(screen);

    // The waiter sells out the Tiramisù for today, and every phone says so.
    await panel.getByRole("button", { name: "Menu & stock" }).click();
    await panel.locator(".product", { hasText: "Tiramisù" }).getByRole("button", { name: "Sold out for today" }).click();
    await bob.locator(".guest-product[data-sold-out=true]", { hasText: "Tiramisù" }).waitFor();
    await bob.locator(".guest-product[data-sold-out=true]").scrollIntoViewIfNeeded();
    await panel.getByRole("button", { name: /^Tables/ }).click();
    await picture(bob, "lunch-10-sold-out");

    // The manager sees on the board that the till is down.
    const board = await open(`/board?store=${store.id}#integrators`, { wide: true });
    await signIn(board, server, names.manager);
    await board.locator(".entry .badge:is([data-tone=warn], [data-tone=bad])").first().waitFor();
    await board.setViewportSize({ width: 1280, height: 480 });
    await picture(board, "lunch-11-till-is-down", { docs: "board" });
    await board.setViewportSize({ width: 1280, height: 900 });
    await board.locator(".view[data-view=today]").click();
    await board.locator(".chart rect").first().waitFor();
    await picture(board, "lunch-12-board");
    await looks({ server, open }, { store, names, table: page("Bar 3") });

    // The till is back: a test proves it, and what waits for it comes by itself.
    await till.back();
    await board.locator(".view[data-view=integrators]").click();
    await board.getByRole("button", { name: "Send a test" }).click();
    await board.locator(".badge", { hasText: "received" }).waitFor();
    await picture(board, "lunch-13-till-is-back");

    // Everything is made and served.
    for (const from of ["new", "making", "ready"]) {
      await until(`nothing is left in ${from}`, async () => {
        if ((await lane(kitchen, from).count()) === 0) return true;
        // A ticket that has just moved on is not there to press any more.
        await lane(kitchen, from).first().locator("button.primary").click({ timeout: 2_000 }).catch(() => {});
        return false;
      });
    }
    await until("all is served", async () => (await orders()).every((order) => order.status === "delivered"));
    await ann.locator(".guest-orders, main").first().waitFor();
    for (const name of TABLES) {
      await row(panel, name).click();
      await panel.locator("dialog[open]").getByRole("button", { name: "Close table" }).click();
      await panel.locator("dialog[open] .sure-box").getByRole("button", { name: /Close now|mark/ }).first().click();
      await row(panel, name).waitFor({ state: "detached" });
    }
    await picture(panel, "lunch-14-closed");
    await until("the phones say that the table is closed", async () => /closed|geschlossen/i.test(`${await ann.locator("body").textContent()}`) && /closed|geschlossen/i.test(await bob.locator("body").textContent()));
    await picture(ann, "lunch-15-goodbye");

    // The till was told of everything, and nothing is broken or doubled.
    const told = async () => (await server.ask("GET", `/handoffs?integrator_id=${integrator.id}&limit=100`)).items.filter((handoff) => handoff.event !== "test");
    await until("the till was told", async () => (await told()).every((handoff) => ["acknowledged", "withdrawn"].includes(handoff.state)), 150_000);
    const all = await orders();
    assert.deepEqual(all.map((order) => order.number).sort(), [1, 2, 3, 4, 5]);
    assert.equal((await server.ask("GET", `/products/${products["Tiramisù"].id}`)).stock, 3);
    server.audit();
    for (const screen of [panel, kitchen, ann, bob, board]) assert.deepEqual(screen.errors, []);
  } finally {
    till.close();
  }
}, { minutes: 15 });

const BOARD = ["today", "stuck", "failed", "callbacks", "orders", "integrators", "menu", "hours", "store", "people", "keys"];
/** Both themes, both languages, a desk and a phone: each with each in two pairs. */
const LOOKS = [{ wide: true }, { dark: true, wide: true, language: "de" }, { language: "de" }, { dark: true }];

/** Looks at every page in the middle of the service: it fits, axe finds nothing, and a picture is left for a person. */
async function looks({ server, open }, { store, names, table }) {
  const pickup = (await server.ask("GET", `/orders?store_id=${store.id}&fulfilment=pickup`)).items[0];
  const link = new URL((await server.ask("GET", `/orders/${pickup.id}/link`)).url).pathname;
  for (const look of LOOKS) {
    const called = `${look.wide ? "desk" : "phone"}-${look.dark ? "dark" : "light"}-${look.language ?? "en"}`;
    const seen = async (page, name) => {
      await fits(page);
      await accessible(page, `${name} ${called}`);
      await picture(page, `look-${name}-${called}`, { whole: true });
      assert.deepEqual(page.errors, [], `${name} ${called}`);
    };
    for (const [name, path] of [["start", "/"], ["order", link], ["guest", table]]) {
      const page = await open(path, look);
      await page.locator("h1").first().waitFor();
      if (name === "guest") await live(page);
      await seen(page, name);
      await page.context().close();
    }
    const page = await open(`/panel?store=${store.id}`, look);
    await signIn(page, server, names.manager);
    await live(page);
    await seen(page, "panel");
    await row(page, "Bar 3").click();
    await page.locator("dialog[open] .order-card").first().waitFor();
    await seen(page, "panel-table");
    await page.goto(`${server.url}/panel/kitchen`);
    await live(page);
    await seen(page, "kitchen");
    await page.goto(`${server.url}/board`);
    for (const name of BOARD) {
      await page.locator(`.view[data-view=${name}]`).click();
      await page.locator(".board-view h2").waitFor();
      await page.getByText(/^(Loading…|Wird geladen …|Lädt …|Laden …)$/).first().waitFor({ state: "detached" }).catch(() => {});
      await seen(page, `board-${name}`);
    }
    await page.context().close();
  }
}
