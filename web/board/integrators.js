// The outside systems: their health and breaker, a test message, switching on and off, new secrets, and new systems.

import { dateTime, time } from "../shared/format.js";
import { has, t, useLanguage } from "../shared/messages.js";
import { Icon } from "../shared/parts.js";
import { html, useState } from "../shared/ui.js";
import { Secrets, Sure, useAct } from "./act.js";
import { IntegratorDialog } from "./integrator-form.js";
import { path, usePoll, Waiting } from "./poll.js";
import { StoreName, storeOf } from "./scope.js";

/** Stores that are asked for their systems one after the other; beyond them, one store at a time. */
const MAX_STORES = 100;

export function Integrators({ account, user, store, stores }) {
  useLanguage();
  const [edited, edit] = useState(null); // a system, or {} for a new one
  const [secrets, show] = useState(null);
  const asked = store.id ? [store] : stores.slice(0, MAX_STORES);
  const poll = usePoll(account, asked.map((one) => path("/integrators", { store_id: one.id, limit: 100 })), { everyMs: store.id ? 10_000 : 30_000, pages: 5 });
  const items = poll.body?.items ?? [];
  const done = (created) => {
    edit(null);
    if (created?.integrator) show({ signing_secret: created.signing_secret, callback_secret: created.callback_secret });
    poll.again();
  };
  return html`<section class="board-view" aria-labelledby="integrators-title">
    <header class="column-top"><h2 id="integrators-title">${t("board.view.integrators")}</h2>
      ${store.id && html`<button type="button" class="button primary" onClick=${() => edit({})}>${t("board.integrator.add")}</button>`}</header>
    ${secrets && html`<${Secrets} values=${secrets} onDone=${() => show(null)} />`}
    <${Waiting} poll=${poll} />
    ${asked.length < (store.id ? 1 : stores.length) && html`<p class="quiet">${t("board.integrators.some", { count: asked.length })}</p>`}
    ${poll.body && items.length === 0 && html`<p class="quiet">${t("board.integrators.none")}</p>`}
    <ul class="entries">${items.map((one) => html`<${Integrator} key=${one.id} account=${account} scope=${store} integrator=${one} again=${poll.again} onEdit=${() => edit(one)} />`)}</ul>
    ${edited && html`<${IntegratorDialog} account=${account} user=${user} store=${store.id ? store : storeOf(store, edited.store_id)} stores=${stores} integrator=${edited} onClose=${() => edit(null)} onDone=${done} />`}
  </section>`;
}

/** Returns the tone and the word for an integrator's state. */
function standing({ enabled, health }) {
  if (!enabled) return ["bad", "disabled"];
  if (health?.breaker.state === "open") return ["bad", "open"];
  if (health?.breaker.state && health.breaker.state !== "closed") return ["warn", "probing"];
  // A refusal is no failure to the breaker, but somebody should know.
  const { last_failure: failure, last_success_at: success } = health ?? {};
  if (health?.failures_in_a_row > 0 || (failure && !(success > failure.at))) return ["warn", "failing"];
  return ["good", "fine"];
}

function Integrator({ account, scope, integrator, again, onEdit }) {
  const [act, busy] = useAct(account, again);
  const [asking, ask] = useState(null); // the secret that is to be replaced: signing or callback
  const [secrets, show] = useState(null);
  const [tested, test] = useState(false);
  const { health } = integrator;
  const zone = storeOf(scope, integrator.store_id).timezone;
  const [tone, word] = standing(integrator);
  const address = `/api/v1/integrators/${integrator.id}`;
  const rotate = async () => {
    ask(null);
    const made = await act(t(`board.rotate.${asking}`), { method: "POST", path: `${address}/rotate-secret`, body: { secret: asking } });
    if (made) show({ [`${made.secret}_secret`]: made.value });
  };
  const facts = [
    [t("board.health.rate"), health?.success_rate === null || health?.success_rate === undefined ? "–" : `${Math.round(health.success_rate * 100)} %`],
    [t("board.health.success"), health?.last_success_at ? dateTime(health.last_success_at, zone) : "–"],
    [t("board.health.failures"), health?.failures_in_a_row ?? 0],
  ];
  if (health?.breaker.until) facts.push([t("board.health.until"), time(health.breaker.until, zone)]);
  if (Date.parse(health?.pace?.paused_until) > Date.now()) facts.push([t("board.health.paused"), time(health.pace.paused_until, zone)]);
  if (health?.pace?.rate_per_s) facts.push([t("board.health.pace"), t("board.health.per_s", { rate: health.pace.rate_per_s })]);
  if (integrator.listens_until) facts.push([t("board.health.listens"), time(integrator.listens_until, zone)]);
  return html`<li class="entry">
    <div class="entry-top"><strong>${integrator.name}</strong><span>${t(`board.integrator.kind.${integrator.kind}`)}</span><${StoreName} scope=${scope} id=${integrator.store_id} />
      <span class="badge" data-tone=${tone}><${Icon} name=${tone === "good" ? "check" : "warning"} size=${16} />${t(`board.standing.${word}`)}</span>
      ${integrator.listens_until && html`<span class="badge">${t("board.listener")}</span>`}
      ${integrator.store_ids.length > 1 && html`<span class="quiet">${t("board.integrator.stores.count", { count: integrator.store_ids.length })}</span>`}
      ${integrator.required && html`<span class="quiet">${t("board.required")}</span>`}</div>
    <p class="quiet">${integrator.url}</p>
    <dl class="facts">${facts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd class="number">${value}</dd></div>`)}</dl>
    ${health?.last_failure && html`<p>${t("board.health.failure", { at: dateTime(health.last_failure.at, zone) })} <span lang="en">${health.last_failure.status ?? ""} ${health.last_failure.error ?? ""}</span></p>`}
    ${integrator.disabled_reason && html`<p class="trouble">${has(`board.disabled.${integrator.disabled_reason}`) ? t(`board.disabled.${integrator.disabled_reason}`) : integrator.disabled_reason}</p>`}
    <div class="moves">
      ${!integrator.listens_until && html`<button type="button" class="button" disabled=${busy} onClick=${async () => test(Boolean(await act(t("board.test"), { method: "POST", path: `${address}/test` })))}>${t("board.test")}</button>
        <button type="button" class="button ${integrator.enabled ? "" : "primary"}" disabled=${busy} onClick=${() => act(t(integrator.enabled ? "board.disable" : "board.enable"), { method: "PATCH", path: address, body: { enabled: !integrator.enabled } })}>${t(integrator.enabled ? "board.disable" : "board.enable")}</button>
        <button type="button" class="button" onClick=${onEdit}>${t("board.edit")}</button>
        ${!asking && ["signing", "callback"].map((secret) => html`<button type="button" key=${secret} class="button" disabled=${busy} onClick=${() => ask(secret)}>${t(`board.rotate.${secret}`)}</button>`)}`}
      <${Sure} says=${t("board.remove")} warns=${t("board.integrator.remove.sure")} busy=${busy} onDo=${() => act(t("board.remove"), { method: "DELETE", path: address })} />
    </div>
    ${tested && html`<${TestResult} account=${account} id=${integrator.id} zone=${zone} />`}
    ${asking && html`<div class="sure-box"><p>${t("board.rotate.sure")}</p><div class="moves"><button type="button" class="button danger" onClick=${rotate}>${t(`board.rotate.${asking}`)}</button><button type="button" class="button" onClick=${() => ask(null)}>${t("panel.back")}</button></div></div>`}
    ${secrets && html`<${Secrets} values=${secrets} onDone=${() => show(null)} />`}
  </li>`;
}

/** How the last test message fared. */
function TestResult({ account, id, zone }) {
  const poll = usePoll(account, path("/handoffs", { integrator_id: id, event: "test", limit: 1 }), { everyMs: 2_000 });
  const [test] = poll.body?.items ?? [];
  if (!test) return html`<${Waiting} poll=${poll} />`;
  const last = test.last_attempt;
  return html`<p role="status"><strong>${t("board.test.last", { at: time(test.created_at, zone) })}</strong> <span class="badge" data-tone=${test.state === "acknowledged" ? "good" : test.state === "failed" ? "bad" : "wait"}>${t(`panel.handoff.${test.state}`)}</span> <span class="quiet" lang="en">${[last?.status, last?.error ?? test.error].filter(Boolean).join(" · ")}</span></p>`;
}
