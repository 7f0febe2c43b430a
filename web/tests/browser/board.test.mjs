// The operators' board in a browser: what is stuck and failed is mended there, and a menu is made.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

import { accessible, fits, picture, scene, signIn, until } from "./harness.mjs";

const VIEWS = ["today", "stuck", "failed", "callbacks", "orders", "integrators", "menu", "hours", "store", "people", "keys"];
const view = (page, name) => page.locator(`.view[data-view=${name}]`);

/** Connects a system that answers with the status that the test sets, or with none. */
async function outside(server, store, more) {
  const kitchen = createServer((request, response) => {
    request.resume();
    request.on("end", () => kitchen.status === null ? request.destroy() : response.writeHead(kitchen.status, { "content-type": "application/json" }).end("{}"));
  });
  kitchen.status = 400;
  await new Promise((resolve) => kitchen.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${kitchen.address().port}/`;
  const made = await server.ask("POST", "/integrators", { store_id: store.id, name: "Oven & Co", kind: "kitchen", url, required: false, ...more });
  return { kitchen, made };
}

scene("a handoff that failed is sent again, one and many, and the system is tested and switched off", async ({ server, open }) => {
  const { store, products } = await server.table("Table 1");
  await server.account("mona", "manager", [store.id]);
  const { kitchen } = await outside(server, store);
  try {
    for (let made = 0; made < 2; made += 1) await server.ask("POST", "/orders", { store_id: store.id, items: [{ product_id: products.Espresso.id }] });
    await until("both handoffs failed", async () => (await server.ask("GET", `/handoffs?store_id=${store.id}&state=failed`)).items.length === 2);
    kitchen.status = 200;
    const page = await open("/board#failed", { wide: true });
    await signIn(page, server, "mona");
    await page.locator(".entry").nth(1).waitFor();
    await accessible(page, "failed handoffs");
    await page.getByRole("button", { name: "Send again", exact: true }).first().click();
    await until("one is received", async () => (await server.ask("GET", `/handoffs?store_id=${store.id}&state=acknowledged`)).items.length === 1);
    await page.getByRole("button", { name: "Send all again…" }).click();
    await page.getByText("1 would be sent again").waitFor();
    await page.getByRole("button", { name: "Send 1 again" }).click();
    await page.getByText("No message is in this state").waitFor();
    await until("all are received", async () => (await server.ask("GET", `/handoffs?store_id=${store.id}&state=acknowledged`)).items.length === 2);
    await page.getByText("Who sent what again").click();
    await page.locator("details li", { hasText: "mona" }).nth(1).waitFor();
    await view(page, "integrators").click();
    await page.getByText("Oven & Co").waitFor();
    await page.getByRole("button", { name: "Send a test" }).click();
    await until("the test is received", async () => (await server.ask("GET", `/handoffs?store_id=${store.id}&event=test&state=acknowledged`)).items.length === 1);
    await page.getByRole("button", { name: "New secret for our messages" }).click();
    await page.locator(".sure-box .danger").click();
    await page.locator(".sure-box input").first().waitFor();
    await page.getByRole("button", { name: "Understood" }).click();
    await page.getByRole("button", { name: "Switch off" }).click();
    await page.getByText("switched off").first().waitFor();
    assert.deepEqual(page.errors, []);
  } finally {
    kitchen.close();
  }
});

scene("the board shows how many orders came and which one waits longest", async ({ server, open }) => {
  const { store, products } = await server.table("Table 1", { store: { auto_accept: false } });
  await server.account("mona", "manager", [store.id]);
  const placed = [];
  for (let made = 0; made < 3; made += 1) placed.push(await server.ask("POST", "/orders", { store_id: store.id, items: [{ product_id: products.Espresso.id }] }));
  await server.ask("PUT", `/orders/${placed[0].id}/status`, { status: "accepted" });
  const page = await open("/board", { wide: true });
  await signIn(page, server, "mona");
  await page.locator(".oldest").nth(1).waitFor();
  assert.deepEqual((await page.locator(".oldest .row-name").allTextContents()).map((text) => text.trim()), ["#2", "#3"]);
  await page.locator(".numbers-table td").first().waitFor();
  assert.ok((await page.locator(".numbers-table td").allTextContents()).includes("3"));
  await accessible(page, "today");
  await picture(page, "board-today");
  assert.deepEqual(page.errors, []);
});

scene("an owner makes and changes a menu", async ({ server, open }) => {
  const { store } = await server.table("Table 1");
  await server.account("mona", "manager", [store.id]);
  const page = await open("/board#menu", { wide: true, language: "de" });
  await signIn(page, server, "mona");
  await page.getByRole("button", { name: "Neues Produkt" }).click();
  const dialog = page.locator("dialog[open]");
  await dialog.getByLabel("Name", { exact: true }).fill("Crème <brûlée>");
  await dialog.getByLabel("Preis in EUR").fill("7,5,0");
  await page.getByText("Das ist kein Preis").waitFor();
  await dialog.getByLabel("Preis in EUR").fill("7,50");
  await accessible(page, "a new product");
  await dialog.getByRole("button", { name: "Speichern" }).click();
  const row = page.locator(".row", { hasText: "Crème <brûlée>" });
  await row.waitFor();
  assert.match(await row.textContent(), /7,50\s€/);
  await row.click();
  await dialog.getByLabel("Preis in EUR").fill("8");
  await dialog.getByRole("button", { name: "Speichern" }).click();
  await row.filter({ hasText: "8,00" }).click();
  await dialog.getByRole("button", { name: "Von der Karte nehmen" }).click();
  await dialog.locator(".sure-box .danger").click();
  await row.waitFor({ state: "detached" });
  assert.deepEqual(page.errors, []);
});

scene("an owner sets the hours and how much is taken on, and adds a waiter who can sign in", async ({ server, open }) => {
  const { store } = await server.table("Table 1");
  await server.account("mona", "manager", [store.id]);
  const page = await open("/board#hours", { wide: true });
  await signIn(page, server, "mona");
  await page.getByText("Always open").waitFor();
  await page.getByRole("button", { name: "Add hours" }).click();
  await page.getByRole("button", { name: "Mon", exact: true }).click();
  await page.getByRole("button", { name: "Delivery" }).first().click();
  await page.getByLabel("From", { exact: true }).fill("17:30");
  await page.getByLabel("To", { exact: true }).fill("01:00");
  await page.getByRole("button", { name: "Add a day" }).click();
  await page.getByLabel("Date").fill("2026-12-24");
  await page.locator("form").first().getByRole("button", { name: "Save" }).click();
  await page.locator(".toast", { hasText: "Saved" }).waitFor();
  const hours = await server.ask("GET", `/stores/${store.id}/hours`);
  assert.deepEqual(hours.weekly[0].days, ["tue", "wed", "thu", "fri", "sat", "sun"]);
  assert.deepEqual([hours.weekly[0].from, hours.weekly[0].to, hours.weekly[0].fulfilments], ["17:30", "01:00", ["table", "pickup"]]);
  assert.equal(hours.exceptions[0].date, "2026-12-24");
  await page.getByRole("button", { name: "Add a limit" }).click();
  await page.getByLabel("Orders at most").fill("7");
  await page.locator("form").nth(1).getByRole("button", { name: "Save" }).click();
  await until("the limit is set", async () => (await server.ask("GET", `/stores/${store.id}/capacity`)).rules[0]?.orders === 7);
  await accessible(page, "hours");
  await picture(page, "board-hours", { whole: true });
  await view(page, "store").click();
  await page.getByLabel("Phone").fill("+49 30 77");
  await page.getByLabel("Language of the menu").selectOption("de");
  await page.locator("form").first().getByRole("button", { name: "Save" }).click();
  await until("the phone is set", async () => (await server.ask("GET", `/stores/${store.id}`)).phone === "+49 30 77");
  assert.equal((await server.ask("GET", `/stores/${store.id}`)).language, "de");
  await page.getByRole("button", { name: "Stop new orders" }).click();
  await page.getByText("Paused", { exact: true }).waitFor();
  assert.equal((await server.ask("GET", `/stores/${store.id}`)).paused, true);
  await page.getByRole("button", { name: "Take orders again" }).click();
  await page.getByRole("button", { name: "+20 min" }).click();
  await until("it is busy", async () => (await server.ask("GET", `/stores/${store.id}/opening`)).busy.adds_minutes === 20);
  await accessible(page, "store");
  await view(page, "people").click();
  await page.getByRole("button", { name: "New account" }).click();
  const dialog = page.locator("dialog[open]");
  await dialog.getByLabel("Name").fill("walter");
  await dialog.locator("input[type=password]").fill(server.password);
  await accessible(page, "a new account");
  await dialog.getByRole("button", { name: "Save" }).click();
  await page.locator(".entry", { hasText: "walter" }).waitFor();
  assert.ok(await server.signIn("walter"));
  await accessible(page, "people");
  assert.deepEqual(page.errors, []);
});

scene("what is stuck is explained in the reader's language and mended with one press, and odd updates are listed", async ({ server, open }) => {
  const { store, products } = await server.table("Table 1");
  await server.account("mona", "manager", [store.id]);
  const { kitchen, made } = await outside(server, store, { required: true, unknown_policy: "hold" });
  try {
    // It takes the message and says nothing: nobody knows if it arrived.
    kitchen.status = null;
    const order = await server.ask("POST", "/orders", { store_id: store.id, items: [{ product_id: products.Espresso.id }] });
    const key = Buffer.from(made.callback_secret.replace(/^whsec_/, ""), "base64");
    const call = (id, body) => {
      const at = String(Math.floor(Date.now() / 1000));
      const signature = createHmac("sha256", key).update(`${id}.${at}.${JSON.stringify(body)}`).digest("base64");
      const signed = { "webhook-id": id, "webhook-timestamp": at, "webhook-signature": `v1,${signature}` };
      return server.ask("POST", `/integrators/${made.integrator.id}/callbacks`, body, null, signed).catch((error) => assert.equal(error.status, 422));
    };
    await call("update-1", { reference: "<b>unknown</b>", status: "ready" });
    await call("update-1", { reference: "another", status: "ready" });
    await until("it is held", async () => (await server.ask("GET", `/handoffs?store_id=${store.id}&state=held`)).items.length === 1);
    const page = await open("/board#stuck", { wide: true, language: "de" });
    await signIn(page, server, "mona");
    const held = page.locator(".entry", { hasText: "mit unbekanntem Ausgang" });
    await held.getByText("Zuerst dort fragen").waitFor();
    await held.getByText("Einzelheiten").click();
    await held.locator("[lang=en]").getByText(/handoffs/).waitFor();
    await accessible(page, "stuck");
    await picture(page, "board-stuck", { whole: true });
    kitchen.status = 200;
    await held.getByRole("button", { name: "Noch einmal senden" }).click();
    await held.waitFor({ state: "detached" });
    await until("the order is accepted", async () => (await server.ask("GET", `/orders/${order.id}`)).status === "accepted");
    await view(page, "callbacks").click();
    await page.locator(".entry", { hasText: "<b>unknown</b>" }).waitFor();
    await page.locator(".entry .badge", { hasText: "widerspricht einer anderen" }).waitFor();
    await accessible(page, "updates without effect");
    await picture(page, "board-callbacks", { whole: true });
    assert.deepEqual(page.errors, []);
  } finally {
    kitchen.close();
  }
});

scene("staff are told that the board is not for them, and it fits a phone in both themes", async ({ server, open }) => {
  const { store } = await server.table("Table 1");
  await server.account("steffi", "staff", [store.id]);
  await server.account("mona", "manager", [store.id]);
  const refused = await open("/board", { wide: true });
  await signIn(refused, server, "steffi");
  await refused.getByText("for managers and operators").waitFor();
  for (const dark of [false, true]) {
    const page = await open("/board", { dark, width: 320, language: dark ? "de" : "en" });
    await signIn(page, server, "mona");
    for (const name of VIEWS) {
      await view(page, name).click();
      await page.locator(".board-view h2").waitFor();
      await fits(page);
      await accessible(page, `${name} ${dark}`);
    }
    await picture(page, `board-menu-320-${dark ? "dark" : "light"}`);
    assert.deepEqual(page.errors, []);
  }
});

scene("the orders are saved as a table that begins with a byte-order mark and keeps telephone numbers readable", async ({ server, open }) => {
  const { store, products } = await server.table("Table 1");
  await server.account("mona", "manager", [store.id]);
  const customer = { name: "Zoë Müller", phone: "+49 40 123" };
  await server.ask("POST", "/orders", { store_id: store.id, fulfilment: "pickup", customer, items: [{ product_id: products.Espresso.id }] });
  const page = await open("/board#orders", { wide: true });
  await signIn(page, server, "mona");
  const saved = page.waitForEvent("download");
  await page.getByRole("button", { name: "Save as a table (CSV)" }).click();
  const download = await saved;
  assert.match(download.suggestedFilename(), /^orders-\d{4}-\d\d-\d\d\.csv$/);
  const bytes = readFileSync(await download.path());
  assert.deepEqual([...bytes.subarray(0, 3)], [0xef, 0xbb, 0xbf]);
  assert.match(bytes.toString("utf8"), /Zoë Müller,\+49 40 123,/);
  await accessible(page, "the orders of the board");
  assert.deepEqual(page.errors, []);
});
