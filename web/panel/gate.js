// The door of staff pages: who is signed in, and at which store.

import "./texts.js";
import { language, t, useLanguage } from "../shared/messages.js";
import { Notices } from "../shared/parts.js";
import { html, useEffect, useState, useValue } from "../shared/ui.js";
import { Account, ROLES } from "./account.js";
import { list } from "./desk.js";
import { SignIn } from "./sign-in.js";

const LAST_STORE = "expediter-store";

export const account = new Account();
account.start();

/** Shows `view` to those who are signed in and serve a store, and the sign-in form to the others. */
export function Gate({ name, view, roles = ROLES }) {
  useLanguage();
  const { phase, user, why } = useValue(account.state);
  const [kept, keep] = useState(null);
  useEffect(() => {
    if (user) keep(user);
  }, [user]);
  useEffect(() => {
    document.title = t(name);
  }, [name, language()]);
  const shown = phase === "in" ? user : why === "expired" ? (kept ?? user) : null;
  return html`
    <${Notices} />
    ${phase === "starting" && html`<main class="wait"><p role="status">${t("panel.loading")}</p></main>`}
    ${shown && html`<div inert=${phase !== "in"}><${Stores} key=${shown.id} user=${shown} view=${view} roles=${roles} isIn=${phase === "in"} /></div>`}
    ${phase === "out" && html`<${SignIn} account=${account} why=${why} username=${shown?.username} />`}
  `;
}

/** Reads the stores of the account; one of them is open. */
function Stores({ user, view, roles, isIn }) {
  const [stores, keep] = useState(null);
  const [trouble, tell] = useState(null);
  const [id, choose] = useState(last());
  const load = async () => {
    tell(null);
    const items = [];
    let cursor = null;
    do {
      const outcome = await account.call({ path: list("/stores", { limit: 100, cursor }) });
      if (outcome.kind !== "done") return tell(outcome);
      items.push(...outcome.body.items);
      cursor = outcome.body.next_cursor;
    } while (cursor && items.length < 1000);
    const serves = (store) => user.role === "operator" || user.stores.includes(store.id);
    keep(items.filter((store) => !store.archived_at && serves(store)));
  };
  useEffect(() => {
    if (isIn && !stores) load();
  }, [isIn]);
  const store = stores?.find((one) => one.id === id) ?? stores?.[0];
  useEffect(() => {
    if (store) remember(store.id);
  }, [store?.id]);
  if (trouble) return html`<main class="wait"><p role="alert">${t("panel.stores.failed")}</p><button type="button" class="button primary" onClick=${load}>${t("panel.again")}</button></main>`;
  if (!stores) return html`<main class="wait"><p role="status">${t("panel.loading")}</p></main>`;
  if (!roles.includes(user.role)) return html`<main class="wait"><p>${t("panel.not_for_role")}</p><a class="button" href="/panel">${t("panel.title")}</a><${SignOut} /></main>`;
  if (!store) return html`<main class="wait"><p>${t("panel.stores.none")}</p><${SignOut} /></main>`;
  return html`<${view} key=${store.id} user=${user} store=${store} stores=${stores} onStore=${choose} isIn=${isIn} />`;
}

export const SignOut = () => html`<button type="button" class="button wide" onClick=${() => account.signOut()}>${t("panel.sign_out")}</button>`;

function last() {
  try {
    return new URLSearchParams(location.search).get("store") ?? localStorage.getItem(LAST_STORE);
  } catch {
    return null;
  }
}

function remember(id) {
  try {
    localStorage.setItem(LAST_STORE, id);
  } catch {
    // Without storage the first store is shown after a reload.
  }
}
