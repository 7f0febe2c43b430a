// The operators' board in a browser: a menu with languages, pictures, choices and an order; systems, keys, accounts; all
// stores at once; one order with all that is known of it.

import assert from "node:assert/strict";
import { createServer } from "node:http";

import { accessible, fits, picture, scene, signIn, until } from "./harness.mjs";

const view = (page, name) => page.locator(`.view[data-view=${name}]`);
/** The smallest PNG: one pixel. */
const PNG = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");

async function listening(status) {
  const system = createServer((request, response) => {
    request.resume();
    request.on("end", () => response.writeHead(system.status, { "content-type": "application/json" }).end("{}"));
  });
  system.status = status;
  await new Promise((resolve) => system.listen(0, "127.0.0.1", resolve));
  system.url = `http://127.0.0.1:${system.address().port}/`;
  return system;
}

scene("an owner sorts the menu, translates it, and replaces a picture that guests cannot see", async ({ server, open }) => {
  const { store, products, session } = await server.table("Table 1");
  await server.account("mona", "manager", [store.id]);
  await server.ask("PATCH", `/products/${products.Espresso.id}`, { image_url: "https://elsewhere.example/e.png" });
  const page = await open("/board#menu", { wide: true });
  await signIn(page, server, "mona");
  const dialog = page.locator("dialog[open]");
  const save = () => dialog.getByRole("button", { name: "Save" }).click();
  const gone = () => dialog.waitFor({ state: "detached" });
  for (const name of ["Drinks", "Dishes"]) {
    await page.getByRole("button", { name: "New category" }).click();
    await dialog.getByLabel("Name", { exact: true }).fill(name);
    if (name === "Drinks") {
      await dialog.getByRole("button", { name: "Add a language" }).click();
      await dialog.locator(".span select").last().selectOption("de");
      await dialog.getByLabel("Name", { exact: true }).nth(1).fill("Getränke");
      await accessible(page, "a category with a language");
    }
    await save();
    await gone();
  }
  for (const [name, category] of [["Espresso", "Drinks"], ["Tiramisù", "Drinks"], ["Pizza Margherita", "Dishes"]]) {
    await page.locator(".row", { hasText: name }).click();
    await dialog.getByRole("button", { name: category, exact: true }).click();
    if (name === "Espresso") {
      await dialog.getByText("Guests do not see this picture").waitFor();
      await dialog.locator("input[type=file]").setInputFiles({ name: "e.gif", mimeType: "image/gif", buffer: PNG });
      await dialog.getByText("no PNG, JPEG or WebP").waitFor();
      await dialog.locator("input[type=file]").setInputFiles({ name: "e.png", mimeType: "image/png", buffer: PNG });
      await dialog.getByText("is uploaded when you save").waitFor();
      await dialog.getByRole("button", { name: "Add a language" }).click();
      await dialog.locator(".span select").last().selectOption("fr");
      await dialog.getByLabel("Name", { exact: true }).nth(1).fill("Express <b>serré</b>");
      await accessible(page, "a product with a picture and a language");
    }
    await save();
    await gone();
  }
  const espresso = await server.ask("GET", `/products/${products.Espresso.id}`);
  assert.match(espresso.image_url, /^\/api\/v1\/images\//);
  assert.equal(espresso.translations.fr.name, "Express <b>serré</b>");
  assert.equal(espresso.categories.length, 1);
  await page.getByRole("button", { name: "Change the order" }).click();
  await page.getByRole("button", { name: "Dishes: up" }).click();
  await page.locator(".menu-section").first().getByText("Dishes").waitFor();
  await page.getByRole("button", { name: "Tiramisù: up" }).click();
  await page.locator(".menu-section").nth(1).locator(".row").first().getByText("Tiramisù").waitFor();
  await accessible(page, "a menu that is sorted");
  await picture(page, "board-menu", { whole: true });
  const menu = await server.ask("GET", `/sessions/${session.code}/menu?language=fr`, undefined, null);
  const names = JSON.stringify(menu);
  assert.ok(names.indexOf("Dishes") < names.indexOf("Drinks") && names.indexOf("Tiramisù") < names.indexOf("Express <b>"), names);
  // A picture is taken away too.
  await page.locator(".row", { hasText: "Espresso" }).click();
  await dialog.getByRole("button", { name: "Take the picture away" }).click();
  await save();
  await gone();
  assert.equal((await server.ask("GET", `/products/${products.Espresso.id}`)).image_url ?? null, null);
  assert.deepEqual(page.errors, []);
});

scene("an owner makes choices, and one of them takes from the stock of another product", async ({ server, open }) => {
  const { store, products } = await server.table("Table 1");
  await server.account("mona", "manager", [store.id]);
  const page = await open("/board#menu", { wide: true, language: "de" });
  await signIn(page, server, "mona");
  const dialog = page.locator("dialog[open]");
  await page.getByRole("button", { name: "Neue Auswahl" }).click();
  await dialog.locator("input[type=text]").first().fill("Dazu?");
  const choice = (at) => dialog.locator("form fieldset").nth(at);
  await choice(0).locator("input[type=text]").nth(0).fill("Nachtisch");
  await choice(0).locator("input[type=text]").nth(1).fill("4,50");
  await choice(0).locator("select").selectOption(products["Tiramisù"].id);
  await dialog.getByRole("button", { name: "Möglichkeit hinzufügen" }).click();
  await choice(1).locator("input[type=text]").nth(0).fill("Nichts");
  await choice(1).locator("input[type=text]").nth(1).fill("-0,50");
  await accessible(page, "choices");
  await dialog.getByRole("button", { name: "Speichern" }).click();
  await dialog.waitFor({ state: "detached" });
  const [group] = (await server.ask("GET", `/option-groups?store_id=${store.id}`)).items;
  assert.deepEqual(group.options.map((option) => [option.name, option.price.amount, option.product_id ?? null]), [["Nachtisch", 450, products["Tiramisù"].id], ["Nichts", -50, null]]);
  // Edited: the ids stay, so that what guests have in their carts still counts.
  await page.locator(".row", { hasText: "Dazu?" }).click();
  await choice(1).locator("input[type=text]").nth(0).fill("Ohne");
  await dialog.getByRole("button", { name: "Speichern" }).click();
  await dialog.waitFor({ state: "detached" });
  const [after] = (await server.ask("GET", `/option-groups?store_id=${store.id}`)).items;
  assert.deepEqual(after.options.map((option) => option.id), group.options.map((option) => option.id));
  assert.equal(after.options[1].name, "Ohne");
  assert.deepEqual(page.errors, []);
});

scene("a system is connected, changed and removed, and a key for a program is made and revoked", async ({ server, open }) => {
  const { store } = await server.table("Table 1");
  await server.account("mona", "manager", [store.id]);
  const system = await listening(200);
  try {
    const page = await open("/board#integrators", { wide: true });
    await signIn(page, server, "mona");
    const dialog = page.locator("dialog[open]");
    await page.getByRole("button", { name: "Connect a system" }).click();
    await dialog.getByLabel("Name", { exact: true }).fill("Till <1>");
    await dialog.getByLabel("Address (https)").fill("ftp://till.example/");
    await dialog.getByLabel("What it is").selectOption("pos");
    await dialog.getByLabel("We prove who we are with").selectOption("basic");
    await dialog.getByLabel("Name", { exact: true }).nth(1).fill("expediter");
    await dialog.locator("input[type=password]").fill("secret");
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.locator(".trouble").waitFor();
    await dialog.getByLabel("Address (https)").fill(system.url);
    await dialog.getByText("For its engineer").click();
    await dialog.getByLabel(/Its words/).fill("cooking = preparing\nnonsense");
    await dialog.getByText("not of the form").waitFor();
    await dialog.getByLabel(/Its words/).fill("cooking = preparing");
    await accessible(page, "a new system");
    await dialog.getByRole("button", { name: "Save" }).click();
    await page.getByLabel("Secret for our messages").waitFor();
    assert.match(await page.getByLabel("Secret for its updates").inputValue(), /.{20,}/);
    await page.getByRole("button", { name: "Understood" }).click();
    const entry = page.locator(".entry", { hasText: "Till <1>" });
    const [made] = (await server.ask("GET", `/integrators?store_id=${store.id}`)).items;
    assert.deepEqual([made.kind, made.auth_type, made.status_map], ["pos", "basic", { cooking: "preparing" }]);
    await entry.getByRole("button", { name: "Send a test" }).click();
    await entry.locator(".badge", { hasText: "received" }).waitFor();
    await entry.getByRole("button", { name: "Edit" }).click();
    await dialog.getByLabel("Name", { exact: true }).fill("Till 2");
    await dialog.getByText("For its engineer").click();
    await dialog.getByLabel("Messages a second").fill("3");
    await dialog.getByRole("button", { name: "Save" }).click();
    await page.locator(".entry", { hasText: "Till 2" }).waitFor();
    const [changed] = (await server.ask("GET", `/integrators?store_id=${store.id}`)).items;
    assert.deepEqual([changed.rate_per_s, changed.auth_type, changed.url], [3, "basic", system.url]);
    await page.getByRole("button", { name: "Remove" }).click();
    await page.locator(".sure-box").getByRole("button", { name: "Remove" }).click();
    await page.getByText("No system is connected").waitFor();
    await view(page, "keys").click();
    await page.getByRole("button", { name: "New key" }).click();
    await dialog.getByLabel("Which program").fill("Web shop");
    await dialog.getByRole("button", { name: "read the menu" }).click();
    await accessible(page, "a new key");
    await dialog.getByRole("button", { name: "Save" }).click();
    const key = await page.getByLabel("Key", { exact: true }).inputValue();
    const asked = () => server.ask("GET", `/stores/${store.id}/menu`, undefined, key);
    assert.ok(await asked());
    await accessible(page, "keys");
    await page.getByRole("button", { name: "Understood" }).click();
    await page.getByRole("button", { name: "Revoke" }).click();
    await page.locator(".sure-box").getByRole("button", { name: "Revoke" }).click();
    await page.getByText("There is no key").waitFor();
    await until("the key counts no more", () => asked().then(() => false, (error) => error.status === 401));
    assert.deepEqual(page.errors, []);
  } finally {
    system.close();
  }
});

scene("an operator sees all stores at once, the work that waits, and one order with all that happened to it", async ({ server, open }) => {
  const { store, products } = await server.table("Table 1", { store: { auto_accept: false } });
  const other = await server.ask("POST", "/stores", { name: "Kiosk", currency: "EUR", timezone: "Asia/Tokyo", auto_accept: false });
  const ice = await server.ask("POST", "/products", { store_id: other.id, name: "Ice", price: { amount: 300, currency: "EUR" } });
  const system = await listening(400);
  try {
    for (const one of [store, other]) await server.ask("POST", "/integrators", { store_id: one.id, name: `Oven of ${one.name}`, kind: "kitchen", url: system.url, required: false });
    const order = await server.ask("POST", "/orders", { store_id: store.id, items: [{ product_id: products.Espresso.id }], customer: { name: "Ada Lovelace", phone: "030 5550123" } });
    await server.ask("POST", "/orders", { store_id: other.id, items: [{ product_id: ice.id }] });
    await until("both failed", async () => (await server.ask("GET", "/handoffs?state=failed")).items.length === 2);
    const page = await open("/board?store=all", { wide: true });
    await signIn(page, server, "olga");
    await page.locator(".oldest").nth(1).waitFor();
    for (const name of [store.name, "Kiosk"]) await page.locator(".oldest", { hasText: name }).waitFor();
    await page.getByText("Work that waits in the system").waitFor();
    assert.equal(await page.locator(".numbers.inside dd").count(), 3);
    await accessible(page, "all stores");
    await picture(page, "board-all", { whole: true });
    for (const name of ["stuck", "failed", "callbacks", "integrators", "people", "keys"]) {
      await view(page, name).click();
      await page.locator(".board-view h2").waitFor();
      await fits(page);
    }
    await view(page, "failed").click();
    await page.locator(".entry", { hasText: "Oven of Kiosk" }).waitFor();
    await page.locator(".entry", { hasText: `Oven of ${store.name}` }).getByRole("button", { name: "Open the order" }).click();
    await page.locator(".order-whole").getByText("Ada Lovelace").waitFor();
    assert.equal(await page.locator(".store-choice").inputValue(), store.id);
    await page.locator(".order-whole .timeline", { hasText: "1.1" }).waitFor();
    await page.getByRole("button", { name: "Show the message" }).click();
    await page.locator("pre", { hasText: order.id }).waitFor();
    await page.getByRole("button", { name: "Link for the customer" }).click();
    assert.match(await page.getByLabel("Link for the customer").inputValue(), /\/o\//);
    await accessible(page, "an order");
    // Found again by its customer's phone after a reload, declined with a reason, and placed again.
    await page.reload();
    await page.locator(".order-whole").waitFor();
    await page.getByRole("searchbox").fill("5550123");
    await page.getByRole("button", { name: "Find", exact: true }).click();
    await page.getByRole("button", { name: "Decline…" }).click();
    await page.locator(".reason input").fill("Oven <broken>");
    await page.locator(".reason .danger").click();
    await page.locator(".order-whole").getByText("Oven <broken>", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Place it again" }).click();
    await page.locator(".order-whole h3", { hasText: "#2" }).waitFor();
    assert.deepEqual(page.errors, []);
  } finally {
    system.close();
  }
});
