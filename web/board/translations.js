// Names and descriptions in other languages than the store's.

import { language, t } from "../shared/messages.js";
import { Icon } from "../shared/parts.js";
import { html } from "../shared/ui.js";
import { replaced } from "./edit.js";

/** Languages that are offered; any other one stays as it is. */
const OFFERED = ["ar", "bg", "cs", "da", "de", "el", "en", "es", "et", "fi", "fr", "hr", "hu", "it", "ja", "ko", "lt", "lv", "nl", "no", "pl", "pt", "ro", "ru", "sk", "sl", "sr", "sv", "th", "tr", "uk", "vi", "zh"];

/** The name of a language, in the reader's. */
export function languageName(tag) {
  try {
    return new Intl.DisplayNames([language()], { type: "language" }).of(tag) ?? tag;
  } catch {
    return tag;
  }
}

/** The languages to choose from, by their names, with those in use. */
export function languages(inUse = []) {
  const tags = [...new Set([...OFFERED, ...inUse.filter(Boolean)])];
  return tags.map((tag) => ({ tag, name: languageName(tag) })).sort((a, b) => a.name.localeCompare(b.name, language()));
}

/** Reads the API's translations into a list that a form edits. */
export const listed = (translations) => Object.entries(translations ?? {}).map(([tag, { name, description }]) => ({ tag, name: name ?? "", description: description ?? "" }));

/** Returns the list as the API takes it, without empty ones. */
export function translations(list) {
  const filled = list.map(({ tag, name, description }) => [tag, { ...(name.trim() && { name: name.trim() }), ...(description.trim() && { description: description.trim() }) }]);
  return Object.fromEntries(filled.filter(([tag, texts]) => tag && Object.keys(texts).length > 0));
}

export function Translations({ list, store, onChange }) {
  const free = (at) => languages([store.language, ...list.map((one) => one.tag)]).filter(({ tag }) => tag !== store.language && !list.some((one, place) => place !== at && one.tag === tag));
  const set = (at, change) => onChange(replaced(list, at, change));
  return html`<fieldset class="choice"><legend>${t("board.languages")}</legend>
    <p class="quiet">${t("board.languages.own", { language: languageName(store.language ?? "en") })}</p>
    ${list.map(
      (one, at) => html`<fieldset key=${at} class="span"><legend class="unseen">${languageName(one.tag)}</legend>
        <label class="field"><span>${t("board.language")}</span><select value=${one.tag} onChange=${(event) => set(at, { tag: event.currentTarget.value })}>${free(at).map(({ tag, name }) => html`<option key=${tag} value=${tag}>${name}</option>`)}</select></label>
        <label class="field wide"><span>${t("board.menu.name")}</span><input type="text" lang=${one.tag} maxlength="200" value=${one.name} onInput=${(event) => set(at, { name: event.currentTarget.value })} /></label>
        <label class="field wide"><span>${t("board.menu.description")}</span><textarea rows="2" lang=${one.tag} maxlength="2000" value=${one.description} onInput=${(event) => set(at, { description: event.currentTarget.value })}></textarea></label>
        <button type="button" class="button round" aria-label=${t("board.languages.remove", { language: languageName(one.tag) })} onClick=${() => set(at, null)}><${Icon} name="close" /></button>
      </fieldset>`,
    )}
    ${list.length < 20 && html`<div class="moves"><button type="button" class="button" onClick=${() => onChange([...list, { tag: free(-1).find(({ tag }) => tag === (language() === store.language ? "en" : language()))?.tag ?? free(-1)[0].tag, name: "", description: "" }])}>${t("board.languages.add")}</button></div>`}
  </fieldset>`;
}
