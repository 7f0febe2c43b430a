// The operators' board: what needs a person, what failed, how the outside systems do, and all that a store is made of.

import { duration, seconds } from "../shared/format.js";
import { t, useLanguage } from "../shared/messages.js";
import "../shared/offline.js";
import { LanguageChoice } from "../shared/parts.js";
import { html, render, useEffect, useMemo, useState } from "../shared/ui.js";
import { account, Gate, SignOut } from "../panel/gate.js";
import { Audit } from "./audit.js";
import { Callbacks } from "./callbacks.js";
import { Failed } from "./failed.js";
import { Hours } from "./hours.js";
import { Integrators } from "./integrators.js";
import { Keys } from "./keys.js";
import { MenuEditor } from "./menu.js";
import { Orders } from "./orders.js";
import { People } from "./people.js";
import { Fresh, path, usePoll } from "./poll.js";
import { ALL, everywhere } from "./scope.js";
import { StoreSettings } from "./store.js";
import { Stuck } from "./stuck.js";
import "./texts.js";
import { Today } from "./today.js";

const VIEWS = { today: Today, stuck: Stuck, failed: Failed, callbacks: Callbacks, orders: Orders, integrators: Integrators, menu: MenuEditor, hours: Hours, store: StoreSettings, people: People, keys: Keys, audit: Audit };
/** Views of one store; the others show all stores together if asked to. */
const OF_ONE = ["orders", "menu", "hours", "store"];
/** Views that managers do not have. */
const OF_OPERATORS = ["audit"];

/** Reads the view and what is looked at in it from the address: `#orders/ID`. */
function place() {
  const [view, ...rest] = location.hash.slice(1).split("/");
  return view in VIEWS ? { view, focus: rest.join("/") || null } : { view: "today", focus: null };
}

function Board({ user, store, stores, onStore }) {
  useLanguage();
  const [{ view: named, focus }, show] = useState(place());
  const [isAll, setAll] = useState(stores.length > 1 && new URLSearchParams(location.search).get("store") === ALL);
  const together = useMemo(() => everywhere(stores), [stores]);
  const scope = isAll ? together : store;
  const mayNot = (name) => (isAll && OF_ONE.includes(name)) || (user.role !== "operator" && OF_OPERATORS.includes(name));
  const view = mayNot(named) ? "today" : named;
  const stats = usePoll(account, path("/stats", { store_id: scope.id }));
  const remember = (of, next, at = null) => history.replaceState(null, "", `/board?store=${of}#${next}${at ? `/${at}` : ""}`);
  const go = (next, { of = scope.id ?? ALL, at = null } = {}) => {
    show({ view: next, focus: at });
    remember(of, next, at);
    if (of === (scope.id ?? ALL)) return;
    setAll(of === ALL);
    if (of !== ALL) onStore(of);
  };
  useEffect(() => {
    // On a phone the tabs are wider than the window.
    document.querySelector(".view[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  }, [view]);
  const tabs = Object.keys(VIEWS).filter((name) => !mayNot(name));
  return html`<div class="shell board">
    <a class="skip" href="#main">${t("panel.skip")}</a>
    <header class="top">
      <div class="top-store">
        <label><span class="unseen">${t("panel.store")}</span><select class="store-choice" value=${scope.id ?? ALL} onChange=${(event) => go(view, { of: event.currentTarget.value })}>
          ${stores.length > 1 && html`<option value=${ALL}>${t("board.everywhere")}</option>`}
          ${stores.map((one) => html`<option key=${one.id} value=${one.id}>${one.name}</option>`)}</select></label>
        <${Fresh} poll=${stats} zone=${scope.timezone} />
      </div>
      <nav class="views" aria-label=${t("panel.views")}>
        ${tabs.map((name) => html`<button type="button" key=${name} data-view=${name} class="view" aria-current=${view === name ? "page" : null} onClick=${() => go(name)}>${t(`board.view.${name}`)}</button>`)}
      </nav>
      <div class="top-tools"><a class="button tool" href="/panel">${t("panel.title")}</a><${LanguageChoice} /><${SignOut} /></div>
    </header>
    <main id="main" tabindex="-1">
      <h1 class="unseen">${t("board.title")}</h1>
      ${view === "today" && html`<${Numbers} stats=${stats.body} />`}
      <${VIEWS[view]} key=${`${view} ${scope.id}`} account=${account} user=${user} store=${scope} stores=${stores} stats=${stats.body} focus=${focus} go=${go} />
    </main>
  </div>`;
}

/** An average as people read it: seconds while there are few. */
const averageText = (ms) => (ms < 120_000 ? seconds(ms) : duration(ms));

/** The numbers of all placed orders, by status. */
function Numbers({ stats }) {
  if (!stats) return null;
  const open = ["pending", "processing", "accepted", "preparing", "ready", "dispatched"];
  return html`<dl class="numbers">
    <div><dt>${t("board.total")}</dt><dd class="number">${stats.total_orders}</dd></div>
    ${open.map((status) => html`<div key=${status}><dt>${t(`shared.status.${status}`)}</dt><dd class="number">${stats.by_status[status] ?? 0}</dd></div>`)}
    <div><dt>${t("board.average")}</dt><dd class="number">${averageText(stats.avg_processing_time_seconds * 1000)}</dd></div>
  </dl>`;
}

render(html`<${Gate} name="board.title" view=${Board} roles=${["manager", "operator"]} />`, document.getElementById("page"));
