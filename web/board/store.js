// The store itself, and how it serves just now; operators make further ones.

import { newKey } from "../shared/api.js";
import { when } from "../shared/format.js";
import { t, useLanguage } from "../shared/messages.js";
import { Icon } from "../shared/parts.js";
import { html, useState } from "../shared/ui.js";
import { Sure, Trouble, useAct } from "./act.js";
import { Save, useEdit } from "./edit.js";
import { usePoll, Waiting } from "./poll.js";
import { languages } from "./translations.js";

const TEXTS = ["name", "phone", "email", "address", "timezone"];
const NUMBERS = ["accept_within_s", "deliver_accepted_after_h", "lead_time_min", "prepare_min", "order_ahead_days"];

export function StoreSettings({ account, user, store }) {
  useLanguage();
  const write = (value) => Object.fromEntries([...TEXTS, ...NUMBERS, "auto_accept", "language"].filter((field) => field in value && value[field] !== "").map((field) => [field, value[field]]));
  const edit = useEdit(account, `/api/v1/stores/${store.id}`, { method: "PATCH", write });
  const set = (field, value) => edit.set({ ...edit.value, [field]: value });
  return html`<section class="board-view" aria-labelledby="store-title">
    <h2 id="store-title">${t("board.view.store")}</h2>
    <${Service} account=${account} store=${store} />
    <${Waiting} poll=${{ body: edit.value, trouble: edit.value ? null : edit.trouble, again: edit.load }} />
    ${edit.value &&
    html`<form class="panel edit" onSubmit=${edit.save}>
      ${TEXTS.map((field) => html`<label class="field" key=${field}><span>${t(`board.store.${field}`)}</span><input type="text" required=${["name", "timezone"].includes(field)} value=${edit.value[field] ?? ""} onInput=${(event) => set(field, event.currentTarget.value || null)} /></label>`)}
      <label class="field"><span>${t("board.store.language")}</span><select value=${edit.value.language} onChange=${(event) => set("language", event.currentTarget.value)}>${languages([edit.value.language]).map(({ tag, name }) => html`<option key=${tag} value=${tag}>${name}</option>`)}</select></label>
      <label class="check"><input type="checkbox" checked=${edit.value.auto_accept} onChange=${(event) => set("auto_accept", event.currentTarget.checked)} /> ${t("board.store.auto_accept")}</label>
      ${NUMBERS.filter((field) => field in edit.value).map((field) => html`<label class="field" key=${field}><span>${t(`board.store.${field}`)}</span><input type="number" min="0" step="1" value=${edit.value[field] ?? ""} onInput=${(event) => set(field, event.currentTarget.value === "" ? null : Number(event.currentTarget.value))} /></label>`)}
      <${Save} edit=${edit} />
    </form>`}
    ${user.role === "operator" && html`<${NewStore} account=${account} />`}
    <${Archive} account=${account} store=${store} />
  </section>`;
}

const BUSY_MINUTES = [0, 10, 20, 30, 45];
const FOR_MINUTES = [30, 60, 120];

/** Orders now: paused or taken, open or closed by hand, and how late new ones are promised. */
function Service({ account, store }) {
  const now = usePoll(account, `/stores/${store.id}`);
  const opening = usePoll(account, `/stores/${store.id}/opening`);
  const [act, busy] = useAct(account, () => (now.again(), opening.again()));
  if (!now.body || !opening.body) return html`<${Waiting} poll=${now.body ? opening : now} />`;
  const { paused } = now.body;
  const { by_hand: byHand, busy: kitchen, fulfilments } = opening.body;
  const put = (says, place, body) => act(says, { method: "PUT", path: `/api/v1/stores/${store.id}/${place}`, body });
  const until = (minutes) => new Date(Date.now() + minutes * 60_000).toISOString();
  const isOpen = Object.values(fulfilments).some((way) => way.open);
  return html`<div class="panel edit">
    <header class="column-top"><h3>${t("board.service")}</h3>
      <span class="badge" data-tone=${paused || !isOpen ? "bad" : "good"}><${Icon} name=${paused ? "pause" : isOpen ? "check" : "cross"} size=${16} />${t(paused ? "board.store.paused" : isOpen ? "panel.service.open" : "panel.service.closed")}</span></header>
    <div class="moves"><button type="button" class="button ${paused ? "primary" : "danger"}" disabled=${busy} onClick=${() => act(t(paused ? "panel.resume" : "panel.pause.sure"), { method: "PATCH", path: `/api/v1/stores/${store.id}`, body: { paused: !paused } })}>${t(paused ? "panel.resume" : "panel.pause.sure")}</button></div>
    <fieldset class="choice"><legend>${t("panel.service.by_hand")}</legend>
      ${byHand && html`<p>${t(byHand.open ? "panel.service.open" : "panel.service.closed")}${byHand.until ? ` – ${t("panel.service.until", { at: when(byHand.until, store.timezone) })}` : ""}</p>`}
      <div class="choices"><button type="button" class="button small" aria-pressed=${!byHand} disabled=${busy} onClick=${() => put(t("panel.service.by_hours"), "opening", { open: null })}>${t("panel.service.by_hours")}</button>
        ${[false, true].flatMap((open) => FOR_MINUTES.map((minutes) => {
          const says = t(open ? "panel.service.open_for" : "panel.service.close_for", { minutes });
          return html`<button type="button" key=${says} class="button small" disabled=${busy} onClick=${() => put(says, "opening", { open, until: until(minutes) })}>${says}</button>`;
        }))}</div></fieldset>
    <fieldset class="choice"><legend>${t("panel.service.busy")}</legend>
      <div class="choices">${BUSY_MINUTES.map((minutes) => {
        const says = minutes === 0 ? t("panel.service.normal") : t("panel.service.plus", { minutes });
        return html`<button type="button" key=${minutes} class="button small" aria-pressed=${kitchen.adds_minutes === minutes} disabled=${busy} onClick=${() => put(says, "busy", { adds_minutes: minutes })}>${says}</button>`;
      })}</div></fieldset>
  </div>`;
}

/** The end of a store: it takes no more orders, and its past stays. */
function Archive({ account, store }) {
  const [act, busy] = useAct(account, (outcome) => outcome.kind === "done" && location.assign("/board"));
  return html`<div class="panel edit"><h3>${t("board.store.archive")}</h3>
    <${Sure} says=${t("board.store.archive.do", { name: store.name })} warns=${t("board.store.archive.sure")} busy=${busy} onDo=${() => act(t("board.store.archive"), { method: "DELETE", path: `/api/v1/stores/${store.id}` })} /></div>`;
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
    <${Trouble} outcome=${trouble} />
    <div class="moves"><button class="button">${t("board.store.add")}</button></div>
  </form>`;
}
