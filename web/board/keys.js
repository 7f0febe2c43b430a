// Keys for programs: a till, a web shop, a report. Each is shown once, and can be taken back at any time.

import { newKey } from "../shared/api.js";
import { dateTime } from "../shared/format.js";
import { t, useLanguage } from "../shared/messages.js";
import { Dialog, toast } from "../shared/parts.js";
import { html, useState } from "../shared/ui.js";
import { Secrets, Sure, Ticks, Trouble, useAct } from "./act.js";
import { path, usePoll, Waiting } from "./poll.js";
import { storeOf } from "./scope.js";

const ACTIONS = ["orders:read", "orders:write", "sessions:read", "sessions:write", "menu:read", "menu:write", "stores:read", "stores:write", "handoffs:read", "handoffs:write", "integrators:read", "integrators:write", "live:read"];
const word = (action) => t(`board.key.action.${action.replace(":", ".")}`);

export function Keys({ account, store, stores }) {
  useLanguage();
  const [making, make] = useState(false);
  const [secrets, show] = useState(null);
  const poll = usePoll(account, path("/api-keys", { limit: 100 }), { everyMs: 60_000, pages: 10 });
  const [act, busy] = useAct(account, poll.again);
  const items = (poll.body?.items ?? []).filter((one) => store.id === null || one.store_ids.includes(store.id));
  const nameOf = (id) => storeOf({ stores, name: id }, id).name;
  return html`<section class="board-view" aria-labelledby="keys-title">
    <header class="column-top"><h2 id="keys-title">${t("board.view.keys")} <span class="quiet number">${poll.body ? items.length : ""}</span></h2>
      <button type="button" class="button primary" onClick=${() => make(true)}>${t("board.key.add")}</button></header>
    <p class="quiet">${t("board.key.about")}</p>
    ${secrets && html`<${Secrets} values=${secrets} onDone=${() => show(null)} />`}
    <${Waiting} poll=${poll} />
    ${poll.body && items.length === 0 && html`<p class="quiet">${t("board.key.none")}</p>`}
    <ul class="entries">${items.map((one) => html`<li key=${one.id} class="entry">
      <div class="entry-top"><strong>${one.name}</strong><span class="quiet">${one.store_ids.map(nameOf).join(", ")}</span></div>
      <p>${one.actions.map(word).join(" · ")}</p>
      <p class="quiet">${one.last_used_at ? t("board.key.used", { at: dateTime(one.last_used_at, store.timezone) }) : t("board.key.unused")}${one.expires_at ? ` · ${t("board.key.expires", { at: dateTime(one.expires_at, store.timezone) })}` : ""}</p>
      <div class="moves"><${Sure} says=${t("board.key.revoke")} warns=${t("board.key.revoke.sure")} busy=${busy} onDo=${() => act(t("board.key.revoke"), { method: "DELETE", path: `/api/v1/api-keys/${one.id}` })} /></div>
    </li>`)}</ul>
    ${making && html`<${KeyDialog} account=${account} store=${store} stores=${stores} onClose=${() => make(false)} onDone=${(created) => (make(false), show({ key: created.key }), poll.again())} />`}
  </section>`;
}

function KeyDialog({ account, store, stores, onClose, onDone }) {
  const [fields, set] = useState({ name: "", store_ids: store.id ? [store.id] : [], actions: [], days: "" });
  const [trouble, tell] = useState(null);
  const [busy, work] = useState(false);
  const change = (part) => set({ ...fields, ...part });
  const isWhole = fields.name.trim() && fields.store_ids.length > 0 && fields.actions.length > 0;
  const save = async (event) => {
    event.preventDefault();
    if (!isWhole) return;
    work(true);
    const { days, name, ...rest } = fields;
    const body = { ...rest, name: name.trim(), ...(days && { expires_at: new Date(Date.now() + Number(days) * 86_400_000).toISOString() }) };
    const outcome = await account.settle({ method: "POST", path: "/api/v1/api-keys", body, key: newKey() });
    work(false);
    if (outcome.kind !== "done") return tell(outcome);
    toast(t("board.menu.saved"));
    onDone(outcome.body);
  };
  return html`<${Dialog} title=${t("board.key.add")} onClose=${onClose}>
    <form class="edit" onSubmit=${save}>
      <label class="field"><span>${t("board.key.name")}</span><input type="text" required maxlength="60" value=${fields.name} onInput=${(event) => change({ name: event.currentTarget.value })} /></label>
      <${Ticks} label=${t("board.key.actions")} all=${ACTIONS.map((id) => ({ id, name: word(id) }))} chosen=${fields.actions} onChange=${(actions) => change({ actions })} />
      ${stores.length > 1 && html`<${Ticks} label=${t("board.key.stores")} all=${stores} chosen=${fields.store_ids} onChange=${(store_ids) => change({ store_ids })} />`}
      <label class="field"><span>${t("board.key.days")}</span><input type="number" min="1" max="3650" step="1" value=${fields.days} onInput=${(event) => change({ days: event.currentTarget.value })} /></label>
      <${Trouble} outcome=${trouble} />
      <div class="moves"><button class="button primary large" disabled=${busy || !isWhole} aria-busy=${busy}>${t("board.menu.save")}</button></div>
    </form>
  <//>`;
}
