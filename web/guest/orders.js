// The orders on the guest's page: mine with their steps, and those of the table's others.

import { words } from "../shared/api.js";
import { money, when } from "../shared/format.js";
import { t, useLanguage } from "../shared/messages.js";
import { Dialog, Icon, reasonText, StatusBadge, toast } from "../shared/parts.js";
import { html, useNow, useState, useValue } from "../shared/ui.js";
import { cancelOrder } from "./cart.js";

/** Statuses in which a guest may still cancel. */
const CANCELLABLE = ["pending", "processing"];

export function Orders({ table, zone }) {
  useLanguage();
  const orders = useValue(table.orders);
  if (!orders || orders.size === 0) return null;
  const newestFirst = [...orders.values()].sort((a, b) => (b.number ?? 0) - (a.number ?? 0));
  const mine = newestFirst.filter((order) => order.mine);
  const others = newestFirst.filter((order) => !order.mine);
  const open = mine.filter((order) => !order.ended_at);
  const ended = mine.filter((order) => order.ended_at);
  // The newest one stands open also when it has ended, so that nobody has to look for how it went.
  const shown = open.length > 0 ? open : ended.slice(0, 1);
  const earlier = ended.filter((order) => !shown.includes(order));
  return html`<section class="guest-orders" aria-labelledby="orders-title">
    <h2 id="orders-title">${t("guest.orders.title")}</h2>
    ${shown.length > 0 && html`<ul class="guest-order-list">${shown.map((order) => html`<${Order} key=${order.id} order=${order} table=${table} zone=${zone} />`)}</ul>`}
    ${earlier.length > 0 && html`<details><summary>${t("guest.orders.earlier", { count: earlier.length })}</summary>
      <ul class="guest-order-list">${earlier.map((order) => html`<${Order} key=${order.id} order=${order} table=${table} zone=${zone} />`)}</ul></details>`}
    ${others.length > 0 && html`<details><summary>${t("guest.orders.others", { count: others.length })}</summary>
      <ul class="guest-order-list">${others.map((order) => html`<${Order} key=${order.id} order=${order} table=${table} zone=${zone} />`)}</ul></details>`}
  </section>`;
}

/** One order; the same on the status page of an order. */
export function Order({ order, table, zone }) {
  useLanguage();
  const [asking, ask] = useState(false);
  const canCancel = table && order.mine && CANCELLABLE.includes(order.status) && (order.next?.includes("cancelled") ?? true);
  return html`<li class="panel guest-order" data-status=${order.status}>
    <div class="guest-order-top"><h3>${t("guest.order", { number: order.number ?? "" })}</h3><${StatusBadge} status=${order.status} /></div>
    ${order.reason && html`<p class="guest-order-reason" dir="auto">${reasonText(order.reason)}</p>`}
    <${Times} order=${order} zone=${zone} />
    <${Items} items=${order.items ?? []} />
    <div class="guest-order-foot"><span class="number">${money(order.total)}</span>
      ${canCancel && html`<button type="button" class="button danger small" onClick=${() => ask(true)}>${t("guest.cancel")}</button>`}</div>
    ${asking && html`<${Cancel} order=${order} table=${table} onClose=${() => ask(false)} />`}
  </li>`;
}

function Times({ order, zone }) {
  const now = useNow(30_000);
  if (order.ended_at) return null;
  const ready = order.ready_at ?? null;
  const late = ready && Date.parse(ready) < now;
  if (["ready", "dispatched"].includes(order.status)) return null;
  if (ready) return html`<p class="guest-order-time"><${Icon} name="clock" size=${18} />${late ? t("guest.ready.soon") : t("guest.ready.at", { time: when(ready, zone) })}</p>`;
  if (order.wanted_at) return html`<p class="guest-order-time"><${Icon} name="clock" size=${18} />${t("guest.wanted.at", { time: when(order.wanted_at, zone) })}</p>`;
  return null;
}

/** The items of an order with their options and notes: a note on an allergy stands wherever the item does. */
export function Items({ items }) {
  return html`<ul class="guest-items">${items.map((item) => html`<li key=${item.id}>
    <span class="number">${item.quantity} ×</span> <span dir="auto">${item.name}</span>
    ${(item.options ?? []).length > 0 && html`<span class="quiet small guest-item-more" dir="auto">${item.options.map((option) => (option.quantity > 1 ? `${option.quantity} × ${option.name}` : option.name)).join(", ")}</span>`}
    ${item.note && html`<span class="guest-item-note" dir="auto"><${Icon} name="note" size=${16} />${item.note}</span>`}
  </li>`)}</ul>`;
}

function Cancel({ order, table, onClose }) {
  const [state, setState] = useState({ kind: "asking" });
  const cancel = async () => {
    setState({ kind: "sending" });
    const outcome = await cancelOrder(table.code, order.id, (unknown) => setState({ kind: "unknown", outcome: unknown }));
    if (outcome.kind === "done") {
      table.takeOwn(outcome.body);
      toast(t("guest.cancelled", { number: order.number }));
      onClose();
    } else {
      setState({ kind: "refused", outcome });
    }
  };
  const sending = state.kind === "sending" || state.kind === "unknown";
  return html`<${Dialog} title=${t("guest.cancel.title", { number: order.number })} onClose=${onClose}>
    <p>${t("guest.cancel.says")}</p>
    <div role="status">${state.outcome && html`<p class="guest-missed">${words(state.outcome)}</p>`}</div>
    <div class="dialog-foot">
      <button type="button" class="button" onClick=${onClose}>${t("guest.cancel.keep")}</button>
      <button type="button" class="button danger" aria-busy=${sending} disabled=${sending} onClick=${cancel}>${t("guest.cancel.do")}</button>
    </div>
  <//>`;
}
