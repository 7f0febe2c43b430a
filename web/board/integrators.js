// The outside systems: their health and breaker, a test message, switching on and off, and new secrets.

import { newKey, words } from "../shared/api.js";
import { dateTime, time } from "../shared/format.js";
import { has, t, useLanguage } from "../shared/messages.js";
import { Icon, toast } from "../shared/parts.js";
import { html, useState } from "../shared/ui.js";
import { usePoll, Waiting } from "./poll.js";

export function Integrators({ account, store }) {
  useLanguage();
  const poll = usePoll(account, `/integrators?store_id=${store.id}&limit=100`);
  const items = poll.body?.items ?? [];
  return html`<section class="board-view" aria-labelledby="integrators-title">
    <h2 id="integrators-title">${t("board.view.integrators")}</h2>
    <${Waiting} poll=${poll} />
    ${poll.body && items.length === 0 && html`<p class="quiet">${t("board.integrators.none")}</p>`}
    <ul class="entries">${items.map((one) => html`<${Integrator} key=${one.id} account=${account} store=${store} integrator=${one} again=${poll.again} />`)}</ul>
  </section>`;
}

/** Returns the tone and the word for an integrator's state. */
function standing({ enabled, health }) {
  if (!enabled) return ["bad", "disabled"];
  if (health?.breaker.state === "open") return ["bad", "open"];
  if (health?.breaker.state && health.breaker.state !== "closed") return ["warn", "probing"];
  if (health?.failures_in_a_row > 0) return ["warn", "failing"];
  return ["good", "fine"];
}

function Integrator({ account, store, integrator, again }) {
  const [busy, work] = useState(false);
  const [asking, ask] = useState(null); // the secret that is to be replaced: signing or callback
  const [secrets, show] = useState(null);
  const { health } = integrator;
  const [tone, word] = standing(integrator);
  const run = async (says, request) => {
    work(true);
    const outcome = await account.settle({ ...request, key: newKey() });
    work(false);
    if (outcome.kind === "done") toast(t("board.done", { what: t(says) }));
    else toast(words(outcome), "bad");
    again();
    return outcome.kind === "done" ? outcome.body : null;
  };
  const path = `/api/v1/integrators/${integrator.id}`;
  const rotate = async () => {
    ask(null);
    show(await run(`board.rotate.${asking}`, { method: "POST", path: `${path}/rotate-secret`, body: { secret: asking } }));
  };
  const facts = [
    [t("board.health.rate"), health?.success_rate === null || health?.success_rate === undefined ? "–" : `${Math.round(health.success_rate * 100)} %`],
    [t("board.health.success"), health?.last_success_at ? dateTime(health.last_success_at, store.timezone) : "–"],
    [t("board.health.failures"), health?.failures_in_a_row ?? 0],
  ];
  if (health?.breaker.until) facts.push([t("board.health.until"), time(health.breaker.until, store.timezone)]);
  if (health?.pace?.paused_until) facts.push([t("board.health.paused"), time(health.pace.paused_until, store.timezone)]);
  return html`<li class="entry">
    <div class="entry-top"><strong>${integrator.name}</strong><span>${integrator.kind}</span>
      <span class="badge" data-tone=${tone}><${Icon} name=${tone === "good" ? "check" : "warning"} size=${16} />${t(`board.standing.${word}`)}</span>
      ${integrator.required && html`<span class="quiet">${t("board.required")}</span>`}</div>
    <p class="quiet">${integrator.url}</p>
    <dl class="facts">${facts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd class="number">${value}</dd></div>`)}</dl>
    ${health?.last_failure && html`<p>${t("board.health.failure", { at: dateTime(health.last_failure.at, store.timezone) })} ${health.last_failure.status ?? ""} ${health.last_failure.error ?? ""}</p>`}
    ${integrator.disabled_reason && html`<p class="trouble">${has(`board.disabled.${integrator.disabled_reason}`) ? t(`board.disabled.${integrator.disabled_reason}`) : integrator.disabled_reason}</p>`}
    <div class="moves">
      <button type="button" class="button" disabled=${busy} onClick=${() => run("board.test", { method: "POST", path: `${path}/test` })}>${t("board.test")}</button>
      <button type="button" class="button ${integrator.enabled ? "" : "primary"}" disabled=${busy} onClick=${() => run(integrator.enabled ? "board.disable" : "board.enable", { method: "PATCH", path, body: { enabled: !integrator.enabled } })}>${t(integrator.enabled ? "board.disable" : "board.enable")}</button>
      ${!asking && ["signing", "callback"].map((secret) => html`<button type="button" key=${secret} class="button" disabled=${busy} onClick=${() => ask(secret)}>${t(`board.rotate.${secret}`)}</button>`)}
    </div>
    ${asking && html`<div class="sure-box"><p>${t("board.rotate.sure")}</p><div class="moves"><button type="button" class="button danger" onClick=${rotate}>${t(`board.rotate.${asking}`)}</button><button type="button" class="button" onClick=${() => ask(null)}>${t("panel.back")}</button></div></div>`}
    ${secrets && html`<div class="sure-box"><p>${t("board.rotate.once")}</p>${Object.entries(secrets).filter(([name]) => name.endsWith("secret")).map(([name, value]) => html`<label class="field" key=${name}><span>${name}</span><input type="text" readonly value=${value} onFocus=${(event) => event.currentTarget.select()} /></label>`)}<div class="moves"><button type="button" class="button" onClick=${() => show(null)}>${t("panel.understood")}</button></div></div>`}
  </li>`;
}
