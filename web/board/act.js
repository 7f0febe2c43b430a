// What a press of a button on the board does: one call, its outcome in words.

import { newKey, words } from "../shared/api.js";
import { t } from "../shared/messages.js";
import { toast } from "../shared/parts.js";
import { html, useState } from "../shared/ui.js";

/**
 * Returns `[run, busy]`. `run(says, request)` calls the API until the outcome is known, tells it, calls `after`, and returns
 * the answer's body, or null; `says` is the words of what was asked for.
 */
export function useAct(account, after = () => {}) {
  const [busy, work] = useState(false);
  const run = async (says, request) => {
    work(true);
    const outcome = await account.settle({ ...request, key: ["POST", "PATCH"].includes(request.method) ? newKey() : undefined });
    work(false);
    if (outcome.kind === "done") toast(t("board.done", { what: says }));
    else toast(words(outcome), "bad");
    after(outcome);
    return outcome.kind === "done" ? (outcome.body ?? {}) : null;
  };
  return [run, busy];
}

/** What was refused, with what is wrong in which field. */
export function Trouble({ outcome }) {
  if (!outcome) return null;
  const errors = outcome.problem?.errors ?? [];
  return html`<div class="trouble" role="alert"><p>${words(outcome)}</p>${errors.length > 0 && html`<ul>${errors.map((error) => html`<li key=${error.pointer}>${error.pointer}: ${error.detail}</li>`)}</ul>`}</div>`;
}

/** Secrets that the server shows only once. */
export function Secrets({ values, onDone }) {
  const shown = Object.entries(values).filter(([, value]) => value);
  return html`<div class="sure-box"><p>${t("board.rotate.once")}</p>
    ${shown.map(([name, value]) => html`<label class="field" key=${name}><span>${t(`board.secret.${name}`)}</span><input type="text" readonly value=${value} onFocus=${(event) => event.currentTarget.select()} /></label>`)}
    ${shown.length === 0 && html`<p>${t("board.secret.lost")}</p>`}
    <div class="moves"><button type="button" class="button" onClick=${onDone}>${t("panel.understood")}</button></div></div>`;
}

/** A button that asks once more before it does what cannot be undone. */
export function Sure({ says, warns, busy, onDo }) {
  const [asking, ask] = useState(false);
  if (!asking) return html`<button type="button" class="button danger" disabled=${busy} onClick=${() => ask(true)}>${says}</button>`;
  return html`<div class="sure-box"><p>${warns}</p><div class="moves">
    <button type="button" class="button danger" disabled=${busy} onClick=${() => (ask(false), onDo())}>${says}</button>
    <button type="button" class="button" onClick=${() => ask(false)}>${t("panel.back")}</button></div></div>`;
}

/** Names to tick. */
export function Ticks({ label, all, chosen, onChange }) {
  if (all.length === 0) return null;
  const toggle = (id) => onChange(chosen.includes(id) ? chosen.filter((one) => one !== id) : [...chosen, id]);
  return html`<fieldset class="choice"><legend>${label}</legend>
    <div class="choices">${all.map(({ id, name }) => html`<button type="button" key=${id} class="button small" aria-pressed=${chosen.includes(id)} onClick=${() => toggle(id)}>${name}</button>`)}</div>
  </fieldset>`;
}
