// The status page of one order, by a link that needs no account.

import assert from "node:assert/strict";

import { accessible, fits, picture, scene, until } from "./harness.mjs";

scene("a customer follows an order by its link, and is told when the page does not know any more", async ({ server, open }) => {
  const { store, products } = await server.table("Table 1", { store: { auto_accept: false } });
  const customer = { name: "Eve Ærø", phone: "+49 30 123", address: "Seestraße 4" };
  const items = [{ product_id: products["Pizza Margherita"].id, quantity: 2, note: "<b>NO NUTS</b> لا مكسرات 🥜" }];
  const order = await server.ask("POST", "/orders", { store_id: store.id, fulfilment: "delivery", items, customer });
  const { url } = await server.ask("GET", `/orders/${order.id}/link`);
  const path = new URL(url).pathname;
  const looks = [["light-en", {}], ["narrow-dark-de", { width: 320, height: 640, dark: true, language: "de" }], ["wide", { wide: true, width: 1920, height: 1080 }]];
  for (const [name, look] of looks) {
    const page = await open(path, look);
    await page.locator(".guest-order", { hasText: "<b>NO NUTS</b>" }).waitFor();
    await page.locator(".line-badge[data-phase=live]").waitFor();
    await fits(page);
    await accessible(page, name);
    await picture(page, `order-${name}`);
    assert.equal((await page.content()).includes("Seestraße"), false, "a link shows no contact data");
    assert.deepEqual(page.errors, []);
    await page.context().close();
  }

  const page = await open(path);
  await page.locator(".guest-order .badge[data-status=pending]").waitFor();
  await server.ask("PUT", `/orders/${order.id}/status`, { status: "accepted" });
  await page.locator(".guest-order .badge[data-status=accepted]").waitFor();
  server.line.freeze();
  await page.locator(".line-badge[data-phase=waiting]").waitFor();
  await server.ask("PUT", `/orders/${order.id}/status`, { status: "preparing" });
  server.line.mend();
  await page.locator(".guest-order .badge[data-status=preparing]").waitFor();
  await page.locator(".line-badge[data-phase=live]").waitFor();
  assert.deepEqual(page.errors, []);

  const wrong = await open(`${path.slice(0, -4)}AAAA`);
  await until("it is told that the link is of no use", () => wrong.locator(".guest-plain h2").count());
  await accessible(wrong, "a link that is of no use");
});
