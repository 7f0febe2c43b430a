// One order and all that is known about it: found by number, name or phone, or opened from a list of the board.

import { words } from "../shared/api.js";
import { dateTime, exact, money } from "../shared/format.js";
import { t, useLanguage } from "../shared/messages.js";
import { reasonText, StatusBadge, toast } from "../shared/parts.js";
import { html, useEffect, useState } from "../shared/ui.js";
import { Lines, moveText, orderPlace } from "../panel/order-parts.js";
import { useAct } from "./act.js";
import { Callback } from "./callbacks.js";
import { eventOf, reasonOf } from "./failed.js";
import { OrderHistory } from "./order-history.js";
import { path, read, usePoll, Waiting } from "./poll.js";

const RETRYABLE = ["failed", "held", "parked"];
const TONE = { acknowledged: "good", failed: "bad", parked: "bad", held: "warn", waiting: "wait", sending: "wait", due: "wait" };
/** Moves that the guest is told a reason for. */
const REASONED = ["rejected", "cancelled", "failed"];

export function Orders({ account, store, focus, go }) {
  useLanguage();
  const [wanted, write] = useState("");
  const [found, keep] = useState(null);
  const [trouble, tell] = useState(null);
  const search = async (event) => {
    event.preventDefault();
    tell(null);
    const text = wanted.trim().replace(/^#/, "");
    const outcome = await read(account, path("/orders", { store_id: store.id, limit: 50, [/^\d{1,6}$/.test(text) ? "number" : "q"]: text }), 3);
    if (outcome.kind !== "done") return tell(outcome);
    keep(outcome.body.items);
    if (outcome.body.items.length === 1) go("orders", { at: outcome.body.items[0].id });
  };
  return html`<section class="board-view" aria-labelledby="orders-title">
    <h2 id="orders-title">${t("board.view.orders")}</h2>
    <form class="add search-order" role="search" onSubmit=${search}>
      <label><span class="unseen">${t("board.order.find")}</span><input type="search" required placeholder=${t("board.order.find")} value=${wanted} onInput=${(event) => write(event.currentTarget.value)} /></label>
      <button class="button primary">${t("board.order.search")}</button>
      <${Download} account=${account} store=${store} />
    </form>
    ${trouble && html`<p class="trouble" role="alert">${words(trouble)}</p>`}
    ${found?.length === 0 && html`<p role="status">${t("board.order.none")}</p>`}
    ${found?.length > 1 && html`<ul class="rows">${found.map((order) => html`<li key=${order.id}><button type="button" class="row" aria-current=${order.id === focus ? "true" : null} onClick=${() => go("orders", { at: order.id })}>
      <span class="row-name">#${order.number} · ${orderPlace(order)}${order.customer?.name ? ` · ${order.customer.name}` : ""}</span>
      <span class="row-state"><${StatusBadge} status=${order.status} /><span class="quiet">${dateTime(order.placed_at ?? order.created_at, store.timezone)}</span></span></button></li>`)}</ul>`}
    ${focus && html`<${Order} key=${focus} account=${account} store=${store} id=${focus} go=${go} />`}
  </section>`;
}

/** Time within which a file of many orders must be there. */
const FILE_WITHIN_MS = 120_000;

/** Saves the store's orders as a table that spreadsheets read as it is: hence the byte-order mark. */
function Download({ account, store }) {
  const [busy, work] = useState(false);
  const save = async () => {
    work(true);
    const outcome = await account.call({ path: path("/api/v1/orders.csv", { store_id: store.id, bom: true }), file: true, timeoutMs: FILE_WITHIN_MS });
    work(false);
    if (outcome.kind !== "done") return toast(words(outcome), "bad");
    const [, name = "orders.csv"] = /filename="([^"]+)"/.exec(outcome.headers.get("content-disposition") ?? "") ?? [];
    const href = URL.createObjectURL(outcome.body);
    Object.assign(document.createElement("a"), { href, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(href), FILE_WITHIN_MS);
  };
  return html`<button type="button" class="button" disabled=${busy} aria-busy=${busy} onClick=${save}>${t("board.order.csv")}</button>`;
}

function Order({ account, store, id, go }) {
  const order = usePoll(account, `/orders/${id}`);
  const callbacks = usePoll(account, path("/callbacks", { order_id: id, limit: 50 }));
  const one = order.body;
  if (!one) return html`<${Waiting} poll=${order} />`;
  return html`<article class="panel order-whole" aria-labelledby="order-title">
    <header class="order-top"><h3 id="order-title">#${one.number} · ${orderPlace(one)}</h3><${StatusBadge} status=${one.status} /></header>
    ${one.user_note && html`<p class="note"><span>${one.user_note}</span></p>`}
    <${Lines} order=${one} />
    <p class="order-facts"><strong>${money(one.total)}</strong> <span class="quiet">${t("panel.order.placed", { at: dateTime(one.placed_at ?? one.created_at, store.timezone) })}</span>
      ${["pending", "processing"].includes(one.status) && one.accept_by && html`<span>${t("board.order.accept_by", { at: dateTime(one.accept_by, store.timezone) })}</span>`}
      ${one.customer?.name && html`<span>${one.customer.name}</span>`}${one.customer?.phone && html`<span>${one.customer.phone}</span>`}
      ${one.reference && html`<span class="quiet">${t("panel.order.reference", { reference: one.reference })}</span>`}</p>
    ${one.reason && html`<p>${reasonText(one.reason)}</p>`}
    <${Remedies} account=${account} order=${one} again=${order.again} go=${go} />
    <${OrderHistory} account=${account} order=${one} zone=${store.timezone} />
    <${Handoffs} account=${account} order=${one} zone=${store.timezone} />
    ${callbacks.body?.items.length > 0 && html`<h4>${t("board.order.callbacks")}</h4><ul class="entries">${callbacks.body.items.map((callback) => html`<${Callback} key=${callback.id} scope=${store} callback=${callback} />`)}</ul>`}
  </article>`;
}

/** Buttons for each status that the account may set, for placing it again, and for the customer's link. */
function Remedies({ account, order, again, go }) {
  const [act, busy] = useAct(account, again);
  const [asking, ask] = useState(null);
  const [reason, write] = useState("");
  const [link, show] = useState(null);
  useEffect(() => ask(null), [order.status]);
  const move = (status, why) => act(moveText(order, status), { method: "PUT", path: `/api/v1/orders/${order.id}/status`, body: { status, ...(why && { reason: why }) } });
  const replace = async () => {
    const made = await act(t("board.order.replace"), { method: "POST", path: `/api/v1/orders/${order.id}/replace`, body: {} });
    if (made?.id) go("orders", { at: made.id });
  };
  const fetchLink = async () => {
    const outcome = await account.call({ path: `/api/v1/orders/${order.id}/link` });
    if (outcome.kind === "done") show(outcome.body.url);
  };
  if (asking) {
    return html`<form class="reason" onSubmit=${(event) => (event.preventDefault(), move(asking, reason.trim()))}>
      <label class="field"><span>${t(`panel.reason.${asking}`)}</span><input type="text" required maxlength="200" value=${reason} onInput=${(event) => write(event.currentTarget.value)} /></label>
      <div class="moves"><button class="button danger" disabled=${busy}>${moveText(order, asking)}</button><button type="button" class="button" onClick=${() => ask(null)}>${t("panel.back")}</button></div></form>`;
  }
  return html`<div class="moves">
    ${(order.next ?? []).map((status) => html`<button type="button" key=${status} class="button ${REASONED.includes(status) ? "danger" : ""}" disabled=${busy} onClick=${() => (REASONED.includes(status) ? ask(status) : move(status))}>${moveText(order, status)}</button>`)}
    ${["rejected", "failed", "cancelled"].includes(order.status) && html`<button type="button" class="button" disabled=${busy} onClick=${replace}>${t("board.order.replace")}</button>`}
    ${!order.session && !link && html`<button type="button" class="button" onClick=${fetchLink}>${t("board.order.link")}</button>`}
  </div>
  ${link && html`<label class="field"><span>${t("board.order.link")}</span><input type="text" readonly value=${link} onFocus=${(event) => event.currentTarget.select()} /></label>`}`;
}

function Handoffs({ account, order, zone }) {
  const [handoffs, keep] = useState([]);
  const [message, show] = useState(null);
  const load = async () => {
    const outcome = await account.call({ path: `/api/v1/orders/${order.id}/handoffs` });
    if (outcome.kind === "done") keep(outcome.body);
  };
  useEffect(() => void load(), [order.id, order.version, order.status]);
  const [act, busy] = useAct(account, load);
  const look = async (handoff) => {
    const outcome = await account.call({ path: `/api/v1/handoffs/${handoff.id}/message` });
    show({ id: handoff.id, text: outcome.kind === "done" ? outcome.body.body : words(outcome) });
  };
  if (handoffs.length === 0) return null;
  return html`<h4>${t("panel.handoffs")}</h4><ul class="entries">${handoffs.map((handoff) => html`<li key=${handoff.id} class="entry">
    <div class="entry-top"><strong>${handoff.integrator}</strong><span>${eventOf(handoff.event)}</span><span class="badge" data-tone=${TONE[handoff.state] ?? "quiet"}>${t(`panel.handoff.${handoff.state}`)}</span>
      ${handoff.next_attempt_at && html`<span class="quiet">${t("panel.handoff.next", { at: dateTime(handoff.next_attempt_at, zone) })}</span>`}</div>
    ${handoff.reason && html`<p>${reasonOf(handoff.reason)}</p>`}
    ${handoff.error && html`<p class="quiet" lang="en">${handoff.error}</p>`}
    ${handoff.attempts.length > 0 && html`<ol class="timeline">${handoff.attempts.map((attempt) => html`<li key=${`${attempt.round}.${attempt.n}`}><time datetime=${attempt.started_at}>${exact(attempt.started_at, zone)}</time> ${attempt.round}.${attempt.n} ${attempt.outcome ? t(`board.attempt.${attempt.outcome}`) : "…"} <span class="quiet" lang="en">${[attempt.status, attempt.error, attempt.response].filter(Boolean).join(" · ")}</span></li>`)}</ol>`}
    <div class="moves">
      ${RETRYABLE.includes(handoff.state) && !handoff.not_retryable && html`<button type="button" class="button" disabled=${busy} onClick=${() => act(t("panel.handoff.retry"), { method: "POST", path: `/api/v1/handoffs/${handoff.id}/retry` })}>${t("panel.handoff.retry")}</button>`}
      ${handoff.attempts.length > 0 && html`<button type="button" class="button small" onClick=${() => look(handoff)}>${t("board.order.message")}</button>`}
    </div>
    ${message?.id === handoff.id && html`<pre class="message" tabindex="0">${message.text}</pre>`}
  </li>`)}</ul>`;
}
