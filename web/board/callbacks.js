// Updates of outside systems that changed nothing or wait to be applied.

import { dateTime } from "../shared/format.js";
import { t, useLanguage } from "../shared/messages.js";
import { Icon } from "../shared/parts.js";
import { html } from "../shared/ui.js";
import { usePoll, Waiting } from "./poll.js";

export function Callbacks({ account, store }) {
  useLanguage();
  const poll = usePoll(account, `/callbacks?store_id=${store.id}&limit=100`);
  const items = (poll.body?.items ?? []).filter((one) => one.result !== "applied");
  return html`<section class="board-view" aria-labelledby="callbacks-title">
    <h2 id="callbacks-title">${t("board.view.callbacks")} <span class="quiet number">${poll.body ? items.length : ""}</span></h2>
    <${Waiting} poll=${poll} />
    ${poll.body && items.length === 0 && html`<p class="all-well"><${Icon} name="check" />${t("board.callbacks.none")}</p>`}
    <ul class="entries">${items.map((one) => html`<li key=${one.id} class="entry">
      <div class="entry-top"><strong>${one.integrator}</strong>${one.order_number && html`<span>#${one.order_number}</span>`}<span class="badge" data-tone="warn">${one.result}</span><span class="quiet">${dateTime(one.received_at, store.timezone)}</span></div>
      ${one.detail && html`<p>${one.detail}</p>`}
      <p class="quiet">${one.payload?.status ?? one.payload?.delivery?.status ?? ""} ${one.reference ?? ""}</p>
    </li>`)}</ul>
  </section>`;
}
