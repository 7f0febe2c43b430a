// The page of an address that leads nowhere, in the reader's language; without scripts it is in all of them.

import { t, useLanguage } from "../shared/messages.js";
import { LanguageChoice } from "../shared/parts.js";
import { html, render, useEffect } from "../shared/ui.js";

function Missing() {
  useLanguage();
  const title = t("missing.title");
  useEffect(() => void (document.title = `${title} – Expediter`), [title]);
  return html`<main class="start">
    <header class="start-top"><h1>${title}</h1><${LanguageChoice} /></header>
    <section class="panel"><p>${t("missing.says")}</p>
      <p class="start-go"><a class="button primary" href="/">${t("missing.start")}</a></p></section>
  </main>`;
}

const page = document.getElementById("page");
page.replaceChildren();
render(html`<${Missing} />`, page);
