// The cart of the guest's page: what is in it, when it is wanted, and the sending of it.

import { words } from "../shared/api.js";
import { day, money, time, when } from "../shared/format.js";
import { t, useLanguage } from "../shared/messages.js";
import { Banner, Counter, Dialog, Icon } from "../shared/parts.js";
import { html, useEffect, useRef, useState, useValue } from "../shared/ui.js";
import { NOTE_MAX, QUANTITY_MAX, readSlots } from "./cart.js";

const DAY_MS = 86_400_000;

/** The bar at the bottom: how much is in the cart, and how the sending goes. */
export function CartBar({ cart, prices, onOpen }) {
  useLanguage();
  const { lines, sending } = useValue(cart.state);
  const outcome = useValue(cart.outcome);
  const count = lines.reduce((sum, line) => sum + line.quantity, 0);
  if (count === 0) return null;
  // One that was turned away for now has certainly not arrived, and is sent again.
  const unknown = sending && outcome?.kind === "unknown" && outcome.outcome.kind === "unknown";
  return html`<div class="guest-foot"><button type="button" class="button primary large wide" aria-haspopup="dialog" onClick=${onOpen}>
    <${Icon} name=${unknown ? "warning" : sending ? "send" : "bag"} />
    <span>${unknown ? t("guest.bar.unknown") : sending ? t("guest.bar.sending") : t("guest.bar.open", { count })}</span>
    <span class="guest-bar-total number">${money(prices.total(lines))}</span>
  </button></div>`;
}

export function Checkout({ table, cart, prices, now, takesOrders, onClose }) {
  useLanguage();
  const { lines, wantedAt, sending } = useValue(cart.state);
  const outcome = useValue(cart.outcome);
  const [sent, setSent] = useState(null);
  const troubles = lines.map((line) => prices.trouble(line, lines));
  const total = prices.total(lines);
  const needsTime = !now.atOnce && !wantedAt;
  const canSend = takesOrders && !sending && lines.length > 0 && troubles.every((trouble) => trouble === null) && !needsTime;

  const send = () => cart.send(prices).then(() => table.lookAgain());
  // An answer to an earlier order does not belong to what is ordered now.
  const earlier = useRef(sending ? null : outcome);
  const answer = outcome === earlier.current ? null : outcome;
  useEffect(() => {
    if (answer?.kind === "sent") setSent(answer.order);
  }, [answer]);

  if (sent) return html`<${Dialog} title=${t("guest.sent")} onClose=${onClose} sheet><${Sent} order=${sent} onClose=${onClose} /><//>`;
  return html`<${Dialog} title=${t("guest.cart.title")} onClose=${onClose} sheet>
    ${lines.length === 0 && html`<p>${t("guest.cart.empty")}</p>`}
    <ul class="guest-lines">${lines.map((line, place) => html`<${Line} key=${line.id} line=${line} trouble=${troubles[place]} prices=${prices} cart=${cart} locked=${sending !== null} />`)}</ul>
    ${lines.length > 0 && html`<p class="guest-total"><span>${t("guest.total")}</span><strong class="number">${money(total)}</strong></p>`}
    ${lines.length > 0 && now.ordersAhead && html`<${When} table=${table} cart=${cart} now=${now} wantedAt=${wantedAt} locked=${sending !== null} />`}
    <${Told} outcome=${answer} sending=${sending} zone=${now.zone} />
    ${lines.length > 0 && html`<button type="button" class="button primary large wide" aria-busy=${sending !== null} disabled=${!canSend} onClick=${send}>
      <${Icon} name="send" />${sending ? t("guest.bar.sending") : t("guest.send", { total: money(total) })}
    </button>`}
    ${!takesOrders && !sending && html`<p class="quiet">${t("guest.not_now")}</p>`}
  <//>`;
}

/** Says how the sending goes; a live region that is there from the beginning, so that it is spoken. */
function Told({ outcome, sending, zone }) {
  let told = null;
  if (sending && outcome?.kind === "unknown") {
    told = html`<${Banner} tone="warn" role=${null}>${words(outcome.outcome)} <span class="guest-more">${t("guest.unknown.more")}</span><//>`;
  } else if (outcome?.kind === "refused") {
    told = html`<${Banner} tone="bad" icon="cross" role=${null}>${t("guest.refused")} <span class="guest-more">${words(outcome.outcome)} ${more(outcome.outcome, zone)}</span><//>`;
  }
  return html`<div role="status" class="guest-told">${told}</div>`;
}

/** Returns the details of a refusal: how much is left of which dish, and from when on it is possible. */
function more({ problem }, zone) {
  const { short = [], next_free_at, opens_at } = problem ?? {};
  const details = short.map(({ name, left }) => t("guest.refused.left", { name: name ?? "", count: left ?? 0 }));
  if (next_free_at) details.push(t("guest.refused.free", { time: when(next_free_at, zone) }));
  if (opens_at) details.push(t("guest.shut.opens", { time: when(opens_at, zone) }));
  return details.join(" ");
}

function Line({ line, trouble, prices, cart, locked }) {
  const product = prices.products.get(line.product_id);
  const unit = prices.unit(line);
  const [noting, setNoting] = useState(line.note !== "");
  const options = line.options.map(({ option_id, quantity }) => {
    const option = prices.options.get(option_id);
    return option && (quantity > 1 ? `${quantity} × ${option.name}` : option.name);
  });
  const most = Number.isInteger(product?.stock) ? Math.max(1, Math.min(product.stock, QUANTITY_MAX)) : QUANTITY_MAX;
  return html`<li class="guest-cart-line" data-trouble=${trouble}>
    <div class="guest-cart-words">
      <span class="guest-dish-name" dir="auto">${product?.name ?? t("guest.trouble.gone")}</span>
      ${options.length > 0 && html`<span class="quiet small" dir="auto">${options.filter(Boolean).join(", ")}</span>`}
      ${trouble && html`<span class="guest-missed"><${Icon} name="warning" size=${16} />${trouble === "left" ? t("guest.trouble.left", { count: product.stock }) : t(`guest.trouble.${trouble}`)}</span>`}
      ${unit !== null && html`<span class="number">${money({ amount: unit * line.quantity, currency: prices.currency })}</span>`}
    </div>
    <div class="guest-cart-change">
      ${locked
        ? html`<span class="number">${line.quantity} ×</span>`
        : html`<${Counter} value=${line.quantity} min=${0} max=${most} label=${t("guest.quantity.of", { name: product?.name ?? "" })} onChange=${(quantity) => cart.setQuantity(line.id, quantity)} />`}
    </div>
    ${noting || locked
      ? line.note || noting
        ? html`<label class="field guest-cart-note"><span class="unseen">${t("guest.note.of", { name: product?.name ?? "" })}</span>
            <input type="text" dir="auto" maxlength=${NOTE_MAX} disabled=${locked} placeholder=${t("guest.note.example")} value=${line.note} onInput=${(event) => cart.setNote(line.id, event.currentTarget.value)} /></label>`
        : null
      : html`<button type="button" class="button plain small guest-cart-note" onClick=${() => setNoting(true)}><${Icon} name="note" size=${16} />${t("guest.note.add")}</button>`}
  </li>`;
}

/** The choice between as soon as possible and a time that the store has room for. */
function When({ table, cart, now, wantedAt, locked }) {
  const [slots, setSlots] = useState(null);
  useEffect(() => {
    let left = false;
    const from = new Date();
    const to = new Date(from.getTime() + 2 * DAY_MS);
    readSlots(table.code, from.toISOString(), to.toISOString()).then((outcome) => {
      if (!left) setSlots(outcome.kind === "done" ? (outcome.body.items ?? []) : []);
    });
    return () => (left = true);
  }, []);
  if (slots === null || (slots.length === 0 && !wantedAt)) return null;
  const hasRoom = ({ left }) => !left || Object.values(left).every((room) => room === null || room === undefined || room > 0);
  const ahead = (slot) => Date.parse(slot.from) - Date.now();
  const free = slots.filter((slot) => hasRoom(slot) && ahead(slot) >= now.aheadMs.least && ahead(slot) <= now.aheadMs.most);
  const days = new Map();
  for (const slot of free) {
    const name = day(slot.from, now.zone);
    days.set(name, [...(days.get(name) ?? []), slot]);
  }
  return html`<label class="field"><span>${t("guest.when")}</span>
    <select disabled=${locked} value=${wantedAt ?? ""} onChange=${(event) => cart.setWantedAt(event.currentTarget.value || null)}>
      <option value="">${now.atOnce ? t("guest.when.now") : t("guest.when.choose")}</option>
      ${wantedAt && !free.some((slot) => slot.from === wantedAt) && html`<option value=${wantedAt}>${day(wantedAt, now.zone)}, ${time(wantedAt, now.zone)}</option>`}
      ${[...days].map(([name, times]) => html`<optgroup key=${name} label=${name}>${times.map((slot) => html`<option key=${slot.from} value=${slot.from}>${time(slot.from, now.zone)}</option>`)}</optgroup>`)}
    </select></label>`;
}

/** The confirmation: the order's number, large. */
function Sent({ order, onClose }) {
  return html`<div class="guest-sent">
    <p class="guest-sent-mark"><${Icon} name="check" size=${40} /></p>
    <p>${t("guest.sent.number")}</p>
    <p class="guest-sent-number number">${order.number}</p>
    <p class="quiet">${t("guest.sent.more")}</p>
    <button type="button" class="button primary large wide" onClick=${onClose}>${t("guest.sent.back")}</button>
  </div>`;
}
