// How the store serves now: by its hours or by hand, and how busy it is.

import { when } from "../shared/format.js";
import { t, useLanguage } from "../shared/messages.js";
import { Dialog, Icon } from "../shared/parts.js";
import { html, useState, useValue } from "../shared/ui.js";

const BUSY_MINUTES = [0, 10, 20, 30, 45];
/** Choices by hand: open or closed, and for how many minutes. */
const BY_HAND = [[false, 30], [false, 60], [false, 120], [true, 60], [true, 180]];

/** Returns the state in one word for the button, with what a reader must know. */
function standing(opening, zone) {
  if (!opening) return null;
  const ways = Object.values(opening.fulfilments);
  const next = ways.map((way) => way.opens_at).filter(Boolean).sort()[0];
  if (ways.every((way) => !way.open)) return { tone: "bad", says: next ? t("panel.service.closed_until", { at: when(next, zone) }) : t("panel.service.closed") };
  if (opening.busy.adds_minutes > 0) return { tone: "warn", says: t("panel.service.busy_now", { minutes: opening.busy.adds_minutes }) };
  return { tone: "good", says: t("panel.service.open") };
}

/** The button that says how the store serves; the dialog stands outside of the page's header. */
export function Service({ desk, onOpen }) {
  useLanguage();
  const now = standing(useValue(desk.opening), desk.zone);
  if (!now) return null;
  return html`<button type="button" class="button tool" data-tone=${now.tone} onClick=${onOpen}><${Icon} name="clock" /><span>${now.says}</span></button>`;
}

export function ServiceDialog({ desk, onClose }) {
  useLanguage();
  const opening = useValue(desk.opening);
  const [busy, work] = useState(false);
  const run = async (action) => {
    work(true);
    await action();
    work(false);
  };
  const { by_hand: byHand } = opening;
  return html`<${Dialog} title=${t("panel.service")} onClose=${onClose}>
    <ul class="ways">${Object.entries(opening.fulfilments).map(
      ([name, way]) => html`<li key=${name}><strong>${t(`shared.fulfilment.${name}`)}</strong> <span class="badge" data-tone=${way.open ? "good" : "bad"}><${Icon} name=${way.open ? "check" : "cross"} size=${16} />${t(way.open ? "panel.service.open" : "panel.service.closed")}</span>
        <span class="quiet">${way.open ? way.closes_at && t("panel.service.until", { at: when(way.closes_at, desk.zone) }) : way.opens_at && t("panel.service.opens", { at: when(way.opens_at, desk.zone) })}</span></li>`,
    )}</ul>
    <fieldset class="choice"><legend>${t("panel.service.busy")}</legend>
      <div class="choices">${BUSY_MINUTES.map((minutes) => html`<button type="button" key=${minutes} class="button" aria-pressed=${opening.busy.adds_minutes === minutes} disabled=${busy} onClick=${() => run(() => desk.setBusy(minutes))}>${minutes === 0 ? t("panel.service.normal") : t("panel.service.plus", { minutes })}</button>`)}</div>
    </fieldset>
    <fieldset class="choice"><legend>${t("panel.service.by_hand")}</legend>
      ${byHand && html`<p>${t(byHand.open ? "panel.service.open" : "panel.service.closed")}${byHand.until ? ` – ${t("panel.service.until", { at: when(byHand.until, desk.zone) })}` : ""}</p>`}
      <div class="choices">
        <button type="button" class="button" aria-pressed=${!byHand} disabled=${busy} onClick=${() => run(() => desk.openByHand(null, null))}>${t("panel.service.by_hours")}</button>
        ${BY_HAND.map(([open, minutes]) => html`<button type="button" key=${`${open}${minutes}`} class="button ${open ? "" : "danger"}" disabled=${busy} onClick=${() => run(() => desk.openByHand(open, minutes))}>${t(open ? "panel.service.open_for" : "panel.service.close_for", { minutes })}</button>`)}
      </div>
    </fieldset>
  <//>`;
}
