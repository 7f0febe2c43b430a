// What waits for a person, with its reason and its next step.

import { dateTime, duration } from "../shared/format.js";
import { t, useLanguage } from "../shared/messages.js";
import { Icon } from "../shared/parts.js";
import { html } from "../shared/ui.js";
import { useAct } from "./act.js";
import { path, usePoll, Waiting } from "./poll.js";
import { StoreName, storeOf } from "./scope.js";

export function Stuck({ account, store, go }) {
  useLanguage();
  const poll = usePoll(account, path("/stuck", { store_id: store.id, limit: 100 }), { pages: 5 });
  const items = poll.body?.items ?? [];
  return html`<section class="board-view" aria-labelledby="stuck-title">
    <h2 id="stuck-title">${t("board.view.stuck")} <span class="quiet number">${poll.body ? items.length : ""}</span></h2>
    <${Waiting} poll=${poll} />
    ${poll.body && items.length === 0 && html`<p class="all-well"><${Icon} name="check" />${t("board.stuck.none")}</p>`}
    <ul class="entries">${items.map((entry) => html`<${Entry} key=${`${entry.kind}${entry.handoff_id ?? entry.callback_id ?? entry.order_id ?? entry.since}`} account=${account} scope=${store} entry=${entry} again=${poll.again} go=${go} />`)}</ul>
  </section>`;
}

/** What can be done at once about an entry: a request, or null. */
function remedy(entry) {
  if (["handoff_failed", "handoff_held", "handoff_parked"].includes(entry.kind)) return { says: "panel.handoff.retry", method: "POST", path: `/api/v1/handoffs/${entry.handoff_id}/retry` };
  if (entry.kind === "order_idle") return { says: "board.deliver", method: "PUT", path: `/api/v1/orders/${entry.order_id}/status`, body: { status: "delivered" } };
  if (entry.kind === "order_overdue") return { says: "panel.move.accepted", method: "PUT", path: `/api/v1/orders/${entry.order_id}/status`, body: { status: "accepted" } };
  return null;
}

function Entry({ account, scope, entry, again, go }) {
  const [act, busy] = useAct(account, again);
  const store = storeOf(scope, entry.store_id);
  const { says, ...request } = remedy(entry) ?? {};
  return html`<li class="entry">
    <div class="entry-top"><strong>${t(`board.kind.${entry.kind}`)}</strong>
      ${entry.order_number && html`<span>#${entry.order_number}</span>`}${entry.integrator && html`<span>${entry.integrator}</span>`}<${StoreName} scope=${scope} id=${entry.store_id} />
      <span class="quiet">${t("board.since", { at: dateTime(entry.since, store.timezone), age: duration(Date.now() - Date.parse(entry.since)) })}</span></div>
    <p>${t(`board.next.${entry.kind}`)}</p>
    <details><summary>${t("board.details")}</summary><div lang="en"><p>${entry.why}</p><p class="quiet">${entry.next}</p></div></details>
    <div class="moves">
      ${says && html`<button type="button" class="button primary" disabled=${busy} aria-busy=${busy} onClick=${() => act(t(says), request)}>${t(says)}</button>`}
      ${entry.order_id && store.id && html`<button type="button" class="button" onClick=${() => go("orders", { of: store.id, at: entry.order_id })}>${t("board.order.open")}</button>`}
      ${entry.integrator_id && html`<button type="button" class="button" onClick=${() => go("integrators")}>${t("board.view.integrators")}</button>`}
    </div>
  </li>`;
}
