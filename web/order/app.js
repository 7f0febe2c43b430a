// The status page of one order, by a link that needs no account.

import { Order } from "../guest/orders.js";
import { call } from "../shared/api.js";
import { seconds, time } from "../shared/format.js";
import { mark, t, useLanguage } from "../shared/messages.js";
import { announce, LanguageChoice, Notices, statusText } from "../shared/parts.js";
import "../shared/offline.js";
import { html, render, State, useNow, useValue } from "../shared/ui.js";

/** Interval of asking while the page is visible; its answer is 304 mostly. */
const ASK_EVERY_MS = 5_000;
/** Age of the last answer after which the page does not call itself up to date. */
const FRESH_FOR_MS = 12_000;

const token = location.pathname.split("/")[2] ?? "";
/** `{linked, heardAt, gone}`: the last answer, when it came, and whether the link is of no use. */
const known = new State({ linked: null, heardAt: null, gone: false });

let etag = null;

mark();
render(html`<${Page} />`, document.getElementById("page"));
look();
setInterval(look, ASK_EVERY_MS);
for (const type of ["online", "pageshow"]) addEventListener(type, look);
document.addEventListener("visibilitychange", look);

async function look() {
  if (document.hidden || known.value.gone) return;
  const outcome = await call({ path: `/api/v1/order-links/${encodeURIComponent(token)}`, etag });
  if (outcome.status === 304) {
    known.set((old) => ({ ...old, heardAt: Date.now() }));
  } else if (outcome.kind === "done") {
    etag = outcome.headers.get("etag");
    const before = known.value.linked?.order.status;
    const { order, store_name } = outcome.body;
    known.set({ linked: outcome.body, heardAt: Date.now(), gone: false });
    document.title = `${t("guest.order", { number: order.number })} – ${store_name}`;
    if (before && before !== order.status) announce(t("guest.orders.moved", { number: order.number, status: statusText(order.status) }));
  } else if (outcome.kind === "refused" && outcome.status === 404) {
    known.set((old) => ({ ...old, gone: true }));
  }
}

function Page() {
  useLanguage();
  const { linked, heardAt, gone } = useValue(known);
  if (gone) {
    return html`<${Top} name="" /><main class="guest-main"><div class="panel guest-plain">
      <h2>${t("order.gone")}</h2><p>${t("order.gone.more")}</p></div></main>`;
  }
  return html`<${Top} name=${linked?.store_name ?? ""} />
    <main class="guest-main">
      <${UpToDate} heardAt=${heardAt} zone=${linked?.timezone} />
      ${linked && html`<h2 class="unseen">${t("order.title")}</h2><ul class="guest-order-list"><${Order} order=${linked.order} zone=${linked.timezone} /></ul>`}
    </main><${Notices} />`;
}

function Top({ name }) {
  return html`<header class="guest-top"><div class="guest-bar"><div class="guest-names"><h1>${name || t("order.title")}</h1></div><${LanguageChoice} /></div></header>`;
}

/** Says in words how old the page's knowledge is. */
function UpToDate({ heardAt, zone }) {
  const age = useNow(1000) - (heardAt ?? 0);
  const fresh = heardAt !== null && age <= FRESH_FOR_MS;
  const says = heardAt === null ? t("shared.line.connecting") : fresh ? t("order.fresh") : t("order.stale", { since: time(heardAt, zone) });
  return html`<div class="line-badge" data-phase=${fresh ? "live" : "waiting"}>
    <span class="line-dot" aria-hidden="true"></span>
    <span><span role="status">${says}</span>${heardAt !== null && !fresh && html` <span class="line-more">${t("shared.line.heard", { ago: seconds(age) })}</span>`}</span>
    ${heardAt !== null && !fresh && html`<button type="button" class="button small" onClick=${look}>${t("shared.line.now")}</button>`}
  </div>`;
}
