// The operators' board of one store: what is stuck, what failed, how the outside systems do, and the menu.

import { t, useLanguage } from "../shared/messages.js";
import "../shared/offline.js";
import { LanguageChoice } from "../shared/parts.js";
import { html, render, useState } from "../shared/ui.js";
import { account, Gate, SignOut } from "../panel/gate.js";
import { Callbacks } from "./callbacks.js";
import { Failed } from "./failed.js";
import { Hours } from "./hours.js";
import { Integrators } from "./integrators.js";
import { MenuEditor } from "./menu.js";
import { Fresh, usePoll } from "./poll.js";
import { StoreSettings } from "./store.js";
import { Stuck } from "./stuck.js";
import { Today } from "./today.js";

const VIEWS = { today: Today, stuck: Stuck, failed: Failed, callbacks: Callbacks, integrators: Integrators, menu: MenuEditor, hours: Hours, store: StoreSettings };

function viewOfAddress() {
  const named = location.hash.slice(1);
  return named in VIEWS ? named : "today";
}

function Board({ user, store, stores, onStore }) {
  useLanguage();
  const [view, show] = useState(viewOfAddress());
  const stats = usePoll(account, `/stats?store_id=${store.id}`);
  const go = (next) => {
    show(next);
    history.replaceState(null, "", `/board${location.search}#${next}`);
  };
  return html`<div class="shell board">
    <a class="skip" href="#main">${t("panel.skip")}</a>
    <header class="top">
      <div class="top-store">
        <label><span class="unseen">${t("panel.store")}</span><select class="store-choice" value=${store.id} onChange=${(event) => onStore(event.currentTarget.value)}>${stores.map((one) => html`<option key=${one.id} value=${one.id}>${one.name}</option>`)}</select></label>
        <${Fresh} poll=${stats} zone=${store.timezone} />
      </div>
      <nav class="views" aria-label=${t("panel.views")}>
        ${Object.keys(VIEWS).map((name) => html`<button type="button" key=${name} class="view" aria-current=${view === name ? "page" : null} onClick=${() => go(name)}>${t(`board.view.${name}`)}</button>`)}
      </nav>
      <div class="top-tools"><a class="button tool" href="/panel">${t("panel.title")}</a><${LanguageChoice} /><${SignOut} /></div>
    </header>
    <main id="main" tabindex="-1">
      <h1 class="unseen">${t("board.title")}</h1>
      <${Numbers} stats=${stats.body} />
      <${VIEWS[view]} key=${view} account=${account} user=${user} store=${store} />
    </main>
  </div>`;
}

/** The numbers of all placed orders, by status. */
function Numbers({ stats }) {
  if (!stats) return null;
  const open = ["pending", "processing", "accepted", "preparing", "ready", "dispatched"];
  return html`<dl class="numbers">
    <div><dt>${t("board.total")}</dt><dd class="number">${stats.total_orders}</dd></div>
    ${open.map((status) => html`<div key=${status}><dt>${t(`shared.status.${status}`)}</dt><dd class="number">${stats.by_status[status] ?? 0}</dd></div>`)}
    <div><dt>${t("board.average")}</dt><dd class="number">${t("board.seconds", { seconds: stats.avg_processing_time_seconds })}</dd></div>
  </dl>`;
}

render(html`<${Gate} name="board.title" view=${Board} roles=${["manager", "operator"]} />`, document.getElementById("page"));
