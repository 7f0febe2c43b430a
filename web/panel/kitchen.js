// The kitchen's view: tickets by age in columns, large enough for two metres and for a wet finger.

import { when } from "../shared/format.js";
import { language, t, useLanguage } from "../shared/messages.js";
import { Icon } from "../shared/parts.js";
import { html, useGrowing, useKept, useLayoutEffect, useRef, useState, useValue } from "../shared/ui.js";
import { arrows } from "./keys.js";
import { nextStep } from "./model.js";
import { OrderDialog } from "./order-card.js";
import { Age, isAgain, Lines, moveText, orderPlace, useBeat, useMoving, useUrgency } from "./order-parts.js";
import { useSettled } from "./settled.js";

const COLUMNS = ["new", "making", "ready"];
/** More tickets than this are no help on a wall. */
const SHOWN = 30;
/** So many are there at once; the others follow. */
const AT_ONCE = 6;

export function Kitchen({ desk }) {
  useLanguage();
  useValue(desk.changed);
  const [opened, open] = useState(null);
  return html`<section class="kitchen" aria-label=${t("panel.view.kitchen")} onKeyDown=${arrows(".ticket", { columns: ".lane" })}>
    ${COLUMNS.map((name) => html`<${Lane} key=${name} desk=${desk} name=${name} onOpen=${open} />`)}
    <${Later} desk=${desk} onOpen=${open} />
    ${opened && html`<${OrderDialog} key=${opened} desk=${desk} id=${opened} onClose=${() => open(null)} />`}
  </section>`;
}

/** Orders for later, below the tickets that are due now. */
function Later({ desk, onOpen }) {
  useBeat();
  const all = desk.model.later;
  if (all.length === 0) return null;
  return html`<section class="later" aria-labelledby="lane-later">
    <h2 id="lane-later">${t("panel.lane.later")} <span class="number">${all.length}</span></h2>
    <ul class="rows">${all.slice(0, SHOWN).map((order) => html`<li key=${order.id}><button type="button" class="row" onClick=${() => onOpen(order.id)}>
      <span class="row-name">${when(order.wanted_at, desk.zone)} · <bdi>${orderPlace(order)}</bdi> #${order.number}</span>
      <span class="row-says quiet">${order.items.map((item) => `${item.quantity} × ${item.name}`).join(", ")}</span></button></li>`)}</ul>
  </section>`;
}

function Lane({ desk, name, onOpen }) {
  useBeat();
  const all = desk.model.column(name);
  const tickets = useSettled(all.slice(0, SHOWN), (order) => order.id);
  const shown = useGrowing(tickets.items.length, { first: AT_ONCE });
  const keep = useKept();
  return html`<section class="lane" data-lane=${name} aria-labelledby=${`lane-${name}`}>
    <h2 id=${`lane-${name}`}>${t(`panel.lane.${name}`)} <span class="number">${all.length}</span></h2>
    <ol class="tickets" ...${tickets.watch}>
      ${tickets.items.slice(0, shown).map((order) => {
        const isUnseen = desk.model.isUnseen(order);
        return keep(order.id, [order, isUnseen, language()], () => html`<${Ticket} key=${order.id} desk=${desk} order=${order} isUnseen=${isUnseen} onOpen=${onOpen} />`);
      })}
    </ol>
    ${all.length === 0 && html`<p class="quiet empty">${t(`panel.lane.${name}.none`)}</p>`}
    ${all.length > SHOWN && html`<p class="quiet empty">${t("panel.lane.more", { count: all.length - SHOWN })}</p>`}
  </section>`;
}

/** Gives the focus of a ticket that leaves its lane to the one beside it, so that Enter after Enter works. */
function passOn(ticket) {
  if (!ticket?.contains(document.activeElement)) return;
  const next = ticket.nextElementSibling ?? ticket.previousElementSibling;
  // After the lanes are drawn: this ticket may be the last of its lane, and stands in another one then.
  queueMicrotask(() => (next?.isConnected ? next : document.querySelector(".kitchen .ticket"))?.focus());
}

/** One ticket. It can be focused; Enter makes the usual next step, as the large button does. */
function Ticket({ desk, order, isUnseen, onOpen }) {
  const store = useValue(desk.store);
  const moving = useMoving(desk, order.id);
  const state = useUrgency(order, store);
  const step = nextStep(order);
  const go = (event) => step && !isAgain(event) && desk.move(order, step);
  const place = useRef(null);
  useLayoutEffect(() => () => passOn(place.current), []);
  const pressed = (event) => {
    if (event.target !== event.currentTarget || event.key !== "Enter") return;
    event.preventDefault();
    go(event);
  };
  return html`<li class="ticket" ref=${place} tabindex="0" data-state=${state} data-unseen=${isUnseen} aria-label=${`${orderPlace(order)}, ${t("panel.order.number", { number: order.number })}`} onKeyDown=${pressed}>
    <header>
      <h3><bdi>${orderPlace(order)}</bdi></h3>
      <span class="ticket-number number">#${order.number}</span>
      <${Age} order=${order} store=${store} />
    </header>
    ${order.wanted_at && html`<p class="ticket-wanted"><${Icon} name="clock" />${t("panel.order.wanted", { at: when(order.wanted_at, desk.zone) })}</p>`}
    ${order.user_note && html`<p class="note big"><${Icon} name="note" /><span>${order.user_note}</span></p>`}
    <${Lines} order=${order} />
    ${order.fulfilment !== "table" && order.customer?.name && html`<p class="quiet"><bdi>${order.customer.name}</bdi></p>`}
    <div class="ticket-foot">
      ${step && html`<button type="button" class="button primary large" aria-disabled=${moving ? "true" : null} aria-busy=${Boolean(moving)} onClick=${go}>${moving ? t("panel.moving") : moveText(order, step)}</button>`}
      <button type="button" class="button large" aria-label=${t("panel.ticket.more", { number: order.number })} onClick=${() => onOpen(order.id)}>…</button>
    </div>
  </li>`;
}
