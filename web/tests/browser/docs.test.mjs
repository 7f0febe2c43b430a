// Pages around the others in a browser: the API's documentation, and an address that leads nowhere.

import assert from "node:assert/strict";

import { accessible, fits, picture, scene } from "./harness.mjs";

scene("the documentation has no fault of contrast or names, light and dark, and asks no other host", async ({ server, open }) => {
  for (const dark of [false, true]) {
    const page = await open("/", { wide: true, dark });
    const asked = [];
    page.on("request", (request) => asked.push(request.url()));
    await page.goto(`${server.url}/docs`);
    await page.getByRole("heading", { name: "Expediter", exact: true }).first().waitFor();
    await page.locator(".request-method").first().waitFor();
    await accessible(page, `the documentation, ${dark ? "dark" : "light"}`, { own: false });
    await picture(page, `docs-${dark ? "dark" : "light"}`);
    // The library looks if it may make code out of text; the policy says no, and it goes on without.
    assert.deepEqual(page.errors.filter((line) => !line.includes("'script-src' was not explicitly set")), []);
    for (const url of asked.filter((url) => !/^(data|blob):/.test(url))) assert.equal(new URL(url).origin, server.url);
    await page.context().close();
  }
});

scene("an address that leads nowhere says so in the reader's language, and a program gets a problem", async ({ server, open }) => {
  for (const [language, title, start] of [["en", "Nothing is here", "To the start page"], ["de", "Hier ist nichts", "Zur Startseite"]]) {
    for (const path of ["/nothing", "/panel/nothing/at/all"]) {
      const page = await open(path, { language, dark: language === "de" });
      await page.getByRole("heading", { name: title }).waitFor();
      assert.equal(await page.title(), `${title} – Expediter`);
      assert.equal(await page.getByRole("link", { name: start }).getAttribute("href"), "/");
      await accessible(page);
      await fits(page);
      await picture(page, `missing-${language}`);
      assert.deepEqual(page.errors, []);
      await page.context().close();
    }
  }
  const plain = await open("/nothing", { script: false });
  await plain.getByRole("heading", { name: "Nothing is here" }).waitFor();
  await plain.getByRole("heading", { name: "Hier ist nichts" }).waitFor();
  // A program, and whoever asks the API, whatever they accept.
  for (const [path, accept] of [["/nothing", "*/*"], ["/api/v1/nothing", "text/html,*/*;q=0.8"]]) {
    const answer = await fetch(server.url + path, { headers: { accept } });
    assert.equal(answer.status, 404);
    assert.equal((await answer.json()).reason, "not_found");
  }
});

scene("the explanations of problems have no fault, light and dark", async ({ open }) => {
  for (const dark of [false, true]) {
    for (const path of ["/problems", "/problems/not_found", "/problems/insufficient_stock"]) {
      const page = await open(path, { dark });
      await accessible(page);
      await fits(page);
      assert.deepEqual(page.errors, []);
      await page.context().close();
    }
  }
});
