// An outside system, connected or changed: its address, what it is told, how we prove who we are, and its stores.

import { newKey } from "../shared/api.js";
import { t } from "../shared/messages.js";
import { Dialog, toast } from "../shared/parts.js";
import { html, useState } from "../shared/ui.js";
import { Ticks, Trouble } from "./act.js";
import { eventOf } from "./failed.js";

const KINDS = ["pos", "kitchen", "delivery", "loyalty", "push"];
const EVENTS = ["order.placed", "order.cancelled", "order.dispatched", "order.status_changed", "order.ready_at_changed", "delivery.moved"];
/** Fields of each way to prove who we are; those of `SECRET` are not shown while they are typed. */
const AUTH = {
  none: [],
  bearer: ["token"],
  basic: ["username", "password"],
  header: ["name", "value"],
  sign_in: ["url", "username", "password"],
  oauth2: ["token_url", "client_id", "client_secret", "scope"],
};
const SECRET = ["token", "password", "value", "client_secret"];
const OPTIONAL = ["scope"];
const CHOICES = { format: ["order", "delivery"], confirms: ["acknowledgement", "callback"], unknown_policy: ["resend", "hold"], callback_auth: ["signature", "bearer"] };
const NUMBERS = { max_attempts: [1, 5], concurrency: [1, 256], rate_per_s: [1, 10_000] };
const STATUSES = ["accepted", "preparing", "ready", "dispatched", "delivered", "rejected", "failed", "cancelled"];

/** Reads lines like "done = ready"; null if one is none. */
export function statusMap(text) {
  const entries = text.split("\n").filter((line) => line.trim()).map((line) => line.split("=").map((part) => part.trim()));
  return entries.every((entry) => entry.length === 2 && entry[0] && STATUSES.includes(entry[1])) ? Object.fromEntries(entries) : null;
}

/** Returns what a change sends: the fields that differ, since each edit of the address asks for the credentials again. */
export function changes(before, after) {
  return Object.fromEntries(Object.entries(after).filter(([field, value]) => JSON.stringify(value) !== JSON.stringify(before[field])));
}

export function IntegratorDialog({ account, store, stores, integrator, onClose, onDone }) {
  const isNew = !integrator.id;
  const [fields, set] = useState({
    name: integrator.name ?? "",
    kind: integrator.kind ?? "kitchen",
    url: integrator.url ?? "",
    required: integrator.required ?? true,
    events: integrator.events ?? null,
    store_ids: integrator.store_ids ?? [store.id],
    ...Object.fromEntries(Object.keys(CHOICES).map((name) => [name, integrator[name] ?? null])),
    ...Object.fromEntries(Object.keys(NUMBERS).map((name) => [name, integrator[name] ?? null])),
  });
  const [words, setWords] = useState(Object.entries(integrator.status_map ?? {}).map(([word, status]) => `${word} = ${status}`).join("\n"));
  // Credentials are never shown; "keep" leaves those that there are.
  const [auth, setAuth] = useState({ type: isNew ? "none" : "keep" });
  const [trouble, tell] = useState(null);
  const [busy, work] = useState(false);
  const change = (part) => set({ ...fields, ...part });
  const map = statusMap(words);
  const save = async (event) => {
    event.preventDefault();
    if (!map) return;
    const all = { ...fields, name: fields.name.trim(), url: fields.url.trim(), status_map: map };
    const given = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null));
    const body = isNew ? { store_id: store.id, ...given } : changes(integrator, all);
    if (auth.type !== "keep") body.auth = Object.fromEntries(Object.entries(auth).filter(([, value]) => value !== ""));
    work(true);
    tell(null);
    const outcome = await account.settle({ method: isNew ? "POST" : "PATCH", path: isNew ? "/api/v1/integrators" : `/api/v1/integrators/${integrator.id}`, body, key: newKey() });
    work(false);
    if (outcome.kind !== "done") return tell(outcome);
    toast(t("board.menu.saved"));
    onDone(outcome.body);
  };
  return html`<${Dialog} wide title=${isNew ? t("board.integrator.add") : integrator.name} onClose=${onClose}>
    <form class="edit" onSubmit=${save}>
      <label class="field"><span>${t("board.menu.name")}</span><input type="text" required maxlength="200" value=${fields.name} onInput=${(event) => change({ name: event.currentTarget.value })} /></label>
      <label class="field"><span>${t("board.integrator.url")}</span><input type="text" inputmode="url" required maxlength="2000" placeholder="https://" value=${fields.url} onInput=${(event) => change({ url: event.currentTarget.value })} /></label>
      <label class="field"><span>${t("board.integrator.kind")}</span><select value=${fields.kind} onChange=${(event) => change({ kind: event.currentTarget.value, ...(isNew && { required: event.currentTarget.value !== "push" && event.currentTarget.value !== "delivery" }) })}>${KINDS.map((kind) => html`<option key=${kind} value=${kind}>${t(`board.integrator.kind.${kind}`)}</option>`)}</select></label>
      <label class="check"><input type="checkbox" checked=${fields.required} onChange=${(event) => change({ required: event.currentTarget.checked })} /> ${t("board.integrator.required")}</label>
      <${Auth} auth=${auth} keeps=${!isNew} set=${setAuth} />
      ${stores.length > 1 && html`<${Ticks} label=${t("board.integrator.stores")} all=${stores} chosen=${fields.store_ids} onChange=${(ids) => ids.includes(integrator.store_id ?? store.id) && change({ store_ids: ids })} />`}
      <details class="more"><summary>${t("board.integrator.more")}</summary><div class="edit">
        <${Ticks} label=${t("board.integrator.events")} all=${EVENTS.map((id) => ({ id, name: eventOf(id) }))} chosen=${fields.events ?? []} onChange=${(events) => change({ events: events.length > 0 ? events : isNew ? null : fields.events })} />
        ${Object.entries(CHOICES).map(([name, values]) => html`<label class="field" key=${name}><span>${t(`board.integrator.${name}`)}</span><select value=${fields[name] ?? ""} onChange=${(event) => change({ [name]: event.currentTarget.value || null })}>${isNew && html`<option value="">${t("board.integrator.usual")}</option>`}${values.map((value) => html`<option key=${value} value=${value}>${t(`board.integrator.${name}.${value}`)}</option>`)}</select></label>`)}
        ${Object.entries(NUMBERS).map(([name, [min, max]]) => html`<label class="field" key=${name}><span>${t(`board.integrator.${name}`)}</span><input type="number" min=${min} max=${max} step="1" value=${fields[name] ?? ""} onInput=${(event) => change({ [name]: event.currentTarget.value === "" ? null : Number(event.currentTarget.value) })} /></label>`)}
        <label class="field"><span>${t("board.integrator.status_map", { statuses: STATUSES.join(", ") })}</span><textarea rows="3" aria-invalid=${!map} value=${words} onInput=${(event) => setWords(event.currentTarget.value)}></textarea></label>
        ${!map && html`<p class="trouble" role="alert">${t("board.integrator.status_map.wrong")}</p>`}
      </div></details>
      <${Trouble} outcome=${trouble} />
      <div class="moves"><button class="button primary large" disabled=${busy || !map} aria-busy=${busy}>${t("board.menu.save")}</button></div>
    </form>
  <//>`;
}

/** How we prove to the system who we are. */
function Auth({ auth, keeps, set }) {
  const types = [...(keeps ? ["keep"] : []), ...Object.keys(AUTH)];
  const choose = (type) => set({ type, ...Object.fromEntries((AUTH[type] ?? []).map((name) => [name, ""])) });
  return html`<label class="field"><span>${t("board.integrator.auth")}</span><select value=${auth.type} onChange=${(event) => choose(event.currentTarget.value)}>${types.map((type) => html`<option key=${type} value=${type}>${t(`board.integrator.auth.${type}`)}</option>`)}</select></label>
    ${(AUTH[auth.type] ?? []).map((name) => html`<label class="field" key=${name}><span>${t(`board.integrator.auth.field.${name}`)}</span><input type=${SECRET.includes(name) ? "password" : "text"} autocomplete="off" required=${!OPTIONAL.includes(name)} value=${auth[name]} onInput=${(event) => set({ ...auth, [name]: event.currentTarget.value })} /></label>`)}`;
}
