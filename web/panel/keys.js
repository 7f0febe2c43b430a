// Keys for those who have no hand free for a pointer, and the page that lists them.

import { t, useLanguage } from "../shared/messages.js";
import { Dialog } from "../shared/parts.js";
import { html, State, useEffect, useRef, useValue } from "../shared/ui.js";

export const keys = { help: "?", tables: "1", orders: "2", kitchen: "3", products: "4", newTable: "n", mute: "m" };
const KEPT = "expediter-keys";

/** Single keys can be switched off: speech input and unsteady hands press them by accident. */
const areOn = new State(read());

/** Calls the action of a key that is pressed outside of fields and dialogs. */
export function useKeys(actions) {
  const last = useRef(actions);
  last.current = actions;
  useEffect(() => {
    const pressed = (event) => {
      const { target } = event;
      const isTyping = target.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable]");
      if (!areOn.value || isTyping || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
      const action = last.current()[event.key];
      if (!action) return;
      event.preventDefault();
      action();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
}

export function Help({ onClose }) {
  useLanguage();
  const on = useValue(areOn);
  const set = (next) => {
    areOn.set(next);
    try {
      localStorage.setItem(KEPT, String(next));
    } catch {
      // Without storage the choice lasts as long as the page is open.
    }
  };
  const rows = [...Object.entries(keys).map(([name, key]) => [key, t(`panel.key.${name}`)]), ["Tab", t("panel.key.tab")], ["↑ ↓ ← →", t("panel.key.arrows")], ["Enter", t("panel.key.enter")], ["Esc", t("panel.key.escape")]];
  return html`<${Dialog} title=${t("panel.help")} onClose=${onClose}>
    <dl class="keys">${rows.map(([key, says]) => html`<div key=${key}><dt><kbd>${key}</kbd></dt><dd>${says}</dd></div>`)}</dl>
    <label class="check"><input type="checkbox" checked=${on} onChange=${(event) => set(event.currentTarget.checked)} /> ${t("panel.key.on")}</label>
    <p class="quiet">${t("panel.help.more")}</p>
  <//>`;
}

/** Moves the focus among elements of a container with the arrow keys; returns the key handler. */
export function arrows(selector, { columns = null } = {}) {
  return (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const side = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step && !(side && columns)) return;
    const container = event.currentTarget;
    const current = event.target.closest(selector);
    if (!current) return;
    const within = side ? container : columns ? current.closest(columns) : container;
    let next;
    if (side) {
      const all = [...within.querySelectorAll(columns)].filter((column) => column.querySelector(selector));
      const place = [...current.closest(columns).querySelectorAll(selector)].indexOf(current);
      const column = all[all.indexOf(current.closest(columns)) + side];
      const found = column ? [...column.querySelectorAll(selector)] : [];
      next = found[Math.min(place, found.length - 1)];
    } else {
      const all = [...within.querySelectorAll(selector)];
      next = all[all.indexOf(current) + step];
    }
    if (!next) return;
    event.preventDefault();
    next.focus();
  };
}

function read() {
  try {
    return localStorage.getItem(KEPT) !== "false";
  } catch {
    return true;
  }
}
