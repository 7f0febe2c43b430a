// Handoffs that failed or stand still, with their attempts; sent again one by one, or many at a pace after a look.

import { newKey, words } from "../shared/api.js";
import { dateTime, time } from "../shared/format.js";
import { has, t, useLanguage } from "../shared/messages.js";
import { Icon, toast } from "../shared/parts.js";
import { html, useState } from "../shared/ui.js";
import { useAct } from "./act.js";
import { path, usePoll, Waiting } from "./poll.js";
import { StoreName, storeOf } from "./scope.js";

const STATES = ["failed", "held", "parked"];
const REASONS = ["attempts_used_up", "refused", "gone", "deadline", "integrator_disabled"];
const EVENTS = ["order.placed", "order.cancelled", "order.dispatched", "order.status_changed", "order.ready_at_changed", "delivery.moved"];

export const reasonOf = (reason) => (has(`board.reason.${reason}`) ? t(`board.reason.${reason}`) : (reason ?? ""));
export const eventOf = (event) => (has(`board.event.${event}`) ? t(`board.event.${event}`) : event);

export function Failed({ account, store, go }) {
  useLanguage();
  const [filter, set] = useState({ state: "failed", integrator_id: "", event: "", reason: "" });
  const poll = usePoll(account, path("/handoffs", { store_id: store.id, ...filter, limit: 100 }));
  const all = usePoll(account, path("/handoffs", { store_id: store.id, state: STATES.join(), limit: 100 }), { everyMs: 60_000 });
  const items = poll.body?.items ?? [];
  const systems = new Map((all.body?.items ?? []).map((one) => [one.integrator_id, one.integrator]));
  const pick = (name, label, options) => html`<label class="field"><span>${label}</span><select value=${filter[name]} onChange=${(event) => set({ ...filter, [name]: event.currentTarget.value })}>
    ${name !== "state" && html`<option value="">${t("board.filter.all")}</option>`}${options.map(([value, says]) => html`<option key=${value} value=${value}>${says}</option>`)}</select></label>`;
  return html`<section class="board-view" aria-labelledby="failed-title">
    <h2 id="failed-title">${t("board.view.failed")} <span class="quiet number">${poll.body ? `${items.length}${poll.body.isCut ? "+" : ""}` : ""}</span></h2>
    <div class="span filter">
      ${pick("state", t("board.filter.state"), STATES.map((one) => [one, t(`panel.handoff.${one}`)]))}
      ${pick("integrator_id", t("board.filter.system"), [...systems])}
      ${pick("event", t("board.filter.event"), EVENTS.map((one) => [one, eventOf(one)]))}
      ${pick("reason", t("board.filter.reason"), REASONS.map((one) => [one, reasonOf(one)]))}
    </div>
    <${Waiting} poll=${poll} />
    ${poll.body && items.length === 0 && html`<p class="all-well"><${Icon} name="check" />${t("board.failed.none")}</p>`}
    ${items.length > 0 && html`<${Many} key=${JSON.stringify(filter)} account=${account} store=${store} filter=${filter} again=${poll.again} />`}
    <ul class="entries">${items.map((handoff) => html`<${Handoff} key=${handoff.id} account=${account} scope=${store} handoff=${handoff} again=${poll.again} go=${go} />`)}</ul>
    <${Retries} account=${account} zone=${store.timezone} />
  </section>`;
}

function Handoff({ account, scope, handoff, again, go }) {
  const [act, busy] = useAct(account, again);
  const store = storeOf(scope, handoff.store_id);
  const { last_attempt: last } = handoff;
  return html`<li class="entry">
    <div class="entry-top"><strong>${handoff.integrator}</strong><span>${eventOf(handoff.event)}</span>${handoff.order_number && html`<span>#${handoff.order_number}</span>`}<${StoreName} scope=${scope} id=${handoff.store_id} />
      <span class="quiet">${t("panel.handoff.attempts", { attempts: handoff.attempts, max: handoff.max_attempts })} · ${dateTime(handoff.closed_at ?? handoff.created_at, store.timezone)}</span></div>
    <p>${reasonOf(handoff.reason)}</p>
    <p class="quiet" lang="en">${[last?.status, last?.error ?? handoff.error].filter(Boolean).join(" · ")}</p>
    ${handoff.not_retryable && html`<p class="quiet">${t("board.failed.over")}</p>`}
    <div class="moves">
      ${!handoff.not_retryable && html`<button type="button" class="button" disabled=${busy} onClick=${() => act(t("panel.handoff.retry"), { method: "POST", path: `/api/v1/handoffs/${handoff.id}/retry` })}>${t("panel.handoff.retry")}</button>`}
      ${handoff.order_id && store.id && html`<button type="button" class="button" onClick=${() => go("orders", { of: store.id, at: handoff.order_id })}>${t("board.order.open")}</button>`}
    </div>
  </li>`;
}

/** Sends all handoffs of the filter again: first a dry run, then so many a second. */
function Many({ account, store, filter, again }) {
  const [pace, setPace] = useState("5");
  const [dry, keep] = useState(null);
  const [busy, work] = useState(false);
  const chosen = Object.fromEntries(Object.entries({ ...filter, state: [filter.state], store_id: store.id }).filter(([, value]) => value));
  const ask = async (dry_run) => {
    work(true);
    const body = dry_run ? { ...chosen, dry_run: true } : { ...chosen, per_s: Math.min(1000, Math.max(0.1, Number(pace) || 5)) };
    let count = 0;
    let cursor = null;
    // One call examines so many; it is asked to go on until there are no more.
    do {
      const outcome = await account.settle({ method: "POST", path: "/api/v1/handoffs/retry", body: { ...body, ...(cursor && { cursor }) }, key: dry_run ? undefined : newKey() });
      if (outcome.kind !== "done") {
        work(false);
        if (count > 0) toast(t("board.many.done", { count }));
        return toast(words(outcome), "bad");
      }
      if (dry_run) {
        work(false);
        return keep(outcome.body);
      }
      count += outcome.body.retried;
      cursor = outcome.body.next_cursor;
    } while (cursor);
    work(false);
    keep(null);
    toast(t("board.many.done", { count }));
    again();
  };
  if (!dry) return html`<div class="moves"><button type="button" class="button" disabled=${busy} onClick=${() => ask(true)}>${t("board.many.look")}</button></div>`;
  return html`<form class="sure-box" onSubmit=${(event) => (event.preventDefault(), ask(false))}>
    <p>${t("board.many.would", { count: dry.retried })}${dry.next_cursor ? ` ${t("board.many.more")}` : ""}</p>
    ${dry.refused.length > 0 && html`<ul>${dry.refused.map((one) => html`<li key=${one.reason}>${t("board.many.refused", { count: one.count, reason: one.reason.replaceAll("_", " ") })}</li>`)}</ul>`}
    ${dry.retried > 0 && html`<p class="quiet">${t("board.many.lasts", { minutes: Math.ceil(dry.retried / (Number(pace) || 5) / 60) })}</p>`}
    <label class="field"><span>${t("board.many.pace")}</span><input type="number" min="0.1" max="1000" step="any" value=${pace} onInput=${(event) => setPace(event.currentTarget.value)} /></label>
    <div class="moves"><button class="button primary" disabled=${busy || dry.retried === 0}>${t("board.many.go", { count: dry.retried })}</button><button type="button" class="button" onClick=${() => keep(null)}>${t("panel.back")}</button></div>
  </form>`;
}

/** Who sent what again, newest first; read when somebody opens it. */
function Retries({ account, zone }) {
  const [open, toggle] = useState(false);
  const poll = usePoll(account, open ? "/handoffs/retries?limit=20" : null);
  return html`<details onToggle=${(event) => toggle(event.currentTarget.open)}><summary>${t("board.retries")}</summary>
    ${open && html`<${Waiting} poll=${poll} />`}
    ${poll.body?.items.length === 0 && html`<p class="quiet">${t("board.retries.none")}</p>`}
    <ul>${(poll.body?.items ?? []).map((one) => html`<li key=${one.id}>${dateTime(one.started_at, zone)} · <strong>${one.retried_by.username ?? one.retried_by.id}</strong> · ${t("board.retries.count", { count: one.retried, of: one.matched })}${one.finished_at ? "" : ` · ${time(one.started_at, zone)}…`}</li>`)}</ul>
  </details>`;
}
