// Parts of every page: icons, states as text with icon and colour, dialogs, spoken and shown notices.

import { has, language, LANGUAGES, mark, setLanguage, t, useLanguage } from "./messages.js";
import { html, State, useEffect, useRef, useValue } from "./ui.js";

/** Paths of 24 × 24 icons, drawn for these pages. */
const ICONS = {
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  close: "M6 6l12 12M18 6L6 18",
  check: "M5 13l4 4L19 7",
  clock: "M12 21a9 9 0 100-18 9 9 0 000 18zM12 7v5l3 2",
  send: "M4 12h15M13 6l6 6-6 6",
  pan: "M3 11h13a6 6 0 01-12 3zM16 12h6",
  bell: "M6 17h12M7 17v-5a5 5 0 0110 0v5M11 20h2",
  bag: "M5 8h14l-1 12H6zM9 8a3 3 0 016 0",
  bike: "M6 19a3 3 0 100-6 3 3 0 000 6zM18 19a3 3 0 100-6 3 3 0 000 6zM6 16l4-7h5l3 7M9 9H7M15 9l-1-3h-2",
  cross: "M12 21a9 9 0 100-18 9 9 0 000 18zM9 9l6 6M15 9l-6 6",
  warning: "M12 4l9 16H3zM12 10v4M12 17v.5",
  pause: "M9 6v12M15 6v12",
  info: "M12 21a9 9 0 100-18 9 9 0 000 18zM12 11v5M12 8v.5",
  note: "M5 5h14v10l-4 4H5zM9 10h6M9 14h3",
};

export function Icon({ name, size = 20 }) {
  return html`<svg class="icon" width=${size} height=${size} viewBox="0 0 24 24" aria-hidden="true" focusable="false"><path d=${ICONS[name]} /></svg>`;
}

/** Tone and icon of each status of an order. */
const STATUS = {
  draft: ["quiet", "note"],
  scheduled: ["quiet", "clock"],
  pending: ["wait", "clock"],
  processing: ["wait", "send"],
  accepted: ["good", "check"],
  preparing: ["good", "pan"],
  ready: ["strong", "bell"],
  dispatched: ["strong", "bike"],
  delivered: ["quiet", "check"],
  rejected: ["bad", "cross"],
  failed: ["bad", "warning"],
  cancelled: ["bad", "cross"],
};

/** The status of an order as text, icon and colour. */
export function StatusBadge({ status }) {
  useLanguage();
  const [tone, icon] = STATUS[status] ?? ["quiet", "info"];
  return html`<span class="badge" data-tone=${tone} data-status=${status}><${Icon} name=${icon} size=${16} />${statusText(status)}</span>`;
}

export const statusText = (status) => (has(`shared.status.${status}`) ? t(`shared.status.${status}`) : plainly(status));

/** Returns why an order ended, in words; a reason that a person wrote stands as it is. */
export const reasonText = (reason) => (has(`shared.why.${reason}`) ? t(`shared.why.${reason}`) : plainly(reason));

const plainly = (word) => String(word).replaceAll("_", " ");

/** A notice across the page's width. */
export function Banner({ tone = "warn", icon = "warning", role = "status", children }) {
  return html`<div class="banner" data-tone=${tone} role=${role}><${Icon} name=${icon} /><div>${children}</div></div>`;
}

/** Dialogs that stand open, the topmost last: what stands behind one is dim, and silent for screen readers. */
const dialogs = new State([]);

/** A modal dialog: keeps the focus, gives it back, and closes with Escape and by its button. */
export function Dialog({ title, onClose, children, wide = false, sheet = false }) {
  useLanguage();
  const dialog = useRef(null);
  const closing = useRef(onClose);
  closing.current = onClose;
  useEffect(() => {
    const element = dialog.current;
    const before = document.activeElement;
    const closed = () => closing.current();
    element.addEventListener("close", closed);
    element.showModal();
    dialogs.set((open) => [...open, dialog]);
    return () => {
      dialogs.set((open) => open.filter((one) => one !== dialog));
      element.removeEventListener("close", closed);
      element.close();
      // A key that was pressed before this event may have moved the focus on.
      const { activeElement } = document;
      const isLeft = activeElement === document.body || element.contains(activeElement);
      if (isLeft && before?.isConnected) before.focus();
    };
  }, []);
  const outside = (event) => event.target === dialog.current && dialog.current.close();
  return html`<dialog ref=${dialog} class="dialog ${wide ? "wide" : ""} ${sheet ? "sheet" : ""}" aria-label=${title} onClick=${outside}>
    <div class="dialog-inside">
      <header class="dialog-top">
        <h2>${title}</h2>
        <button type="button" class="button round" aria-label=${t("shared.close")} onClick=${() => dialog.current.close()}><${Icon} name="close" /></button>
      </header>
      ${children}
    </div>
    <${Notices} within=${dialog} />
  </dialog>`;
}

const spoken = new State({ text: "", at: 0 });
const shown = new State([]);
const SHOWN_FOR_MS = 6_000;
/** A dialog that says something as it closes would be silent: the place behind it says what is no older than this. */
const SAID_JUST_NOW_MS = 500;
let made = 0;

/** Has screen readers speak the text once. */
export function announce(text) {
  // The same text twice is two announcements: a space that nobody hears tells them apart.
  spoken.set((old) => ({ text: old.text === text ? `${text}\u00a0` : text, at: Date.now() }));
}

/** Shows a notice for some seconds, and has it spoken. */
export function toast(text, tone = "good") {
  const id = ++made;
  shown.set((list) => [...list.slice(-2), { id, text, tone }]);
  setTimeout(() => shown.set((list) => list.filter((one) => one.id !== id)), SHOWN_FOR_MS);
  announce(text);
}

/** The place of spoken and shown notices; once in a page, and in each dialog. The topmost of them shows them. */
export function Notices({ within = null }) {
  const { text, at } = useValue(spoken);
  const list = useValue(shown);
  const isTop = (useValue(dialogs).at(-1) ?? null) === within;
  const from = useRef(null);
  if (!isTop) from.current = null;
  else from.current ??= Date.now() - SAID_JUST_NOW_MS;
  return html`<div>
    <p class="unseen" aria-live="polite">${isTop && at >= from.current ? text : ""}</p>
    <ul class="toasts" aria-hidden="true">${(isTop ? list : []).map(({ id, text: says, tone }) => html`<li key=${id} class="toast" data-tone=${tone}><${Icon} name=${tone === "bad" ? "warning" : "check"} />${says}</li>`)}</ul>
  </div>`;
}

export function LanguageChoice() {
  useLanguage();
  mark();
  return html`<label class="language"><span class="unseen">${t("shared.language")}</span>
    <select value=${language()} onChange=${(event) => setLanguage(event.currentTarget.value)}>
      ${Object.entries(LANGUAGES).map(([code, name]) => html`<option value=${code} lang=${code}>${name}</option>`)}
    </select></label>`;
}

/** A number of pieces, changed by two buttons that are large enough for a thumb. */
export function Counter({ value, min = 1, max = 99, label, onChange }) {
  useLanguage();
  return html`<div class="counter" role="group" aria-label=${label}>
    <button type="button" class="button round" disabled=${value <= min} aria-label=${t("shared.less")} onClick=${() => onChange(value - 1)}><${Icon} name="minus" /></button>
    <output aria-live="polite">${value}</output>
    <button type="button" class="button round" disabled=${value >= max} aria-label=${t("shared.more")} onClick=${() => onChange(value + 1)}><${Icon} name="plus" /></button>
  </div>`;
}
