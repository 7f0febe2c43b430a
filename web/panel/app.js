// The order panel of one store: which view is shown, and what everybody must know.

import { t, useLanguage } from "../shared/messages.js";
import "../shared/offline.js";
import { Banner, Icon, LanguageChoice } from "../shared/parts.js";
import { LineBadge } from "../shared/line.js";
import { html, render, useEffect, useMemo, useState, useValue } from "../shared/ui.js";
import { Desk } from "./desk.js";
import { account, Gate, SignOut } from "./gate.js";
import { Help, keys, useKeys } from "./keys.js";
import { Kitchen } from "./kitchen.js";
import { OtherOrders } from "./orders.js";
import { Products } from "./products.js";
import { Service, ServiceDialog } from "./service.js";
import { Bell } from "./sound.js";
import { Tables } from "./tables.js";

const VIEWS = ["tables", "orders", "kitchen", "products"];

/** Returns the view of the address: /panel/kitchen, or /panel#orders. */
function viewOfAddress() {
  if (location.pathname.endsWith("/kitchen")) return "kitchen";
  const named = location.hash.slice(1);
  return VIEWS.includes(named) ? named : "tables";
}

function Shell({ user, store, stores, onStore, isIn }) {
  useLanguage();
  const desk = useMemo(() => new Desk({ account, store }), [store.id]);
  const bell = useMemo(() => new Bell({ mustRing: () => desk.model.unseen.length > 0 }), [desk]);
  const [view, show] = useState(viewOfAddress());
  const [help, showHelp] = useState(false);
  const [service, showService] = useState(false);
  useEffect(() => () => (desk.stop(), bell.stop()), [desk]);
  // After a sign-in that had ended, the channel begins anew; all that is on the screen stays.
  useEffect(() => {
    if (!isIn) return undefined;
    desk.start();
    return () => desk.stop();
  }, [desk, isIn]);
  useValue(desk.changed);
  const unseen = desk.model.unseen.length;
  useEffect(() => {
    if (unseen > 0) bell.ringIfNeeded();
    document.title = unseen > 0 ? `(${unseen}) ${t("panel.title")}` : t("panel.title");
  }, [unseen]);
  const go = (next) => {
    show(next);
    history.replaceState(null, "", next === "kitchen" ? "/panel/kitchen" : `/panel${location.search}#${next}`);
  };
  useKeys(() => ({
    [keys.help]: () => showHelp(true),
    [keys.tables]: () => go("tables"),
    [keys.orders]: () => go("orders"),
    [keys.kitchen]: () => go("kitchen"),
    [keys.products]: () => go("products"),
    [keys.mute]: () => (bell.state.value === "on" ? bell.off() : bell.on()),
    // Once the view is rendered and before the next key, which is the first letter of the name.
    [keys.newTable]: () => (go("tables"), queueMicrotask(() => document.getElementById("new-table")?.focus())),
  }));
  const views = { tables: Tables, orders: OtherOrders, kitchen: Kitchen, products: Products };
  const counts = { tables: desk.model.unseen.filter((order) => order.session).length, orders: desk.model.unseen.filter((order) => !order.session).length };
  return html`<div class="shell" data-view=${view}>
    <a class="skip" href="#main">${t("panel.skip")}</a>
    <header class="top">
      <div class="top-store">
        ${stores.length > 1
          ? html`<label><span class="unseen">${t("panel.store")}</span><select class="store-choice" value=${store.id} onChange=${(event) => onStore(event.currentTarget.value)}>${stores.map((one) => html`<option key=${one.id} value=${one.id}>${one.name}</option>`)}</select></label>`
          : html`<h1 dir="auto">${store.name}</h1>`}
        <${LineBadge} line=${desk.line} zone=${store.timezone} />
      </div>
      <nav class="views" aria-label=${t("panel.views")}>
        ${VIEWS.map((name) => html`<button type="button" key=${name} class="view" aria-current=${view === name ? "page" : null} onClick=${() => go(name)}>${t(`panel.view.${name}`)}${counts[name] > 0 && html` <span class="count">${counts[name]}<span class="unseen"> ${t("panel.unseen")}</span></span>`}</button>`)}
      </nav>
      <div class="top-tools">
        <${BellButton} bell=${bell} />
        <${Service} desk=${desk} onOpen=${() => showService(true)} />
        <${Pause} desk=${desk} />
        <${Menu} user=${user} onHelp=${() => showHelp(true)} />
      </div>
    </header>
    <${Notes} desk=${desk} bell=${bell} />
    <main id="main" tabindex="-1"><${views[view]} desk=${desk} user=${user} /></main>
    ${service && html`<${ServiceDialog} desk=${desk} onClose=${() => showService(false)} />`}
    ${help && html`<${Help} onClose=${() => showHelp(false)} />`}
  </div>`;
}

/** What everybody must know: not live, paused, too much to show, failed handoffs, the bell's question. */
function Notes({ desk, bell }) {
  const line = useValue(desk.line.state);
  const bellState = useValue(bell.state);
  const [problem] = desk.model.problems;
  const [read, mark] = useState(null);
  return html`<div class="states">
    ${line.phase === "waiting" && html`<${Banner} tone="bad">${t("panel.line.stale")}<//>`}
    ${line.phase === "ended" && html`<${Banner} tone="bad">${t("panel.line.ended")} <button type="button" class="button small" onClick=${() => location.reload()}>${t("panel.again")}</button><//>`}
    ${desk.model.paused && html`<${Banner} tone="warn" icon="pause">${t("panel.paused")}<//>`}
    ${desk.model.truncated && html`<${Banner} tone="info" icon="info">${t("panel.truncated")}<//>`}
    ${problem && problem !== read &&
    html`<${Banner} tone="bad">${problem.integrator ? t("panel.problem.disabled", { integrator: problem.integrator.name }) : t("panel.problem.handoff", { integrator: problem.handoff.integrator, number: problem.order.number })} <button type="button" class="button small" onClick=${() => mark(problem)}>${t("panel.understood")}</button><//>`}
    ${bellState === "unasked" &&
    html`<${Banner} tone="info" icon="bell"><span>${t("panel.bell.ask")}</span> <button type="button" class="button small" onClick=${() => bell.on()}>${t("panel.bell.yes")}</button> <button type="button" class="button small" onClick=${() => bell.off()}>${t("panel.bell.no")}</button><//>`}
  </div>`;
}

function BellButton({ bell }) {
  const state = useValue(bell.state);
  const isOn = state === "on";
  return html`<button type="button" class="button tool" aria-pressed=${isOn} onClick=${() => (isOn ? bell.off() : bell.on())}><${Icon} name="bell" /><span>${t(isOn ? "panel.bell.on" : "panel.bell.off")}</span></button>`;
}

/** Pauses the store and opens it again; pausing is asked for twice, because guests notice it at once. */
function Pause({ desk }) {
  const [asking, ask] = useState(false);
  const [busy, work] = useState(false);
  const { paused } = desk.model;
  const set = async (next) => {
    work(true);
    await desk.pause(next);
    work(false);
    ask(false);
  };
  if (paused) return html`<button type="button" class="button primary tool" disabled=${busy} onClick=${() => set(false)}>${t("panel.resume")}</button>`;
  if (!asking) return html`<button type="button" class="button tool" onClick=${() => ask(true)}><${Icon} name="pause" /><span>${t("panel.pause")}</span></button>`;
  return html`<span class="sure"><button type="button" class="button danger" disabled=${busy} onClick=${() => set(true)}>${t("panel.pause.sure")}</button><button type="button" class="button" onClick=${() => ask(false)}>${t("panel.back")}</button></span>`;
}

function Menu({ user, onHelp }) {
  const [open, set] = useState(false);
  useEffect(() => {
    if (!open) return undefined;
    const close = (event) => (event.key === "Escape" || !event.target.closest?.(".menu")) && set(false);
    addEventListener("click", close);
    addEventListener("keydown", close);
    return () => (removeEventListener("click", close), removeEventListener("keydown", close));
  }, [open]);
  return html`<div class="menu">
    <button type="button" class="button tool" aria-expanded=${open} onClick=${() => set(!open)}>${user.username}</button>
    ${open && html`<div class="menu-inside panel">
      <p class="quiet">${t(`panel.role.${user.role}`)}</p>
      <${LanguageChoice} />
      <button type="button" class="button wide" onClick=${() => (set(false), onHelp())}>${t("panel.help")} (?)</button>
      ${user.role !== "staff" && html`<a class="button wide" href="/board">${t("panel.board")}</a>`}
      <${SignOut} />
    </div>`}
  </div>`;
}

render(html`<${Gate} name="panel.title" view=${Shell} />`, document.getElementById("page"));
