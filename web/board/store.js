// The store itself, and the people who work in it.

import { newKey, words } from "../shared/api.js";
import { t, useLanguage } from "../shared/messages.js";
import { toast } from "../shared/parts.js";
import { html, useState } from "../shared/ui.js";
import { Save, useEdit } from "./edit.js";
import { usePoll, Waiting } from "./poll.js";

const TEXTS = ["name", "phone", "email", "address", "timezone"];
const NUMBERS = ["accept_within_s", "deliver_accepted_after_h", "lead_time_min", "prepare_min", "order_ahead_days"];

export function StoreSettings({ account, user, store }) {
  useLanguage();
  const write = (value) => Object.fromEntries([...TEXTS, ...NUMBERS, "auto_accept"].filter((field) => field in value && value[field] !== "").map((field) => [field, value[field]]));
  const edit = useEdit(account, `/api/v1/stores/${store.id}`, { method: "PATCH", write });
  const set = (field, value) => edit.set({ ...edit.value, [field]: value });
  return html`<section class="board-view" aria-labelledby="store-title">
    <h2 id="store-title">${t("board.view.store")}</h2>
    <${Waiting} poll=${{ body: edit.value, trouble: edit.value ? null : edit.trouble, again: edit.load }} />
    ${edit.value &&
    html`<form class="panel edit" onSubmit=${edit.save}>
      ${TEXTS.map((field) => html`<label class="field" key=${field}><span>${t(`board.store.${field}`)}</span><input type="text" required=${["name", "timezone"].includes(field)} value=${edit.value[field] ?? ""} onInput=${(event) => set(field, event.currentTarget.value || null)} /></label>`)}
      <label class="check"><input type="checkbox" checked=${edit.value.auto_accept} onChange=${(event) => set("auto_accept", event.currentTarget.checked)} /> ${t("board.store.auto_accept")}</label>
      ${NUMBERS.filter((field) => field in edit.value).map((field) => html`<label class="field" key=${field}><span>${t(`board.store.${field}`)}</span><input type="number" min="0" step="1" value=${edit.value[field] ?? ""} onInput=${(event) => set(field, event.currentTarget.value === "" ? null : Number(event.currentTarget.value))} /></label>`)}
      <${Save} edit=${edit} />
    </form>`}
    <${People} account=${account} user=${user} store=${store} />
    ${user.role === "operator" && html`<${NewStore} account=${account} />`}
  </section>`;
}

/** Accounts of this store: made with a first password, and switched off and on. */
function People({ account, user, store }) {
  const poll = usePoll(account, "/users?limit=100", 60_000);
  const [fields, set] = useState({ username: "", password: "", role: "staff" });
  const [trouble, tell] = useState(null);
  const items = (poll.body?.items ?? []).filter((one) => one.stores.includes(store.id));
  const send = async (request) => {
    const outcome = await account.settle({ ...request, key: newKey() });
    tell(outcome.kind === "done" ? null : outcome);
    if (outcome.kind === "done") toast(t("board.menu.saved"));
    poll.again();
    return outcome.kind === "done";
  };
  const make = async (event) => {
    event.preventDefault();
    const made = await send({ method: "POST", path: "/api/v1/users", body: { ...fields, stores: [store.id] } });
    if (made) set({ username: "", password: "", role: "staff" });
  };
  const field = (name) => ({ value: fields[name], onInput: (event) => set({ ...fields, [name]: event.currentTarget.value }) });
  return html`<section class="panel edit" aria-labelledby="people-title">
    <h3 id="people-title">${t("board.people")}</h3>
    <${Waiting} poll=${poll} />
    <ul class="entries">${items.map((one) => html`<li key=${one.id} class="entry-top"><strong>${one.username}</strong><span class="quiet">${t(`board.role.${one.role}`)}</span>
      ${one.disabled && html`<span class="badge" data-tone="bad">${t("board.standing.disabled")}</span>`}
      ${one.id !== user.id && html`<button type="button" class="button small" onClick=${() => send({ method: "PATCH", path: `/api/v1/users/${one.id}`, body: { disabled: !one.disabled } })}>${t(one.disabled ? "board.enable" : "board.disable")}</button>`}</li>`)}</ul>
    <form class="span" onSubmit=${make}>
      <label class="field"><span>${t("panel.sign_in.username")}</span><input type="text" required autocomplete="off" ...${field("username")} /></label>
      <label class="field"><span>${t("board.people.password")}</span><input type="password" required minlength="8" autocomplete="new-password" ...${field("password")} /></label>
      <label class="field"><span>${t("board.people.role")}</span><select value=${fields.role} onChange=${(event) => set({ ...fields, role: event.currentTarget.value })}>${["staff", "manager"].map((role) => html`<option key=${role} value=${role}>${t(`panel.role.${role}`)}</option>`)}</select></label>
      <button class="button">${t("board.people.add")}</button>
    </form>
    ${trouble && html`<p class="trouble" role="alert">${words(trouble)}</p>`}
  </section>`;
}

function NewStore({ account }) {
  const [fields, set] = useState({ name: "", currency: "EUR", timezone: Intl.DateTimeFormat().resolvedOptions().timeZone });
  const [trouble, tell] = useState(null);
  const make = async (event) => {
    event.preventDefault();
    const outcome = await account.settle({ method: "POST", path: "/api/v1/stores", body: fields, key: newKey() });
    if (outcome.kind !== "done") return tell(outcome);
    location.assign(`/board?store=${outcome.body.id}#store`);
  };
  return html`<form class="panel edit" onSubmit=${make}>
    <h3>${t("board.store.new")}</h3>
    ${["name", "currency", "timezone"].map((name) => html`<label class="field" key=${name}><span>${t(`board.store.${name}`)}</span><input type="text" required value=${fields[name]} onInput=${(event) => set({ ...fields, [name]: event.currentTarget.value })} /></label>`)}
    ${trouble && html`<p class="trouble" role="alert">${words(trouble)}</p>`}
    <div class="moves"><button class="button">${t("board.store.add")}</button></div>
  </form>`;
}
