// Words in the reader's language, from one file for each language in web/messages.

import de from "../messages/de.js";
import en from "../messages/en.js";
import { State, useValue } from "./ui.js";

/** Languages by their code, each with its own name. */
export const LANGUAGES = { en: "English", de: "Deutsch" };
const TEXTS = { en: { ...en }, de: { ...de } };
const KEPT = "expediter-language";
const pluralRules = {};

const chosen = new State(first());

/** Adds the texts of some pages, by language, so that the other pages do not load them. */
export function addTexts(more) {
  for (const [code, texts] of Object.entries(more)) Object.assign(TEXTS[code], texts);
}

export const language = () => chosen.value;
export const useLanguage = () => useValue(chosen);

export function setLanguage(code) {
  if (!(code in TEXTS)) return;
  try {
    localStorage.setItem(KEPT, code);
  } catch {
    // Without storage the choice lasts as long as the page is open.
  }
  chosen.set(code);
  mark();
}

/** Calls the watcher after each change of the language. */
export const onLanguage = (watcher) => chosen.subscribe(watcher);

/** Tells the browser and screen readers which language the page is in. */
export function mark() {
  document.documentElement.lang = chosen.value;
}

/** Returns the text of a key; `{name}` is filled in, and `count` chooses among the forms of a plural. */
export function t(key, values = {}, code = chosen.value) {
  const text = TEXTS[code][key] ?? TEXTS.en[key];
  if (text === undefined) return key;
  const form = typeof text === "string" ? text : plural(text, values.count, code);
  return form.replace(/\{(\w+)\}/g, (hole, name) => (name in values ? String(values[name]) : hole));
}

/** Returns true if there is a text for the key. */
export const has = (key) => key in TEXTS.en;

function plural(forms, count, code) {
  pluralRules[code] ??= new Intl.PluralRules(code);
  return forms[pluralRules[code].select(count)] ?? forms.other;
}

function first() {
  const wishes = [];
  try {
    wishes.push(new URLSearchParams(location.search).get("lang"), localStorage.getItem(KEPT));
  } catch {
    // No page or no storage: the browser's languages decide.
  }
  wishes.push(...(globalThis.navigator?.languages ?? []));
  const codes = wishes.filter(Boolean).map((wish) => wish.toLowerCase().split("-")[0]);
  return codes.find((code) => code in TEXTS) ?? "en";
}
