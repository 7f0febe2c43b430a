// The audit trail: who changed what, when, and from where. For operators.

import { dateTime } from "../shared/format.js";
import { t, useLanguage } from "../shared/messages.js";
import { html, useState } from "../shared/ui.js";
import { path, usePoll, Waiting } from "./poll.js";
import { StoreName, storeOf } from "./scope.js";

const SUBJECTS = ["store", "category", "option_group", "product", "integrator", "account", "api_key", "session", "handoff", "retry", "customer"];
const ACTIONS = ["created", "edited", "archived", "deleted", "ended", "stock_changed", "secret_rotated", "closed", "code_renewed", "retried", "tested", "sign_ins_limited", "exported", "erasure_requested", "erased"];
/** Names under which our own rules and the console act. */
const OURS = { console: "board.audit.console", "sign-in": "board.audit.signin" };
const MAX_LETTERS = 80;

/** Returns the moment at which a day begins here, so many days later; nothing for a day that a person is still typing. */
export function dayAt(day, later = 0) {
  const at = new Date(`${day}T00:00`);
  at.setDate(at.getDate() + later);
  const year = at.getUTCFullYear();
  return year >= 1 && year <= 9999 ? at.toISOString() : "";
}
const nameOf = (actor) => (actor.kind === "system" && OURS[actor.name] ? t(OURS[actor.name]) : (actor.name ?? actor.id ?? ""));

export function Audit({ account, store, stores }) {
  useLanguage();
  const [filter, set] = useState({ subject: "", action: "", actor_id: "", from: "", to: "" });
  const { from, to, ...exact } = filter;
  // Entries about no store, such as accounts, are only in the list of all.
  const storeId = stores.length > 1 ? store.id : null;
  const poll = usePoll(account, path("/audit", { store_id: storeId, ...exact, from: dayAt(from), to: dayAt(to, 1), limit: 100 }), { everyMs: 60_000, pages: 3 });
  const [known, keep] = useState(new Map());
  const items = poll.body?.items ?? [];
  const unknown = items.filter(({ actor }) => actor.id && !known.has(actor.id));
  if (unknown.length > 0) keep(new Map([...known, ...unknown.map(({ actor }) => [actor.id, nameOf(actor)])]));
  const change = (name) => (event) => set({ ...filter, [name]: event.currentTarget.value });
  const pick = (name, label, options) => html`<label class="field"><span>${label}</span><select value=${filter[name]} onChange=${change(name)}>
    <option value="">${t("board.filter.all")}</option>${options.map(([value, says]) => html`<option key=${value} value=${value}>${says}</option>`)}</select></label>`;
  const day = (name) => html`<label class="field"><span>${t(`board.audit.${name}`)}</span><input type="date" max="9999-12-30" value=${filter[name]} onInput=${change(name)} /></label>`;
  return html`<section class="board-view" aria-labelledby="audit-title">
    <h2 id="audit-title">${t("board.view.audit")} <span class="quiet number">${poll.body ? `${items.length}${poll.body.isCut ? "+" : ""}` : ""}</span></h2>
    <div class="span filter">
      ${pick("subject", t("board.audit.subject"), SUBJECTS.map((one) => [one, t(`board.audit.subject.${one}`)]))}
      ${pick("action", t("board.audit.action"), ACTIONS.map((one) => [one, t(`board.audit.action.${one}`)]))}
      ${pick("actor_id", t("board.audit.actor"), [...known])}
      ${day("from")}${day("to")}
    </div>
    <${Waiting} poll=${poll} />
    ${poll.body?.isCut && html`<p class="quiet">${t("board.audit.more")}</p>`}
    ${poll.body && !poll.body.isCut && items.length === 0 && html`<p class="quiet">${t("board.audit.none")}</p>`}
    <ul class="entries">${items.map((one) => html`<${Entry} key=${one.id} scope=${store} entry=${one} />`)}</ul>
  </section>`;
}

function Entry({ scope, entry: one }) {
  const store = storeOf(scope, one.store_id);
  return html`<li class="entry">
    <div class="entry-top"><strong>${nameOf(one.actor)}</strong><span>${t(`board.audit.subject.${one.subject}`)}</span><span>${t(`board.audit.action.${one.action}`)}</span><${StoreName} scope=${scope} id=${one.store_id} />
      <span class="quiet">${[dateTime(one.at, store.timezone), one.address].filter(Boolean).join(" · ")}</span></div>
    <p class="quiet" lang="en">${Object.entries(one.fields).map(([name, field]) => said(name, field)).join(" · ")}</p>
  </li>`;
}

/** A field that changed, in a few letters: `price: 2 → 3`, or `price: 2` of something new. One without a value is a secret. */
export function said(name, field) {
  if (field === null) return name;
  const text = (value) => (typeof value === "string" ? value : (JSON.stringify(value) ?? ""));
  const changed = typeof field === "object" && "from" in field;
  const before = changed && field.from !== null ? `${text(field.from)} → ` : "";
  const whole = changed ? `${before}${text(field.to ?? "")}` : text(field);
  const short = whole.length > MAX_LETTERS ? `${whole.slice(0, MAX_LETTERS)}…` : whole;
  return `${name.replaceAll("_", " ")}: ${short}`;
}
