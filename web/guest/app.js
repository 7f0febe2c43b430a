// The guest's page of a table: the store and the table on top, its menu, the cart, and the orders live.

import { when } from "../shared/format.js";
import { LineBadge } from "../shared/line.js";
import { mark, onLanguage, t, useLanguage } from "../shared/messages.js";
import { announce, Banner, LanguageChoice, Notices, statusText, toast } from "../shared/parts.js";
import "../shared/offline.js";
import { html, render, useEffect, useState, useValue } from "../shared/ui.js";
import { Cart, Prices } from "./cart.js";
import { CartBar, Checkout } from "./checkout.js";
import { Menu } from "./menu.js";
import { Orders } from "./orders.js";
import { Table, taking } from "./table.js";

start();

function start() {
  const place = document.getElementById("page");
  const code = decodeURIComponent(location.pathname.split("/")[2] ?? "");
  const table = new Table(code, { store: place.dataset.store, table: place.dataset.table });
  const cart = new Cart(code);
  table.onMoved = (order, before) => {
    if (order.mine && before !== null) toast(t("guest.orders.moved", { number: order.number, status: statusText(order.status) }));
  };
  mark();
  onLanguage(() => title(table));
  table.names.subscribe(() => title(table));
  render(html`<${Page} table=${table} cart=${cart} />`, place);
  table.start();
  if (cart.isSending) cart.send(null).then(() => table.lookAgain());
}

function title(table) {
  const { store, table: name } = table.names.value;
  document.title = name ? `${name} – ${store}` : store;
}

function Page({ table, cart }) {
  useLanguage();
  const [checkout, setCheckout] = useState(false);
  const menu = useValue(table.menu);
  const opening = useValue(table.opening);
  const phase = useValue(table.phase);
  const outcome = useValue(cart.outcome);
  const now = taking(menu, opening);
  const prices = new Prices(menu);
  const takesOrders = phase === "open" && (now.atOnce || (now.ordersAhead && !now.stopped));

  useEffect(() => {
    if (outcome?.kind !== "sent") return;
    table.takeOwn(outcome.order);
    announce(t("guest.sent.title", { number: outcome.order.number }));
  }, [outcome]);
  useEffect(() => {
    if (phase === "closed") announce(t("guest.closed"));
  }, [phase]);
  const isComplete = useTogether(table, menu);
  const pausedNow = now.paused;
  useEffect(() => {
    if (menu) announce(pausedNow ? t("guest.paused") : "");
  }, [pausedNow]);

  if (phase === "unknown" || phase === "ended") return html`<${Gone} phase=${phase} names=${table.names} />`;
  return html`
    <a class="skip" href="#menu">${t("guest.skip")}</a>
    <${Top} table=${table} phase=${phase} now=${now} />
    <main class="guest-main">
      ${isComplete && html`<${Orders} table=${table} zone=${now.zone} />`}
      <${Menu} menu=${isComplete ? menu : null} prices=${prices} cart=${cart} takesOrders=${takesOrders} zone=${now.zone} />
    </main>
    ${menu && html`<${CartBar} cart=${cart} prices=${prices} onOpen=${() => setCheckout(true)} />`}
    ${checkout && html`<${Checkout} table=${table} cart=${cart} prices=${prices} now=${now} takesOrders=${takesOrders} onClose=${() => setCheckout(false)} />`}
    <${Notices} />`;
}

/** Orders and menu are shown together, if the other one comes within this time: what comes later moves the rest. */
const TOGETHER_WITHIN_MS = 2_000;

/** Returns true when the orders and the menu may be shown: both are known, or one is not to be expected soon. */
function useTogether(table, menu) {
  const orders = useValue(table.orders);
  const { phase } = useValue(table.line.state);
  const [waited, wait] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => wait(true), TOGETHER_WITHIN_MS);
    return () => clearTimeout(timer);
  }, []);
  return (menu !== null && orders !== null) || waited || phase === "waiting" || phase === "ended";
}

function Top({ table, phase, now }) {
  const { store, table: name } = useValue(table.names);
  const state = useValue(table.line.state);
  return html`<header class="guest-top">
    <div class="guest-bar">
      <div class="guest-names"><h1>${store}</h1><p>${name}</p></div>
      <${LanguageChoice} />
    </div>
    ${phase === "closed"
      ? html`<${Banner} tone="bad" icon="cross">${t("guest.closed")} <span class="guest-more">${t("guest.closed.more")}</span><//>`
      : html`<${Taking} now=${now} />`}
    ${state.phase !== "ended" && !(phase === "closed" && state.phase === "live") && html`<div class="guest-line" data-phase=${state.phase}><${LineBadge} line=${table.line} zone=${now.zone} /></div>`}
  </header>`;
}

/** Says across the page's width why no order is taken now, or that it takes longer. */
function Taking({ now }) {
  if (now.paused) {
    const until = now.pausedUntil && t("guest.paused.until", { time: when(now.pausedUntil, now.zone) });
    return html`<${Banner} tone="warn" icon="pause">${t("guest.paused")} <span class="guest-more">${until ?? t("guest.paused.more")}</span><//>`;
  }
  if (!now.open) {
    const opens = now.opensAt && t("guest.shut.opens", { time: when(now.opensAt, now.zone) });
    return html`<${Banner} tone="warn" icon="clock">${t("guest.shut")} <span class="guest-more">${opens}</span><//>`;
  }
  if (now.addsMinutes > 0) return html`<${Banner} tone="info" icon="clock">${t("guest.busy", { minutes: now.addsMinutes })}<//>`;
  return null;
}

function Gone({ phase, names }) {
  const { store } = useValue(names);
  return html`
    <header class="guest-top"><div class="guest-bar"><div class="guest-names"><h1>${store}</h1></div><${LanguageChoice} /></div></header>
    <main class="guest-main"><div class="panel guest-plain">
      <h2>${t(`guest.gone.${phase}`)}</h2>
      <p>${t(`guest.gone.${phase}.more`)}</p>
      <p><button type="button" class="button" onClick=${() => location.reload()}>${t("guest.gone.again")}</button></p>
    </div></main>`;
}

