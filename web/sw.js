// Service worker: shows a notice in place of the browser's blank page when a page is opened without a network.
// It keeps nothing else: pages and data always come from the server.

const CACHE = "expediter-offline-1";
const NOTICE = "/offline.html";
const KEPT = [NOTICE, "/shared/base.css", "/start/start.css"];

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(KEPT)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const others = (names) => Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name)));
  event.waitUntil(caches.keys().then(others).then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.mode === "navigate") {
    event.respondWith(fetch(request).catch(() => caches.match(NOTICE)));
  } else if (request.method === "GET" && KEPT.includes(new URL(request.url).pathname)) {
    // The notice's own style, for the moment without a network.
    event.respondWith(fetch(request).catch(() => caches.match(request)));
  }
});
