// The events of an order: when, what, and who.

import { exact } from "../shared/format.js";
import { has, t } from "../shared/messages.js";
import { reasonText, statusText } from "../shared/parts.js";
import { html, useEffect, useState } from "../shared/ui.js";

function eventText({ type, data }) {
  if (type === "order.status_changed") return statusText(data.order.status);
  if (type === "delivery.moved") return t("board.event.delivery.moved");
  if (type === "handoff.failed") return t("panel.event.handoff_failed", { integrator: data.handoff.integrator });
  const word = type.replace("order.", "");
  return has(`panel.event.${word}`) ? t(`panel.event.${word}`) : type;
}

const actorText = (actor) => actor?.name ?? (actor && has(`panel.actor.${actor.kind}`) ? t(`panel.actor.${actor.kind}`) : "");

export function OrderHistory({ account, order, zone }) {
  const [events, keep] = useState([]);
  useEffect(() => {
    let over = false;
    account.call({ path: `/api/v1/orders/${order.id}/events` }).then((outcome) => !over && outcome.kind === "done" && keep(outcome.body.items ?? outcome.body));
    return () => (over = true);
  }, [order.id, order.version, order.status]);
  if (events.length === 0) return null;
  return html`<h4>${t("panel.history.show")}</h4><ol class="timeline">${events.map(
    (event) => html`<li key=${event.seq}><time datetime=${event.at}>${exact(event.at, zone)}</time> ${eventText(event)} <span class="quiet">${actorText(event.actor)}${event.type === "order.status_changed" && event.data.order.reason ? ` – ${reasonText(event.data.order.reason)}` : ""}</span></li>`,
  )}</ol>`;
}
