// Opening hours, exceptions, and how much a store takes on.

import { language, t, useLanguage } from "../shared/messages.js";
import { Icon } from "../shared/parts.js";
import { html } from "../shared/ui.js";
import { replaced, Save, useEdit } from "./edit.js";
import { Waiting } from "./poll.js";

const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const WAYS = ["table", "pickup", "delivery"];
const SLOTS = [5, 10, 15, 20, 30, 60];
// 29 November 2027 is a Monday.
const dayName = (day) => new Intl.DateTimeFormat(language(), { weekday: "short", timeZone: "UTC" }).format(Date.UTC(2027, 10, 29 + DAYS.indexOf(day)));

export function Hours({ account, store }) {
  useLanguage();
  const hours = useEdit(account, `/api/v1/stores/${store.id}/hours`);
  const room = useEdit(account, `/api/v1/stores/${store.id}/capacity`);
  return html`<section class="board-view" aria-labelledby="hours-title">
    <h2 id="hours-title">${t("board.view.hours")} <span class="quiet">${store.timezone}</span></h2>
    <${Waiting} poll=${{ body: hours.value, trouble: hours.value ? null : hours.trouble, again: hours.load }} />
    ${hours.value && html`<${Weekly} edit=${hours} />`}
    ${room.value && html`<${Room} edit=${room} />`}
  </section>`;
}

/** For which ways of ordering something holds: all, or some. */
function Ways({ value, label, onChange }) {
  const toggle = (way) => {
    const now = value ?? WAYS;
    const next = now.includes(way) ? now.filter((one) => one !== way) : [...now, way];
    if (next.length > 0) onChange(next.length === WAYS.length ? null : next);
  };
  return html`<div class="choices" role="group" aria-label=${label}>${WAYS.map((way) => html`<button type="button" key=${way} class="button small" aria-pressed=${(value ?? WAYS).includes(way)} onClick=${() => toggle(way)}>${t(`shared.fulfilment.${way}`)}</button>`)}</div>`;
}

function Times({ from, to, onChange, label }) {
  return html`<span class="times" role="group" aria-label=${label}>
    <input type="time" required aria-label=${t("board.hours.from")} value=${from} onInput=${(event) => onChange({ from: event.currentTarget.value })} /> –
    <input type="time" required aria-label=${t("board.hours.to")} value=${to} onInput=${(event) => onChange({ to: event.currentTarget.value })} />
  </span>`;
}

const Remove = ({ onClick }) => html`<button type="button" class="button round" aria-label=${t("board.remove")} onClick=${onClick}><${Icon} name="close" /></button>`;

function Weekly({ edit }) {
  const { weekly, exceptions } = edit.value;
  const set = (change) => edit.set({ ...edit.value, ...change });
  const days = (at, day) => {
    const now = weekly[at].days;
    const next = DAYS.filter((one) => (one === day) !== now.includes(one));
    if (next.length > 0) set({ weekly: replaced(weekly, at, { days: next }) });
  };
  return html`<form class="panel edit" onSubmit=${edit.save}>
    ${weekly.length === 0 && html`<p>${t("board.hours.always")}</p>`}
    ${weekly.map(
      (span, at) => html`<fieldset key=${at} class="span"><legend class="unseen">${t("board.hours.span", { number: at + 1 })}</legend>
        <div class="choices">${DAYS.map((day) => html`<button type="button" key=${day} class="button small" aria-pressed=${span.days.includes(day)} onClick=${() => days(at, day)}>${dayName(day)}</button>`)}</div>
        <${Times} from=${span.from} to=${span.to} label=${t("board.hours.times")} onChange=${(change) => set({ weekly: replaced(weekly, at, change) })} />
        <${Ways} value=${span.fulfilments} label=${t("board.hours.ways")} onChange=${(fulfilments) => set({ weekly: replaced(weekly, at, { fulfilments }) })} />
        <${Remove} onClick=${() => set({ weekly: replaced(weekly, at, null) })} />
      </fieldset>`,
    )}
    <div class="moves"><button type="button" class="button" onClick=${() => set({ weekly: [...weekly, { days: [...DAYS], from: "11:00", to: "22:00", fulfilments: null }] })}>${t("board.hours.add")}</button></div>
    <h3>${t("board.hours.exceptions")}</h3>
    ${exceptions.map(
      (one, at) => html`<fieldset key=${at} class="span"><legend class="unseen">${t("board.hours.exception", { number: at + 1 })}</legend>
        <input type="date" required aria-label=${t("board.hours.date")} value=${one.date} onInput=${(event) => set({ exceptions: replaced(exceptions, at, { date: event.currentTarget.value }) })} />
        <label class="check"><input type="checkbox" checked=${one.closed} onChange=${(event) => set({ exceptions: replaced(exceptions, at, event.currentTarget.checked ? { closed: true, spans: [] } : { closed: false, spans: [{ from: "11:00", to: "22:00" }] }) })} /> ${t("panel.service.closed")}</label>
        ${one.spans.map((span, place) => html`<${Times} key=${place} from=${span.from} to=${span.to} label=${t("board.hours.times")} onChange=${(change) => set({ exceptions: replaced(exceptions, at, { spans: replaced(one.spans, place, change) }) })} />`)}
        <${Remove} onClick=${() => set({ exceptions: replaced(exceptions, at, null) })} />
      </fieldset>`,
    )}
    <div class="moves"><button type="button" class="button" onClick=${() => set({ exceptions: [...exceptions, { date: "", closed: true, spans: [], fulfilments: null }] })}>${t("board.hours.exception.add")}</button></div>
    <${Save} edit=${edit} />
  </form>`;
}

/** So many orders, items or units of weight in each slot; and when a store is busy by itself. */
function Room({ edit }) {
  const { rules, busy } = edit.value;
  const set = (change) => edit.set({ ...edit.value, ...change });
  const number = (text) => (text === "" ? null : Number(text));
  const rule = (at, change) => set({ rules: replaced(rules, at, change) });
  return html`<form class="panel edit" onSubmit=${edit.save}>
    <h3>${t("board.room")}</h3>
    ${rules.length === 0 && html`<p>${t("board.room.none")}</p>`}
    ${rules.map(
      (one, at) => html`<fieldset key=${at} class="span"><legend class="unseen">${t("board.room.rule", { number: at + 1 })}</legend>
        <label class="field"><span>${t("board.room.minutes")}</span><select value=${String(one.minutes)} onChange=${(event) => rule(at, { minutes: Number(event.currentTarget.value) })}>${[...new Set([...SLOTS, one.minutes])].map((minutes) => html`<option key=${minutes} value=${String(minutes)}>${t("panel.minutes", { minutes })}</option>`)}</select></label>
        ${["orders", "items", "weight"].map((what) => html`<label class="field" key=${what}><span>${t(`board.room.${what}`)}</span><input type="number" min="0" step="1" value=${one[what] ?? ""} onInput=${(event) => rule(at, { [what]: number(event.currentTarget.value) })} /></label>`)}
        <${Ways} value=${one.fulfilments} label=${t("board.hours.ways")} onChange=${(fulfilments) => rule(at, { fulfilments })} />
        <${Remove} onClick=${() => rule(at, null)} />
      </fieldset>`,
    )}
    <div class="moves"><button type="button" class="button" onClick=${() => set({ rules: [...rules, { fulfilments: null, minutes: 15, orders: 10, items: null, weight: null }] })}>${t("board.room.add")}</button></div>
    <fieldset class="span"><legend>${t("board.room.busy")}</legend>
      <label class="field"><span>${t("board.room.busy.from")}</span><input type="number" min="1" step="1" value=${busy?.open_orders ?? ""} onInput=${(event) => set({ busy: { adds_minutes: busy?.adds_minutes ?? 15, open_orders: number(event.currentTarget.value) } })} /></label>
      <label class="field"><span>${t("board.room.busy.adds")}</span><input type="number" min="0" max="240" step="1" value=${busy?.adds_minutes ?? 0} onInput=${(event) => set({ busy: { open_orders: busy?.open_orders ?? null, adds_minutes: Number(event.currentTarget.value) } })} /></label>
    </fieldset>
    <${Save} edit=${edit} />
  </form>`;
}
