// One order in full: its lines, its customer, its buttons, and on request its history and handoffs.

import { money, time, when } from "../shared/format.js";
import { has, t, useLanguage } from "../shared/messages.js";
import { Dialog, Icon, reasonText, StatusBadge, statusText } from "../shared/parts.js";
import { html, useEffect, useState, useValue } from "../shared/ui.js";
import { isOpen } from "./model.js";
import { Age, Lines, Moves, orderPlace, Stale } from "./order-parts.js";
import { printTicket } from "./paper.js";

export function OrderCard({ desk, order, showPlace = true, withHistory = false }) {
  useLanguage();
  const store = useValue(desk.store);
  const [history, showHistory] = useState(withHistory);
  const zone = desk.zone;
  return html`<article class="order-card" data-open=${isOpen(order)} aria-label=${t("panel.order.number", { number: order.number })}>
    <header class="order-top">
      <h3><span class="order-number">#${order.number}</span>${showPlace && html` <bdi>${orderPlace(order)}</bdi>`}</h3>
      <${StatusBadge} status=${order.status} />
      ${isOpen(order) && html`<${Age} order=${order} store=${store} />`}
    </header>
    ${order.user_note && html`<p class="note big"><${Icon} name="note" /><span>${order.user_note}</span></p>`}
    <${Lines} order=${order} />
    <${Customer} order=${order} />
    ${order.reason && html`<p class="quiet">${reasonText(order.reason)}</p>`}
    <p class="order-facts quiet">
      <strong>${money(order.total)}</strong>
      <span>${t("panel.order.placed", { at: time(order.placed_at ?? order.created_at, zone) })}</span>
      ${order.wanted_at && html`<span>${t("panel.order.wanted", { at: when(order.wanted_at, zone) })}</span>`}
      ${order.ready_at && isOpen(order) && html`<span>${t("panel.order.ready_at", { at: when(order.ready_at, zone) })}</span>`}
      ${order.delivery && html`<span>${deliveryText(order.delivery.status)}</span>`}
      ${order.reference && html`<span>${t("panel.order.reference", { reference: order.reference })}</span>`}
    </p>
    <${Moves} desk=${desk} order=${order} />
    <div class="order-more">
      <button type="button" class="button plain small" aria-expanded=${history} onClick=${() => showHistory(!history)}>${t(history ? "panel.history.hide" : "panel.history.show")}</button>
      <button type="button" class="button plain small" onClick=${() => printTicket(desk, order)}>${t("panel.print.ticket")}</button>
    </div>
    ${history && html`<${History} desk=${desk} order=${order} />`}
  </article>`;
}

const deliveryText = (status) => (has(`panel.delivery.${status}`) ? t(`panel.delivery.${status}`) : status);

function Customer({ order }) {
  const { name, phone, email, address } = order.customer ?? {};
  if (!name && !phone && !email && !address) return null;
  return html`<address class="customer">
    ${name && html`<strong dir="auto">${name}</strong>`}
    ${phone && html`<a href=${`tel:${phone.replace(/[^+\d]/g, "")}`}>${phone}</a>`}
    ${email && html`<span>${email}</span>`}
    ${address && html`<span dir="auto">${address}</span>`}
  </address>`;
}

/** Who did it, as far as an event says so. */
function actorText(actor) {
  if (!actor) return "";
  return actor.name ?? (has(`panel.actor.${actor.kind}`) ? t(`panel.actor.${actor.kind}`) : actor.kind);
}

function eventText(event) {
  if (event.type === "order.status_changed") return statusText(event.data.order.status);
  if (event.type === "delivery.moved") return deliveryText(event.data.order.delivery?.status);
  if (event.type === "handoff.failed") return t("panel.event.handoff_failed", { integrator: event.data.handoff.integrator });
  const word = event.type.replace("order.", "");
  return has(`panel.event.${word}`) ? t(`panel.event.${word}`) : event.type;
}

/** The history of an order and its handoffs; read anew when the order changes. */
function History({ desk, order }) {
  const [read, keep] = useState(null);
  useEffect(() => {
    let over = false;
    desk.history(order).then(([events, handoffs]) => over || keep({ events, handoffs }));
    return () => (over = true);
  }, [order.id, order.status, order.version, order.delivery?.status]);
  if (!read) return html`<p class="quiet" role="status">${t("panel.loading")}</p>`;
  const events = read.events.kind === "done" ? (read.events.body.items ?? read.events.body) : [];
  const handoffs = read.handoffs.kind === "done" ? read.handoffs.body : [];
  return html`<div class="history">
    ${(read.events.kind !== "done" || read.handoffs.kind !== "done") && html`<p role="alert">${t("panel.history.failed")}</p>`}
    <ol class="timeline">
      ${events.map((event) => html`<li key=${event.seq}><time datetime=${event.at}>${time(event.at, desk.zone)}</time> <span>${eventText(event)}</span> <span class="quiet">${actorText(event.actor)}${event.data.order?.reason && event.type === "order.status_changed" ? ` – ${reasonText(event.data.order.reason)}` : ""}</span></li>`)}
    </ol>
    ${handoffs.length > 0 && html`<h4>${t("panel.handoffs")}</h4><ul class="handoffs">${handoffs.map((handoff) => html`<${Handoff} key=${handoff.id} desk=${desk} handoff=${handoff} />`)}</ul>`}
  </div>`;
}

const RETRYABLE = ["failed", "held", "parked"];
const TONE = { acknowledged: "good", failed: "bad", parked: "bad", held: "warn", waiting: "wait", sending: "wait", due: "wait" };

function Handoff({ desk, handoff: first }) {
  const [handoff, keep] = useState(first);
  useEffect(() => keep(first), [first]);
  const { role } = useValue(desk.account.state).user ?? {};
  const attempts = handoff.attempts?.filter((attempt) => attempt.round === handoff.round && attempt.counted).length ?? 0;
  const mayRetry = RETRYABLE.includes(handoff.state) && !handoff.not_retryable && role !== "staff";
  const retry = async () => {
    const again = await desk.retryHandoff(handoff);
    if (again) keep(again);
  };
  return html`<li class="handoff">
    <strong>${handoff.integrator}</strong>
    <span class="badge" data-tone=${TONE[handoff.state] ?? "quiet"}>${t(`panel.handoff.${handoff.state}`)}</span>
    <span class="quiet">${t("panel.handoff.attempts", { attempts, max: handoff.max_attempts })}${handoff.next_attempt_at ? ` · ${t("panel.handoff.next", { at: time(handoff.next_attempt_at, desk.zone) })}` : ""}</span>
    ${handoff.error && html`<span class="quiet handoff-error">${handoff.error}</span>`}
    ${mayRetry && html`<button type="button" class="button small" onClick=${retry}>${t("panel.handoff.retry")}</button>`}
  </li>`;
}

/** One order in a dialog of its own. */
export function OrderDialog({ desk, id, onClose }) {
  useLanguage();
  useValue(desk.changed);
  const order = desk.model.orders.get(id);
  useEffect(() => {
    desk.loadOrder(id);
    if (order) desk.look([order]);
  }, [id]);
  if (!order) return null;
  return html`<${Dialog} title=${`${orderPlace(order)} · #${order.number}`} onClose=${onClose}>
    <${Stale} desk=${desk} />
    <${OrderCard} desk=${desk} order=${order} showPlace=${false} withHistory />
  <//>`;
}
