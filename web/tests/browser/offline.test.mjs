// The service worker and what makes pages installable: no blank page without a network, no mixed releases, no kept data.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";

import { accessible, fits, picture, scene, until } from "./harness.mjs";

const file = (name) => readFileSync(fileURLToPath(new URL(`../../${name}`, import.meta.url)), "utf8");

/** Waits until the service worker answers for the page. */
const controlled = (page) => until("the service worker has taken over", () => page.evaluate(() => navigator.serviceWorker.controller !== null));

/** Returns the paths that the browser keeps, by cache. */
const kept = (page) =>
  page.evaluate(async () => {
    const names = await caches.keys();
    const paths = async (name) => (await (await caches.open(name)).keys()).map(({ url }) => new URL(url).pathname).sort();
    return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await paths(name)])));
  });

scene("every page can be installed, and shows a notice in place of a blank page without a network", async ({ server, open }) => {
  const { session, store, products } = await server.table();
  const order = await server.ask("POST", "/orders", { store_id: store.id, fulfilment: "pickup", items: [{ product_id: products.Espresso.id }] });
  const { url } = await server.ask("GET", `/orders/${order.id}/link`);
  const paths = ["/", "/panel", "/panel/kitchen", "/board", `/s/${session.code}`, new URL(url).pathname, "/demo"];
  for (const path of paths) {
    const page = await open(path);
    await controlled(page);
    const manifest = await page.evaluate(async () => {
      const answer = await fetch(document.querySelector("link[rel=manifest]").href);
      const told = await answer.json();
      const icons = await Promise.all(told.icons.map(async ({ src, sizes }) => {
        const icon = await createImageBitmap(await (await fetch(src)).blob()).catch(() => null);
        return `${sizes} ${icon ? `${icon.width}x${icon.height}` : src.split(".").pop()}`;
      }));
      return { ...told, icons };
    });
    assert.ok(manifest.name && manifest.start_url && manifest.display === "standalone", path);
    for (const size of ["192x192 192x192", "512x512 512x512"]) assert.ok(manifest.icons.includes(size), `${path}: ${manifest.icons}`);
    server.line.cut();
    await page.goto(server.url + path);
    await page.getByRole("heading", { name: "No connection" }).waitFor();
    await page.getByRole("heading", { name: "Keine Verbindung" }).waitFor();
    if (path === "/panel") {
      await fits(page);
      await accessible(page, "the notice");
      await picture(page, "offline");
    }
    server.line.mend();
    await page.getByRole("link", { name: "Try again" }).click();
    await page.getByRole("heading", { name: "No connection" }).waitFor({ state: "detached" });
    assert.equal(new URL(page.url()).pathname, path);
    await page.context().close();
  }
});

scene("nothing of the API and no page is kept in the browser", async ({ server, open }) => {
  const { session } = await server.table();
  const page = await open(`/s/${session.code}`);
  await controlled(page);
  await page.reload();
  await page.getByRole("button", { name: /Espresso/ }).waitFor();
  const caches = await kept(page);
  assert.deepEqual(Object.values(caches), [["/offline.html", "/shared/base.css", "/start/start.css"]]);
  server.line.cut();
  const asked = await page.evaluate(async (code) => {
    const got = (path) => fetch(path).then((answer) => answer.status, () => "nothing");
    return [await got(`/api/v1/sessions/${code}/menu`), await got("/guest/app.js"), await got("/shared/base.css")];
  }, session.code);
  assert.deepEqual(asked, ["nothing", "nothing", 200], "the notice's style alone is there without a network");
  server.line.mend();
});

/** A site of two releases with our service worker: a page, a script and a part of it, that each say their release. */
async function site() {
  const site = { release: 1, down: false };
  const script = 'import { part } from "/part.js"; document.body.dataset.seen = `${RELEASE} ${part} ${document.body.dataset.release}`; navigator.serviceWorker.register("/sw.js");';
  const files = () => ({
    "/page": ["text/html", `<!doctype html><title>Page</title><body data-release="${site.release}"><script type="module" src="/app.js"></script></body>`],
    "/app.js": ["text/javascript", script.replace("RELEASE", site.release)],
    "/part.js": ["text/javascript", `export const part = ${site.release};`],
    "/sw.js": ["text/javascript", file("sw.js").replace(/expediter-offline-\d+/, `expediter-offline-${site.release}`)],
    "/offline.html": ["text/html", `<!doctype html><title>Notice</title><p>notice ${site.release}</p>`],
    "/shared/base.css": ["text/css", `/* ${site.release} */`],
    "/start/start.css": ["text/css", ""],
  });
  site.server = createServer((request, answer) => {
    if (site.down) return request.socket.destroy();
    const found = files()[request.url];
    const tag = `"${site.release}"`;
    answer.setHeader("etag", tag).setHeader("cache-control", "no-cache");
    if (!found) return answer.writeHead(404).end();
    if (request.headers["if-none-match"] === tag) return answer.writeHead(304).end();
    return answer.writeHead(200, { "content-type": found[0] }).end(found[1]);
  });
  await new Promise((resolve) => site.server.listen(0, "127.0.0.1", resolve));
  site.url = `http://127.0.0.1:${site.server.address().port}`;
  return site;
}

scene("a new release is taken whole with the next load, by its service worker too", async ({ open }) => {
  const pages = await site();
  try {
    const page = await open(`${pages.url}/page`);
    const seen = () => page.locator("body").getAttribute("data-seen");
    await controlled(page);
    assert.equal(await seen(), "1 1 1");
    assert.deepEqual(Object.keys(await kept(page)), ["expediter-offline-1"]);
    pages.release = 2;
    assert.equal(await seen(), "1 1 1", "a page that stands open stays what it is");
    await page.reload();
    await until("the new release is there", async () => (await seen()) === "2 2 2");
    await until("the old notice is gone", async () => JSON.stringify(Object.keys(await kept(page))) === '["expediter-offline-2"]');
    pages.down = true;
    await page.reload();
    await page.getByText("notice 2").waitFor();
    pages.down = false;
    await page.reload();
    await until("it is back", async () => (await seen()) === "2 2 2");
  } finally {
    pages.server.closeAllConnections();
    pages.server.close();
  }
});
