// The last hours of a store: how many orders came, how long they waited, and which one waits longest now.

import { words } from "../shared/api.js";
import { clock, duration, time } from "../shared/format.js";
import { t, useLanguage } from "../shared/messages.js";
import { StatusBadge } from "../shared/parts.js";
import { html, useEffect, useState } from "../shared/ui.js";
import { list } from "../panel/desk.js";

const HOURS = 4;
const BIN_MS = 15 * 60_000;
/** Orders are read in pages of 100; beyond these pages the chart says that it begins later. */
const MAX_PAGES = 10;
const EVERY_MS = 120_000;

/** Counts orders in bins of time, with their average wait until somebody accepted, in milliseconds. */
export function bins(orders, from, to, binMs = BIN_MS) {
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
export const waiting = (orders) => orders.filter((order) => ["pending", "processing"].includes(order.status) && !(Date.parse(order.hand_over_at) > Date.now())).sort((a, b) => a.placed_at.localeCompare(b.placed_at));

export function Today({ account, store }) {
  useLanguage();
  const [read, keep] = useState(null);
  const [trouble, tell] = useState(null);
  const load = async () => {
    const to = Math.ceil(Date.now() / BIN_MS) * BIN_MS;
    let from = to - HOURS * 3_600_000;
    const orders = [];
    let cursor = null;
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const outcome = await account.call({ path: list("/orders", { store_id: store.id, placed_after: new Date(from).toISOString(), limit: 100, cursor }) });
      if (outcome.kind !== "done") return tell(outcome);
      orders.push(...outcome.body.items);
      cursor = outcome.body.next_cursor;
      if (!cursor) break;
    }
    // Newest first: what was not read is older.
    if (cursor) from = Math.ceil(Date.parse(orders.at(-1).placed_at) / BIN_MS) * BIN_MS;
    tell(null);
    keep({ orders, from, to, isCut: Boolean(cursor) });
  };
  useEffect(() => {
    load();
    const timer = setInterval(() => document.hidden || load(), EVERY_MS);
    return () => clearInterval(timer);
  }, [store.id]);
  const again = html`<button type="button" class="button small" onClick=${load}>${t("panel.again")}</button>`;
  if (!read) return html`<section class="board-view"><h2>${t("board.view.today")}</h2>${trouble ? html`<p role="alert" class="trouble">${words(trouble)} ${again}</p>` : html`<p role="status">${t("panel.loading")}</p>`}</section>`;
  const columns = bins(read.orders, read.from, read.to);
  const [oldest, ...others] = waiting(read.orders);
  return html`<section class="board-view" aria-labelledby="today-title">
    <h2 id="today-title">${t("board.view.today")}</h2>
    ${trouble && html`<p role="alert" class="trouble">${words(trouble)} ${again}</p>`}
    ${oldest
      ? html`<p class="entry entry-top"><strong>${t("board.today.oldest")}</strong> <span>#${oldest.number}${oldest.session ? ` · ${oldest.session.name}` : ""}</span> <${StatusBadge} status=${oldest.status} /> <span>${duration(Date.now() - Date.parse(oldest.placed_at))}</span> ${others.length > 0 && html`<span class="quiet">${t("board.today.others", { count: others.length })}</span>`}</p>`
      : html`<p class="quiet">${t("board.today.none")}</p>`}
    ${read.isCut && html`<p class="quiet">${t("board.today.cut", { count: read.orders.length })}</p>`}
    <div class="charts">
      <${Chart} title=${t("board.today.rate")} columns=${columns} value=${(bin) => bin.placed} text=${String} zone=${store.timezone} />
      <${Chart} title=${t("board.today.wait")} columns=${columns} value=${(bin) => bin.wait} text=${clock} zone=${store.timezone} />
    </div>
    <details><summary>${t("board.today.numbers")}</summary>
      <table class="numbers-table"><thead><tr><th scope="col">${t("board.today.from")}</th><th scope="col">${t("board.today.rate")}</th><th scope="col">${t("board.today.wait")}</th></tr></thead>
        <tbody>${columns.map((bin) => html`<tr key=${bin.at}><th scope="row">${time(bin.at, store.timezone)}</th><td class="number">${bin.placed}</td><td class="number">${bin.wait === null ? "–" : clock(bin.wait)}</td></tr>`)}</tbody></table>
    </details>
  </section>`;
}

const HEIGHT = 120;
const WIDTH = 320;

/** Bars over time, with the highest and the last number beside them. */
function Chart({ title, columns, value, text, zone }) {
  const values = columns.map((bin) => value(bin) ?? 0);
  const top = Math.max(1, ...values);
  const step = WIDTH / Math.max(1, columns.length);
  const says = t("board.today.says", { title, top: text(top), last: text(values.at(-1) ?? 0) });
  return html`<figure class="panel chart">
    <figcaption><strong>${title}</strong> <span class="quiet">${t("board.today.most", { top: text(Math.max(0, ...values)) })}</span></figcaption>
    <svg viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label=${says}>
      ${values.map((one, at) => html`<rect key=${columns[at].at} x=${at * step + 1} y=${HEIGHT - (one / top) * HEIGHT} width=${Math.max(1, step - 2)} height=${(one / top) * HEIGHT} />`)}
    </svg>
    <p class="quiet chart-times"><span>${columns.length > 0 && time(columns[0].at, zone)}</span><span>${time(Date.now(), zone)}</span></p>
  </figure>`;
}
