// What waits for a person, with its reason and its next step.

import { newKey, words } from "../shared/api.js";
import { dateTime, duration } from "../shared/format.js";
import { t, useLanguage } from "../shared/messages.js";
import { Icon, toast } from "../shared/parts.js";
import { html, useState } from "../shared/ui.js";
import { usePoll, Waiting } from "./poll.js";

export function Stuck({ account, store }) {
  useLanguage();
  const poll = usePoll(account, `/stuck?store_id=${store.id}&limit=100`);
  const items = poll.body?.items ?? [];
  return html`<section class="board-view" aria-labelledby="stuck-title">
    <h2 id="stuck-title">${t("board.view.stuck")} <span class="quiet number">${poll.body ? items.length : ""}</span></h2>
    <${Waiting} poll=${poll} />
    ${poll.body && items.length === 0 && html`<p class="all-well"><${Icon} name="check" />${t("board.stuck.none")}</p>`}
    <ul class="entries">${items.map((entry) => html`<${Entry} key=${`${entry.kind}${entry.handoff_id ?? entry.callback_id ?? entry.order_id}`} account=${account} store=${store} entry=${entry} again=${poll.again} />`)}</ul>
  </section>`;
}

/** What can be done at once about an entry: a request, or null. */
function remedy(entry) {
  if (["handoff_failed", "handoff_held", "handoff_parked"].includes(entry.kind)) return { says: "panel.handoff.retry", method: "POST", path: `/api/v1/handoffs/${entry.handoff_id}/retry` };
  if (entry.kind === "order_idle") return { says: "board.deliver", method: "PUT", path: `/api/v1/orders/${entry.order_id}/status`, body: { status: "delivered" } };
  if (entry.kind === "order_overdue") return { says: "panel.move.accepted", method: "PUT", path: `/api/v1/orders/${entry.order_id}/status`, body: { status: "accepted" } };
  return null;
}

function Entry({ account, store, entry, again }) {
  const [busy, work] = useState(false);
  const step = remedy(entry);
  const run = async () => {
    work(true);
    const { says, ...request } = step;
    const outcome = await account.settle({ ...request, key: request.method === "POST" ? newKey() : undefined });
    work(false);
    if (outcome.kind === "done") toast(t("board.done", { what: t(says) }));
    else toast(words(outcome), "bad");
    again();
  };
  return html`<li class="entry">
    <div class="entry-top"><strong>${t(`board.kind.${entry.kind}`)}</strong>
      ${entry.order_number && html`<span>#${entry.order_number}</span>`}${entry.integrator && html`<span>${entry.integrator}</span>`}
      <span class="quiet">${t("board.since", { at: dateTime(entry.since, store.timezone), age: duration(Date.now() - Date.parse(entry.since)) })}</span></div>
    <p>${entry.why}</p>
    <p class="quiet">${entry.next}</p>
    <div class="moves">
      ${step && html`<button type="button" class="button primary" disabled=${busy} aria-busy=${busy} onClick=${run}>${t(step.says)}</button>`}
    </div>
  </li>`;
}
