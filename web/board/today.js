// The last hours: how many orders came, how long they waited, which ones wait longest now, and the work that waits.

import { clock, duration, time } from "../shared/format.js";
import { t, useLanguage } from "../shared/messages.js";
import { Icon, StatusBadge } from "../shared/parts.js";
import { html, useState } from "../shared/ui.js";
import { Chart } from "./chart.js";
import { path, usePoll, Waiting } from "./poll.js";
import { StoreName, storeOf } from "./scope.js";

/** Hours to look back, with the minutes of one bar. */
const SPANS = [[4, 15], [12, 30], [24, 60]];
/** Orders are read in pages of 100; beyond these pages the charts say that they begin later. */
const MAX_PAGES = 10;
const EVERY_MS = 60_000;
const LISTED = 8;
/** Age of waiting work that needs no attention: the sweep comes each second. */
const SOON_DONE_MS = 10_000;

/** Counts orders in bins of time, with their average wait until somebody accepted, in milliseconds. */
export function bins(orders, from, to, binMs) {
  const made = [];
  for (let at = from; at < to; at += binMs) made.push({ at, placed: 0, accepted: 0, waited: 0 });
  for (const order of orders) {
    const bin = made[Math.floor((Date.parse(order.placed_at) - from) / binMs)];
    if (!bin) continue;
    bin.placed += 1;
    if (!order.accepted_at) continue;
    bin.accepted += 1;
    bin.waited += Date.parse(order.accepted_at) - Date.parse(order.placed_at);
  }
  return made.map(({ waited, ...bin }) => ({ ...bin, wait: bin.accepted > 0 ? waited / bin.accepted : null }));
}

/** Returns the orders that wait to be accepted, the oldest first. */
export const waiting = (orders, now = Date.now()) => orders.filter((order) => ["pending", "processing"].includes(order.status) && !(Date.parse(order.hand_over_at) > now)).sort((a, b) => a.placed_at.localeCompare(b.placed_at));

/** Returns the bins of the last hours; they begin later if older orders were not read. */
export function lastHours({ items, isCut }, [hours, minutes], now = Date.now()) {
  const binMs = minutes * 60_000;
  const to = Math.ceil((now + 1) / binMs) * binMs;
  let from = to - hours * 3_600_000;
  // Newest first: what was not read is older.
  if (isCut && items.length > 0) from = Math.max(from, Math.ceil(Date.parse(items.at(-1).placed_at) / binMs) * binMs);
  return bins(items, from, to, binMs);
}

export function Today({ account, user, store, stats, go }) {
  useLanguage();
  const [span, choose] = useState(SPANS[0]);
  const [since] = useState(() => new Date(Date.now() - SPANS.at(-1)[0] * 3_600_000).toISOString());
  const open = usePoll(account, path("/orders", { store_id: store.id, status: "pending,processing", limit: 100 }), { pages: MAX_PAGES });
  const recent = usePoll(account, path("/orders", { store_id: store.id, placed_after: since, limit: 100 }), { everyMs: EVERY_MS, pages: MAX_PAGES });
  const whole = usePoll(account, user.role === "operator" && store.id ? "/stats" : null);
  const { backlog } = (store.id ? whole.body : stats) ?? {};
  const wait = waiting(open.body?.items ?? []);
  return html`<section class="board-view today" aria-labelledby="today-title">
    <h2 id="today-title">${t("board.view.today")}</h2>
    <${Waiting} poll=${open} />
    ${open.body && html`<section aria-labelledby="oldest-title"><h3 id="oldest-title">${t("board.today.oldest")}</h3>
      ${wait.length === 0 && html`<p class="all-well"><${Icon} name="check" />${t("board.today.none")}</p>`}
      <ul class="rows">${wait.slice(0, LISTED).map((order) => html`<li key=${order.id}><${Oldest} scope=${store} order=${order} go=${go} /></li>`)}</ul>
      ${wait.length > LISTED && html`<p class="quiet">${t("board.today.others", { count: wait.length - LISTED })}</p>`}</section>`}
    ${backlog && html`<${Backlog} backlog=${backlog} />`}
    <${Waiting} poll=${recent} />
    ${recent.body && html`<${LastHours} columns=${lastHours(recent.body, span)} span=${span} choose=${choose} isCut=${recent.body.isCut} count=${recent.body.items.length} zone=${store.timezone} />`}
  </section>`;
}

function Oldest({ scope, order, go }) {
  const store = storeOf(scope, order.store_id);
  return html`<button type="button" class="row oldest" onClick=${() => go("orders", { of: store.id ?? order.store_id, at: order.id })}>
    <span class="row-name">#${order.number}${order.session ? ` · ${order.session.name}` : ""}</span>
    <${StatusBadge} status=${order.status} /><${StoreName} scope=${scope} id=${order.store_id} />
    <span class="number oldest-age">${duration(Date.now() - Date.parse(order.placed_at))}</span>
  </button>`;
}

/** The work of Expediter itself that waits, in all stores. */
function Backlog({ backlog }) {
  return html`<section aria-labelledby="backlog-title"><h3 id="backlog-title">${t("board.backlog")}</h3>
    <dl class="numbers inside">${["handoffs", "callbacks", "outbox"].map((name) => {
      const { waiting: count, since } = backlog[name];
      const age = since ? Math.max(0, Date.now() - Date.parse(since)) : 0;
      const isLate = count > 0 && age > SOON_DONE_MS;
      return html`<div key=${name} data-tone=${isLate ? "warn" : "good"}><dt>${t(`board.backlog.${name}`)}</dt>
        <dd><span class="number">${count}</span> <span class="backlog-age">${count === 0 ? t("board.backlog.done") : t(isLate ? "board.backlog.late" : "board.backlog.age", { age: clock(age) })}</span></dd></div>`;
    })}</dl></section>`;
}

function LastHours({ columns, span, choose, isCut, count, zone }) {
  const [, minutes] = span;
  const rate = t("board.today.rate", { minutes });
  return html`<section class="last-hours" aria-labelledby="hours-title">
    <header class="column-top"><h3 id="hours-title">${t("board.today.hours")}</h3>
      <div class="choices" role="group" aria-labelledby="hours-title">${SPANS.map((one) => html`<button type="button" key=${one[0]} class="button small" aria-pressed=${one === span} onClick=${() => choose(one)}>${t("board.today.span", { count: one[0] })}</button>`)}</div></header>
    ${isCut && html`<p class="quiet">${t("board.today.cut", { count })}</p>`}
    <div class="charts">
      <${Chart} title=${rate} columns=${columns} value=${(bin) => bin.placed} text=${String} zone=${zone} />
      <${Chart} title=${t("board.today.wait")} columns=${columns} value=${(bin) => bin.wait} text=${clock} unit=${1000} zone=${zone} />
      <div class="panel chart-numbers" tabindex="0" role="region" aria-label=${t("board.today.numbers")}>
        <table class="numbers-table"><thead><tr><th scope="col">${t("board.today.from")}</th><th scope="col">${rate}</th><th scope="col">${t("board.today.wait")}</th></tr></thead>
          <tbody>${columns.toReversed().map((bin) => html`<tr key=${bin.at}><th scope="row">${time(bin.at, zone)}</th><td class="number">${bin.placed}</td><td class="number">${bin.wait === null ? "–" : clock(bin.wait)}</td></tr>`)}</tbody></table>
      </div>
    </div>
  </section>`;
}
