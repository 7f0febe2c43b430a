// A table in a dialog: its code to scan, its orders, and closing it.

import { money } from "../shared/format.js";
import { t, useLanguage } from "../shared/messages.js";
import { words } from "../shared/api.js";
import { Dialog, toast } from "../shared/parts.js";
import { html, useEffect, useGrowing, useKept, useRef, useState, useValue } from "../shared/ui.js";
import { isOpen } from "./model.js";
import { OrderCard } from "./order-card.js";
import { Stale } from "./order-parts.js";
import { codePicture, printCodes } from "./paper.js";

/** So many orders are there at once; the others follow. */
const CARDS_AT_ONCE = 4;

export function TableDialog({ desk, which, onClose }) {
  useLanguage();
  useValue(desk.changed);
  const closed = useValue(desk.closed);
  const [stream, follow] = useState(which.stream);
  const [older, read] = useState({ items: [], cursor: null, trouble: null });
  // A table that was just opened is known by its code until the channel has told of it.
  useEffect(() => {
    if (stream) return;
    for (const [id, table] of desk.model.tables) if (table.code === which.code) follow(id);
  });
  const table = desk.model.tables.get(stream) ?? closed.items.find((one) => one.code === which.code);
  const code = table?.code ?? which.code;
  const load = async (cursor = null) => {
    if (!code) return;
    const outcome = await desk.ordersOf({ code }, cursor);
    if (outcome.kind !== "done") return read((before) => ({ ...before, trouble: outcome }));
    read((before) => ({ items: [...(cursor ? before.items : []), ...outcome.body.items], cursor: outcome.body.next_cursor ?? null, trouble: null }));
  };
  useEffect(() => void load(), [code]);
  const live = stream ? desk.model.ordersOf(stream) : [];
  const known = new Set(live.map((order) => order.id));
  const orders = [...live, ...older.items.filter((order) => !known.has(order.id))].map((order) => desk.model.orders.get(order.id) ?? order);
  // Open ones first, the oldest on top; then the others, the newest on top.
  orders.sort((a, b) => isOpen(b) - isOpen(a) || (isOpen(a) ? a.number - b.number : b.number - a.number));
  useEffect(() => {
    desk.look(live);
  }, [live.length, desk.changed.value]);
  const grown = useGrowing(orders.length, { first: CARDS_AT_ONCE });
  const keep = useKept();
  if (!table) return html`<${Dialog} title=${t("panel.loading")} onClose=${onClose}><p>${t("panel.loading")}</p><//>`;
  return html`<${Dialog} wide title=${table.name} onClose=${onClose}>
    <${Stale} desk=${desk} />
    <div class="table-dialog">
      <${Code} desk=${desk} table=${{ ...table, code }} />
      <section class="table-orders" aria-label=${t("panel.table.orders")}>
        ${older.trouble && html`<p role="alert" class="trouble">${words(older.trouble)} <button type="button" class="button small" onClick=${() => load()}>${t("panel.again")}</button></p>`}
        ${orders.length === 0 && !older.trouble && html`<p class="quiet empty">${t("panel.table.none")}</p>`}
        ${orders.slice(0, grown).map((order) => keep(order.id, [order], () => html`<${OrderCard} key=${order.id} desk=${desk} order=${order} showPlace=${false} />`))}
        ${older.cursor && html`<button type="button" class="button" onClick=${() => load(older.cursor)}>${t("panel.more")}</button>`}
      </section>
    </div>
    ${code && html`<${Close} desk=${desk} table=${{ ...table, code }} orders=${orders.filter(isOpen)} onClosed=${onClose} />`}
  <//>`;
}

function Code({ desk, table }) {
  const [asking, ask] = useState(false);
  const [shown, show] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(table.url);
      toast(t("panel.code.copied"));
    } catch {
      show(true); // pages over plain HTTP may not write to the clipboard: the link is shown to be copied by hand
    }
  };
  const renew = async () => {
    ask(false);
    if (await desk.renewCode(table)) toast(t("panel.code.renewed"));
  };
  if (table.state === "CLOSED") return html`<p class="quiet table-closed">${t("panel.table.closed")}</p>`;
  if (!table.code) return html`<p class="quiet">${t("panel.loading")}</p>`;
  return html`<section class="table-code" aria-label=${t("panel.code")}>
    <img src=${codePicture(table)} width="240" height="240" alt=${t("panel.code.alt", { name: table.name })} />
    <p>${t("panel.code.scan")}</p>
    <div class="table-tools">
      <button type="button" class="button" onClick=${() => printCodes(desk, [table])}>${t("panel.code.print")}</button>
      <button type="button" class="button" onClick=${copy}>${t("panel.code.copy")}</button>
      ${!asking && html`<button type="button" class="button" onClick=${() => ask(true)}>${t("panel.code.renew")}</button>`}
    </div>
    ${shown && html`<label class="field"><span>${t("panel.code.link")}</span><input type="text" readonly value=${table.url} onFocus=${(event) => event.currentTarget.select()} /></label>`}
    ${asking && html`<div class="sure-box"><p>${t("panel.code.renew.sure")}</p><button type="button" class="button danger" onClick=${renew}>${t("panel.code.renew")}</button> <button type="button" class="button" onClick=${() => ask(false)}>${t("panel.back")}</button></div>`}
  </section>`;
}

/** Closing shows first what is unfinished, and offers to finish it. */
function Close({ desk, table, orders, onClosed }) {
  const [asking, ask] = useState(false);
  const [busy, work] = useState(false);
  const question = useRef(null);
  useEffect(() => question.current?.focus(), [asking]);
  if (table.state === "CLOSED") return null;
  const close = async (finish) => {
    work(true);
    const done = await desk.closeTable(table, finish);
    work(false);
    if (!done) return;
    const left = done.unfinished_count;
    toast(left > 0 ? t("panel.close.left", { name: table.name, count: left }) : t("panel.close.done", { name: table.name }));
    onClosed();
  };
  if (!asking) return html`<div class="dialog-foot"><button type="button" class="button danger large" onClick=${() => ask(true)}>${t("panel.close")}</button></div>`;
  const finishable = orders.filter((order) => !["pending", "processing"].includes(order.status)).length;
  return html`<section class="sure-box" ref=${question} tabindex="-1" aria-label=${t("panel.close")}>
    ${orders.length === 0 ? html`<p>${t("panel.close.nothing")}</p>` : html`<p>${t("panel.close.unfinished", { count: orders.length })}</p>
      <ul class="unfinished">${orders.slice(0, 20).map((order) => html`<li key=${order.id}>#${order.number} · ${t(`shared.status.${order.status}`)} · ${order.items.map((item) => `${item.quantity} × ${item.name}`).join(", ")} · ${money(order.total)}</li>`)}</ul>`}
    <div class="moves">
      ${finishable > 0 && html`<button type="button" class="button primary large" disabled=${busy} onClick=${() => close(true)}>${t("panel.close.finish", { count: finishable })}</button>`}
      <button type="button" class="button danger large" disabled=${busy} onClick=${() => close(false)}>${t(orders.length > 0 ? "panel.close.anyway" : "panel.close.now")}</button>
      <button type="button" class="button large" onClick=${() => ask(false)}>${t("panel.back")}</button>
    </div>
  </section>`;
}
