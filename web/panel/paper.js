// What is printed: the QR codes of tables, and tickets for an 80 mm printer.

import { dateTime, money } from "../shared/format.js";
import { t } from "../shared/messages.js";
import { html, render } from "../shared/ui.js";
import { Lines, orderPlace } from "./order-parts.js";

/** Prints a view that nobody sees on the screen; waits for its pictures. */
async function print(kind, view) {
  const paper = document.getElementById("paper");
  paper.dataset.kind = kind;
  render(view, paper);
  await Promise.all([...paper.querySelectorAll("img")].map((image) => image.decode().catch(() => {})));
  addEventListener("afterprint", () => render(null, paper), { once: true });
  window.print();
}

/** Prints the codes of tables, one or a sheet of them. */
export function printCodes(desk, tables) {
  const one = (table) => html`<section class="code-card" key=${table.code}>
    <h2><bdi>${table.name}</bdi></h2>
    <img src=${codePicture(table)} alt="" />
    <p>${t("panel.code.scan")}</p>
    <p class="code-store">${desk.store.value.name}</p>
  </section>`;
  return print(tables.length === 1 ? "code" : "sheet", html`<div>${tables.map(one)}</div>`);
}

export function printTicket(desk, order) {
  const zone = desk.zone;
  return print(
    "ticket",
    html`<article class="paper-ticket">
      <p>${desk.store.value.name}</p>
      <h1>${orderPlace(order)}</h1>
      <h2>${t("panel.order.number", { number: order.number })}</h2>
      <p>${dateTime(order.placed_at ?? order.created_at, zone)}</p>
      ${order.wanted_at && html`<p><strong>${t("panel.order.wanted", { at: dateTime(order.wanted_at, zone) })}</strong></p>`}
      <${Lines} order=${order} />
      ${order.user_note && html`<p class="paper-note">${order.user_note}</p>`}
      <p class="paper-total">${t("panel.order.total")} ${money(order.total)}</p>
      ${order.customer && html`<address>${[order.customer.name, order.customer.phone, order.customer.address].filter(Boolean).map((line) => html`<div>${line}</div>`)}</address>`}
    </article>`,
  );
}

export const codePicture = (table) => `/api/v1/sessions/${table.code}/qr.svg`;
