// Asks the browser to show a notice, in place of its blank page, when a page is opened without a network (see sw.js).

if ("serviceWorker" in navigator) {
  addEventListener("load", () => {
    // It is refused on plain HTTP and in some private windows; the page works without.
    navigator.serviceWorker.register("/sw.js").catch(() => {});
  });
}
