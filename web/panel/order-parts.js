// Parts of an order that several views show: its place, its lines, its age, and the buttons that move it.

import { clock } from "../shared/format.js";
import { has, t, useLanguage } from "../shared/messages.js";
import { Banner, Icon } from "../shared/parts.js";
import { html, State, useAgain, useEffect, useRef, useState, useValue } from "../shared/ui.js";
import { isAgeKnown, isLater, nextStep, since, urgency } from "./model.js";
import { clockTime, momentOf } from "./zone.js";

/** One clock for all that shows ages. */
const beat = new State(Date.now());
setInterval(() => beat.set(Date.now()), 1000);

/** Returns where an order goes to: its table, or how it leaves the house. */
export const orderPlace = (order) => order.session?.name ?? t(`shared.fulfilment.${order.fulfilment}`);

/** The age of an order that is not for later as a running clock, with its colour and, for those who see no colours, a word. */
export function Age({ order, store }) {
  useLanguage();
  const now = useValue(beat);
  if (isLater(order, now)) return null;
  const state = urgency(order, store, now);
  return html`<span class="age number" data-state=${state}>${isAgeKnown(order) ? clock(now - since(order)) : "–:––"}${state !== "fine" && html` <span class="age-word">${t(`panel.age.${state}`)}</span>`}</span>`;
}

/** Renders again each second. */
export const useBeat = () => useValue(beat);

/** Returns how an order stands, and renders again only when that changes. */
export function useUrgency(order, store) {
  const again = useAgain();
  const state = urgency(order, store, Date.now());
  useEffect(() => beat.subscribe((now) => urgency(order, store, now) !== state && again()), [order, store, state]);
  return state;
}

/** Says in a dialog, which covers the page's own line, that the screen is not live. */
export function Stale({ desk }) {
  const { phase } = useValue(desk.line.state);
  return phase === "waiting" && html`<${Banner} tone="bad">${t("panel.line.stale")}<//>`;
}

/** Returns the status that a move of this order asks for, or undefined; other orders' moves render nothing here. */
export function useMoving(desk, id) {
  const again = useAgain();
  const shown = desk.moving.value.get(id);
  useEffect(() => {
    const look = (moving) => moving.get(id) !== shown && again();
    look(desk.moving.value);
    return desk.moving.subscribe(look);
  }, [desk, id, shown]);
  return shown;
}

/** The lines of an order: quantity, name, options and notes. */
export function Lines({ order }) {
  return html`<ul class="lines">
    ${order.items.map(
      (item) => html`<li key=${item.id}>
        <span class="line-item"><strong class="number">${item.quantity} ×</strong> <bdi>${item.name}</bdi></span>
        ${item.options?.length > 0 && html`<ul class="line-options">${item.options.map((option) => html`<li key=${option.option_id}>${option.quantity > 1 ? `${option.quantity} × ` : ""}<bdi>${option.name}</bdi></li>`)}</ul>`}
        ${item.note && html`<p class="note"><${Icon} name="note" size=${18} /><span>${item.note}</span></p>`}
      </li>`,
    )}
  </ul>`;
}

const REASONED = ["rejected", "cancelled", "failed"];
const QUICK = ["sold_out", "too_busy", "closing", "guest_asked", "mistake"];
const LOSSES = ["lost", "returned"];

/** Returns true if this move needs a reason: cancelling before anybody accepted does not. */
function needsReason(order, status) {
  if (status === "cancelled") return !["pending", "processing"].includes(order.status);
  return REASONED.includes(status);
}

/** Returns true for the second click of a double click, and for a key that is held: the next step stands in its place. */
export const isAgain = (event) => event.repeat === true || event.detail > 1;

/** Returns a ref: when what had the focus inside has gone after a change of the facts, the first button gets it. */
function useFocusKept(facts) {
  const box = useRef(null);
  const had = useRef(false);
  useEffect(() => {
    const look = () => (had.current = Boolean(box.current?.contains(document.activeElement)));
    addEventListener("focusin", look);
    return () => removeEventListener("focusin", look);
  }, []);
  useEffect(() => {
    if (had.current && document.activeElement === document.body) box.current?.querySelector(".button")?.focus();
  }, facts);
  return box;
}

/** Big buttons for all statuses that the account may set; the usual next one first. */
export function Moves({ desk, order, large = true }) {
  useLanguage();
  const moving = useMoving(desk, order.id);
  const [asking, ask] = useState(null);
  const usual = nextStep(order);
  const rest = (order.next ?? []).filter((status) => status !== usual);
  const choose = (status) => (needsReason(order, status) || status === "cancelled" ? ask(status) : desk.move(order, status));
  useEffect(() => ask(null), [order.status]);
  const box = useFocusKept([order.status, asking]);
  if (asking) return html`<div ref=${box}><${Reason} order=${order} status=${asking} onBack=${() => ask(null)} onReason=${async (reason) => (await desk.move(order, asking, reason)) && ask(null)} /></div>`;
  // Not disabled while it moves, and the usual step stays the same button: whoever has the focus goes on with Enter.
  const button = (status, kind) => html`<button type="button" key=${kind === "primary" ? kind : status} class="button ${kind} ${large ? "large" : ""}" aria-disabled=${moving ? "true" : null} aria-busy=${moving === status} onClick=${(event) => moving || isAgain(event) || choose(status)}>
    ${moving === status ? t("panel.moving") : moveText(order, status)}</button>`;
  return html`<div class="moves" ref=${box} onKeyDown=${(event) => isAgain(event) && event.preventDefault()}>
    ${usual && button(usual, "primary")}
    ${rest.filter((status) => !REASONED.includes(status)).map((status) => button(status, ""))}
    ${rest.filter((status) => REASONED.includes(status)).map((status) => button(status, "danger"))}
  </div>
  <${ReadyIn} desk=${desk} order=${order} />`;
}

const READY_MINUTES = [10, 20, 30, 45];

/** Says to the guest when it is ready, in some minutes or at a time; accepting and saying it is one tap. */
function ReadyIn({ desk, order }) {
  const isNew = order.next?.includes("accepted");
  if (!("ready_at" in order) || !(isNew || ["accepted", "preparing"].includes(order.status))) return null;
  return html`<div class="choices ready-in" role="group" aria-label=${t("panel.ready_in")}>
    <span class="quiet">${t(isNew ? "panel.accept_ready_in" : "panel.ready_in")}</span>
    ${READY_MINUTES.map((minutes) => html`<button type="button" key=${minutes} class="button small" onClick=${() => desk.setReady(order, Date.now() + minutes * 60_000)}>${t("panel.minutes", { minutes })}</button>`)}
    <${ReadyAt} key=${order.ready_at} desk=${desk} order=${order} />
  </div>`;
}

/** The field for any other time. */
function ReadyAt({ desk, order }) {
  const [text, write] = useState(order.ready_at ? clockTime(Date.parse(order.ready_at), desk.zone) : "");
  const [isOver, tell] = useState(false);
  const set = (event) => {
    event.preventDefault();
    const at = momentOf(text, desk.zone);
    tell(at !== null && at < Date.now());
    if (at >= Date.now()) desk.setReady(order, at);
  };
  return html`<form class="ready-at" onSubmit=${set}>
    <label><span class="quiet">${t("panel.ready_at")}</span> <input type="time" required value=${text} onInput=${(event) => (tell(false), write(event.currentTarget.value))} /></label>
    <button class="button small">${t("panel.ready_set")}</button>
    ${isOver && html`<p class="trouble" role="alert">${t("panel.ready_over")}</p>`}
  </form>`;
}

/** Returns the words of a button that moves an order. */
export function moveText(order, status) {
  const isOwn = has(`panel.move.${status}.${order.fulfilment}`);
  return isOwn ? t(`panel.move.${status}.${order.fulfilment}`) : t(`panel.move.${status}`);
}

/** Asks why, before an order is declined, cancelled or given up; guests see the reason. */
function Reason({ order, status, onBack, onReason }) {
  const [text, write] = useState("");
  const field = useRef(null);
  useEffect(() => field.current?.focus(), []);
  const isLoss = status === "failed" && order.status === "dispatched";
  const optional = !needsReason(order, status);
  const submit = (event) => {
    event.preventDefault();
    if (optional || text.trim()) onReason(text.trim());
  };
  return html`<form class="reason" onSubmit=${submit}>
    <h4>${t(`panel.reason.${status}`)}</h4>
    <div class="choices">
      ${(isLoss ? LOSSES : QUICK).map((one) => html`<button type="button" key=${one} class="button" onClick=${() => onReason(isLoss ? one : t(`panel.why.${one}`))}>${t(`panel.why.${one}`)}</button>`)}
    </div>
    ${!isLoss &&
    html`<label class="field"><span>${t("panel.reason.other")}</span>
      <input type="text" ref=${field} maxlength="200" value=${text} onInput=${(event) => write(event.currentTarget.value)} /></label>`}
    <div class="moves">
      ${!isLoss && html`<button class="button danger" disabled=${!optional && !text.trim()}>${moveText(order, status)}</button>`}
      <button type="button" class="button" onClick=${onBack}>${t("panel.back")}</button>
    </div>
  </form>`;
}
