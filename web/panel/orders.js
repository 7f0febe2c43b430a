// Orders that are no table's: pickup, delivery, and what other programs place.

import { when } from "../shared/format.js";
import { t, useLanguage } from "../shared/messages.js";
import { StatusBadge } from "../shared/parts.js";
import { html, useState, useValue } from "../shared/ui.js";
import { arrows } from "./keys.js";
import { isOpen } from "./model.js";
import { OrderCard, OrderDialog } from "./order-card.js";
import { Age, orderPlace } from "./order-parts.js";
import { useSettled } from "./settled.js";

const SHOWN = 40;

/** The list beside the tables: one row for each order; a tap opens it. */
export function OtherList({ desk }) {
  useLanguage();
  useValue(desk.changed);
  const store = useValue(desk.store);
  const [opened, open] = useState(null);
  const [shown, show] = useState(SHOWN);
  const all = desk.model.otherOrders;
  const rows = useSettled(all, (order) => order.id);
  return html`<ul class="rows" ...${rows.watch} onKeyDown=${arrows(".row")}>
      ${rows.items.slice(0, shown).map((order) => html`<li key=${order.id}>
        <button type="button" class="row order-row" data-urgency=${desk.model.isUnseen(order) ? 3 : 0} onClick=${() => open(order.id)}>
          <span class="row-name">#${order.number} ${order.customer?.name ?? orderPlace(order)}</span>
          <span class="row-says quiet">${orderPlace(order)}${order.wanted_at ? ` · ${when(order.wanted_at, desk.zone)}` : ""}</span>
          <span class="row-state"><${StatusBadge} status=${order.status} />${isOpen(order) && html`<${Age} order=${order} store=${store} />`}</span>
        </button></li>`)}
    </ul>
    ${all.length === 0 && html`<p class="empty quiet">${t("panel.others.none")}</p>`}
    ${shown < all.length && html`<button type="button" class="button small" onClick=${() => show(shown + SHOWN)}>${t("panel.more")}</button>`}
    ${opened && html`<${OrderDialog} key=${opened} desk=${desk} id=${opened} onClose=${() => open(null)} />`}`;
}

/** The same orders as cards with their buttons. */
export function OtherOrders({ desk }) {
  useLanguage();
  useValue(desk.changed);
  const [shown, show] = useState(SHOWN);
  const all = desk.model.otherOrders;
  const cards = useSettled(all, (order) => order.id);
  return html`<section class="cards-view" aria-labelledby="orders-title">
    <header class="column-top"><h2 id="orders-title">${t("panel.others")} <span class="quiet number">${all.filter(isOpen).length}</span></h2></header>
    <div class="cards" ...${cards.watch} onPointerUp=${() => desk.look(all.slice(0, shown))}>
      ${cards.items.slice(0, shown).map((order) => html`<${OrderCard} key=${order.id} desk=${desk} order=${order} />`)}
    </div>
    ${all.length === 0 && html`<p class="empty quiet">${t("panel.others.none")}</p>`}
    ${shown < all.length && html`<button type="button" class="button" onClick=${() => show(shown + SHOWN)}>${t("panel.more")}</button>`}
  </section>`;
}
