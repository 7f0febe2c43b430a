// The operators' board in a browser: who changed what.

import { accessible, picture, scene, signIn } from "./harness.mjs";

scene("an operator of one store sees who changed accounts, too, and chooses days", async ({ server, open }) => {
  const { store } = await server.table("Table 1");
  await server.account("mona", "manager", [store.id]);
  const page = await open("/board#audit", { wide: true });
  await signIn(page, server, "olga");
  // An account is of no store.
  await page.locator(".entry", { hasText: "mona" }).first().waitFor();
  await accessible(page, "who changed what");
  await picture(page, "board-audit", { whole: true });
  await page.getByLabel("From").fill("2100-01-01");
  await page.getByText("Nothing was changed that fits.").waitFor();
  await page.getByLabel("From").fill("2020-01-01");
  await page.locator(".entry", { hasText: "mona" }).first().waitFor();
});
