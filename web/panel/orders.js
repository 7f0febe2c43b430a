// Orders that are no table's: pickup, delivery, and what other programs place.

import { when } from "../shared/format.js";
import { language, t, useLanguage } from "../shared/messages.js";
import { StatusBadge } from "../shared/parts.js";
import { html, useGrowing, useKept, useState, useValue } from "../shared/ui.js";
import { arrows } from "./keys.js";
import { isOpen } from "./model.js";
import { OrderCard, OrderDialog } from "./order-card.js";
import { Age, orderPlace } from "./order-parts.js";
import { useSettled } from "./settled.js";

const SHOWN = 40;
/** So many are there at once; the others follow. */
const ROWS_AT_ONCE = 10;
const CARDS_AT_ONCE = 4;

/** The list beside the tables: one row for each order; a tap opens it. */
export function OtherList({ desk }) {
  useLanguage();
  useValue(desk.changed);
  const store = useValue(desk.store);
  const [opened, open] = useState(null);
  const [shown, show] = useState(SHOWN);
  const all = desk.model.otherOrders;
  const rows = useSettled(all, (order) => order.id);
  const grown = useGrowing(Math.min(shown, all.length), { first: ROWS_AT_ONCE });
  const keep = useKept();
  return html`<ul class="rows" ...${rows.watch} onKeyDown=${arrows(".row")}>
      ${rows.items.slice(0, grown).map((order) => {
        const isUnseen = desk.model.isUnseen(order);
        return keep(order.id, [order, isUnseen, store, language()], () => html`<li key=${order.id}>
          <button type="button" class="row order-row" data-urgency=${isUnseen ? 3 : 0} onClick=${() => open(order.id)}>
            <span class="row-name">#${order.number} <bdi>${order.customer?.name ?? orderPlace(order)}</bdi></span>
            <span class="row-says quiet">${orderPlace(order)}${order.wanted_at ? ` · ${when(order.wanted_at, store.timezone)}` : ""}</span>
            <span class="row-state"><${StatusBadge} status=${order.status} />${isOpen(order) && html`<${Age} order=${order} store=${store} />`}</span>
          </button></li>`);
      })}
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
  const grown = useGrowing(Math.min(shown, all.length), { first: CARDS_AT_ONCE });
  const keep = useKept();
  return html`<section class="cards-view" aria-labelledby="orders-title">
    <header class="column-top"><h2 id="orders-title">${t("panel.others")} <span class="quiet number">${all.filter(isOpen).length}</span></h2></header>
    <div class="cards" ...${cards.watch} onPointerUp=${() => desk.look(all.slice(0, shown))}>
      ${cards.items.slice(0, grown).map((order) => keep(order.id, [order], () => html`<${OrderCard} key=${order.id} desk=${desk} order=${order} />`))}
    </div>
    ${all.length === 0 && html`<p class="empty quiet">${t("panel.others.none")}</p>`}
    ${shown < all.length && html`<button type="button" class="button" onClick=${() => show(shown + SHOWN)}>${t("panel.more")}</button>`}
  </section>`;
}
