// Handoffs that failed, with their attempts; sent again one by one, or many at a pace after a look at what would happen.

import { newKey, words } from "../shared/api.js";
import { dateTime, time } from "../shared/format.js";
import { t, useLanguage } from "../shared/messages.js";
import { Icon, toast } from "../shared/parts.js";
import { html, useState } from "../shared/ui.js";
import { usePoll, Waiting } from "./poll.js";

export function Failed({ account, store }) {
  useLanguage();
  const poll = usePoll(account, `/handoffs?store_id=${store.id}&state=failed&limit=100`);
  const items = poll.body?.items ?? [];
  const retry = async (handoff) => {
    const outcome = await account.settle({ method: "POST", path: `/api/v1/handoffs/${handoff.id}/retry`, key: newKey() });
    if (outcome.kind === "done") toast(t("board.done", { what: t("panel.handoff.retry") }));
    else toast(words(outcome), "bad");
    poll.again();
  };
  return html`<section class="board-view" aria-labelledby="failed-title">
    <h2 id="failed-title">${t("board.view.failed")} <span class="quiet number">${poll.body ? items.length : ""}</span></h2>
    <${Waiting} poll=${poll} />
    ${poll.body && items.length === 0 && html`<p class="all-well"><${Icon} name="check" />${t("board.failed.none")}</p>`}
    ${items.length > 0 && html`<${Many} account=${account} store=${store} again=${poll.again} />`}
    <ul class="entries">${items.map(
      (handoff) => html`<li key=${handoff.id} class="entry">
        <div class="entry-top"><strong>${handoff.integrator}</strong><span>${handoff.event}</span>${handoff.order_number && html`<span>#${handoff.order_number}</span>`}
          <span class="quiet">${t("panel.handoff.attempts", { attempts: handoff.attempts, max: handoff.max_attempts })} · ${dateTime(handoff.closed_at ?? handoff.created_at, store.timezone)}</span></div>
        <p>${handoff.reason} ${handoff.last_attempt?.status ?? ""} ${handoff.last_attempt?.error ?? handoff.error ?? ""}</p>
        ${handoff.not_retryable ? html`<p class="quiet">${t("board.failed.over")}</p>` : html`<div class="moves"><button type="button" class="button" onClick=${() => retry(handoff)}>${t("panel.handoff.retry")}</button></div>`}
      </li>`,
    )}</ul>
  </section>`;
}

/** Sends all of a store's failed handoffs again: first a dry run, then so many a second. */
function Many({ account, store, again }) {
  const [pace, setPace] = useState("5");
  const [dry, keep] = useState(null);
  const [busy, work] = useState(false);
  const ask = async (dry_run) => {
    work(true);
    const body = dry_run ? { store_id: store.id, dry_run: true } : { store_id: store.id, per_s: Math.max(0.1, Number(pace) || 5) };
    const outcome = await account.settle({ method: "POST", path: "/api/v1/handoffs/retry", body, key: dry_run ? undefined : newKey() });
    work(false);
    if (outcome.kind !== "done") return toast(words(outcome), "bad");
    if (dry_run) return keep(outcome.body);
    keep(null);
    toast(t("board.many.done", { count: outcome.body.retried }));
    again();
  };
  if (!dry) return html`<div class="moves"><button type="button" class="button" disabled=${busy} onClick=${() => ask(true)}>${t("board.many.look")}</button></div>`;
  return html`<form class="sure-box" onSubmit=${(event) => (event.preventDefault(), ask(false))}>
    <p>${t("board.many.would", { count: dry.retried })}</p>
    ${dry.refused.length > 0 && html`<ul>${dry.refused.map((one) => html`<li key=${one.reason}>${t("board.many.refused", { count: one.count, reason: one.reason.replaceAll("_", " ") })}</li>`)}</ul>`}
    ${dry.last_due_at && html`<p class="quiet">${time(dry.first_due_at, store.timezone)} – ${time(dry.last_due_at, store.timezone)}</p>`}
    <label class="field"><span>${t("board.many.pace")}</span><input type="number" min="0.1" max="1000" step="any" value=${pace} onInput=${(event) => setPace(event.currentTarget.value)} /></label>
    <div class="moves"><button class="button primary" disabled=${busy || dry.retried === 0}>${t("board.many.go", { count: dry.retried })}</button><button type="button" class="button" onClick=${() => keep(null)}>${t("panel.back")}</button></div>
  </form>`;
}
