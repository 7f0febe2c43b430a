// Updates of outside systems that changed nothing or wait to be applied.

import { dateTime } from "../shared/format.js";
import { t, useLanguage } from "../shared/messages.js";
import { Icon } from "../shared/parts.js";
import { html } from "../shared/ui.js";
import { path, usePoll, Waiting } from "./poll.js";
import { StoreName, storeOf } from "./scope.js";

/** Every result but "applied". */
const RESULTS = ["waiting", "parked", "unmatched", "illegal", "unmapped", "stale", "conflict", "unchanged"];
/** Results that somebody should look at; the others happen in every service. */
const WARNS = ["waiting", "parked", "unmatched", "illegal", "unmapped", "conflict"];

export function Callbacks({ account, store, go }) {
  useLanguage();
  const poll = usePoll(account, path("/callbacks", { store_id: store.id, result: RESULTS.join(), limit: 100 }));
  const items = poll.body?.items ?? [];
  return html`<section class="board-view" aria-labelledby="callbacks-title">
    <h2 id="callbacks-title">${t("board.view.callbacks")} <span class="quiet number">${poll.body ? items.length : ""}</span></h2>
    <${Waiting} poll=${poll} />
    ${poll.body && items.length === 0 && html`<p class="all-well"><${Icon} name="check" />${t("board.callbacks.none")}</p>`}
    <ul class="entries">${items.map((one) => html`<${Callback} key=${one.id} scope=${store} callback=${one} go=${go} />`)}</ul>
  </section>`;
}

export function Callback({ scope, callback: one, go }) {
  const store = storeOf(scope, one.store_id);
  const said = [one.payload?.status ?? one.payload?.delivery?.status, one.reference].filter(Boolean).join(" · ");
  return html`<li class="entry">
    <div class="entry-top"><strong>${one.integrator}</strong>${one.order_number && html`<span>#${one.order_number}</span>`}<${StoreName} scope=${scope} id=${one.store_id} />
      <span class="badge" data-tone=${WARNS.includes(one.result) ? "warn" : "quiet"}>${t(`board.result.${one.result}`)}</span><span class="quiet">${dateTime(one.received_at, store.timezone)}</span></div>
    ${said && html`<p>${said}</p>`}
    ${one.detail && html`<p class="quiet" lang="en">${one.detail}</p>`}
    ${go && one.order_id && store.id && html`<div class="moves"><button type="button" class="button small" onClick=${() => go("orders", { of: store.id, at: one.order_id })}>${t("board.order.open")}</button></div>`}
  </li>`;
}
