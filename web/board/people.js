// Accounts: made with a first password, given a new one, moved between stores, switched off and on; and one's own password.

import { newKey } from "../shared/api.js";
import { t, useLanguage } from "../shared/messages.js";
import { Dialog, Icon, toast } from "../shared/parts.js";
import { html, useState } from "../shared/ui.js";
import { Ticks, Trouble, useAct } from "./act.js";
import { path, usePoll, Waiting } from "./poll.js";

const MIN_PASSWORD = 8;
const WITH_STORES = ["staff", "manager"];

/** Roles that somebody may make: managers make staff and accounts of systems. */
const rolesFor = (user) => (user.role === "operator" ? ["staff", "manager", "operator", "integrator", "customer"] : ["staff", "integrator"]);

export function People({ account, user, store, stores }) {
  useLanguage();
  const [edited, edit] = useState(null); // an account, or {} for a new one
  const poll = usePoll(account, path("/users", { limit: 100 }), { everyMs: 60_000, pages: 20 });
  const [act, busy] = useAct(account, poll.again);
  const items = (poll.body?.items ?? []).filter((one) => store.id === null || one.stores.includes(store.id) || one.role === "integrator");
  const mayChange = (one) => one.id !== user.id && (user.role === "operator" || ["staff", "integrator"].includes(one.role));
  const nameOf = (id) => stores.find((one) => one.id === id)?.name;
  return html`<section class="board-view" aria-labelledby="people-title">
    <header class="column-top"><h2 id="people-title">${t("board.view.people")} <span class="quiet number">${poll.body ? items.length : ""}</span></h2>
      <button type="button" class="button primary" onClick=${() => edit({})}>${t("board.people.add")}</button></header>
    <${Waiting} poll=${poll} />
    <ul class="entries">${items.map((one) => html`<li key=${one.id} class="entry">
      <div class="entry-top"><strong>${one.username}</strong><span class="quiet">${t(`board.role.${one.role}`)}</span>
        ${one.disabled && html`<span class="badge" data-tone="bad"><${Icon} name="cross" size=${16} />${t("board.standing.disabled")}</span>`}
        ${one.id === user.id && html`<span class="badge">${t("board.people.you")}</span>`}
        ${one.stores.length > 0 && html`<span class="quiet">${one.stores.map(nameOf).filter(Boolean).join(", ")}</span>`}</div>
      ${mayChange(one) && html`<div class="moves"><button type="button" class="button small" onClick=${() => edit(one)}>${t("board.edit")}</button>
        <button type="button" class="button small" disabled=${busy} onClick=${() => act(t(one.disabled ? "board.enable" : "board.disable"), { method: "PATCH", path: `/api/v1/users/${one.id}`, body: { disabled: !one.disabled } })}>${t(one.disabled ? "board.enable" : "board.disable")}</button></div>`}
    </li>`)}</ul>
    <${OwnPassword} account=${account} />
    ${edited && html`<${PersonDialog} account=${account} user=${user} store=${store} stores=${stores} person=${edited} onClose=${() => edit(null)} onDone=${() => (edit(null), poll.again())} />`}
  </section>`;
}

function PersonDialog({ account, user, store, stores, person, onClose, onDone }) {
  const isNew = !person.id;
  const [fields, set] = useState({ username: "", password: "", role: person.role ?? "staff", stores: person.stores ?? (store.id ? [store.id] : []), integrator_ids: person.integrator_ids ?? [] });
  const [trouble, tell] = useState(null);
  const [busy, work] = useState(false);
  const isSystem = fields.role === "integrator";
  const systems = usePoll(account, isSystem ? (fields.stores.length > 0 ? fields.stores : stores.slice(0, 100).map((one) => one.id)).map((id) => path("/integrators", { store_id: id, limit: 100 })) : null, { everyMs: 60_000 });
  const change = (part) => set({ ...fields, ...part });
  const save = async (event) => {
    event.preventDefault();
    work(true);
    tell(null);
    const body = {
      ...(isNew && { username: fields.username.trim() }),
      ...(fields.password && { password: fields.password }),
      ...((isNew || fields.role !== person.role) && { role: fields.role }),
      ...(WITH_STORES.includes(fields.role) && { stores: fields.stores }),
      ...(isSystem && { integrator_ids: fields.integrator_ids }),
    };
    const outcome = await account.settle({ method: isNew ? "POST" : "PATCH", path: isNew ? "/api/v1/users" : `/api/v1/users/${person.id}`, body, key: newKey() });
    work(false);
    if (outcome.kind !== "done") return tell(outcome);
    toast(t("board.menu.saved"));
    onDone();
  };
  const roles = [...new Set([...rolesFor(user), fields.role])];
  return html`<${Dialog} title=${isNew ? t("board.people.add") : person.username} onClose=${onClose}>
    <form class="edit" onSubmit=${save}>
      ${isNew && html`<label class="field"><span>${t("panel.sign_in.username")}</span><input type="text" required autocomplete="off" autocapitalize="none" maxlength="100" value=${fields.username} onInput=${(event) => change({ username: event.currentTarget.value })} /></label>`}
      <label class="field"><span>${t(isNew ? "board.people.password" : "board.people.password.new")}</span><input type="password" required=${isNew} minlength=${MIN_PASSWORD} maxlength="200" autocomplete="new-password" value=${fields.password} onInput=${(event) => change({ password: event.currentTarget.value })} /></label>
      ${!isNew && html`<p class="quiet">${t("board.people.password.ends")}</p>`}
      <label class="field"><span>${t("board.people.role")}</span><select disabled=${!isNew && user.role !== "operator"} value=${fields.role} onChange=${(event) => change({ role: event.currentTarget.value })}>${roles.map((role) => html`<option key=${role} value=${role}>${t(`board.role.${role}`)}</option>`)}</select></label>
      ${WITH_STORES.includes(fields.role) && html`<${Ticks} label=${t("board.people.stores")} all=${stores} chosen=${fields.stores} onChange=${(ids) => change({ stores: ids })} />`}
      ${isSystem && html`<${Ticks} label=${t("board.people.systems")} all=${systems.body?.items ?? []} chosen=${fields.integrator_ids} onChange=${(ids) => change({ integrator_ids: ids })} />`}
      <${Trouble} outcome=${trouble} />
      <div class="moves"><button class="button primary large" disabled=${busy} aria-busy=${busy}>${t("board.menu.save")}</button></div>
    </form>
  <//>`;
}

/** Changing it signs out everywhere, here too. */
function OwnPassword({ account }) {
  const [fields, set] = useState({ current: "", next: "" });
  const [trouble, tell] = useState(null);
  const save = async (event) => {
    event.preventDefault();
    const outcome = await account.call({ method: "POST", path: "/api/v1/me/password", body: { password: fields.current, new_password: fields.next } });
    if (outcome.kind !== "done") return tell(outcome);
    await account.signOut();
  };
  const field = (name) => ({ value: fields[name], onInput: (event) => set({ ...fields, [name]: event.currentTarget.value }) });
  return html`<details class="panel more"><summary>${t("board.people.own")}</summary><form class="edit" onSubmit=${save}>
    <p class="quiet">${t("board.people.own.ends")}</p>
    <label class="field"><span>${t("board.people.own.current")}</span><input type="password" required autocomplete="current-password" ...${field("current")} /></label>
    <label class="field"><span>${t("board.people.own.next")}</span><input type="password" required minlength=${MIN_PASSWORD} maxlength="200" autocomplete="new-password" ...${field("next")} /></label>
    <${Trouble} outcome=${trouble} />
    <div class="moves"><button class="button">${t("board.people.own")}</button></div>
  </form></details>`;
}
