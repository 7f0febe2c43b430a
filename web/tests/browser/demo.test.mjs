// The demonstration in a browser: what a newcomer sees first, in both languages and themes.

import assert from "node:assert/strict";

import { accessible, fits, picture, scene } from "./harness.mjs";

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
