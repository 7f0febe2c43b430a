// The start page: leads to the demonstration if there is one, else tells each kind of reader where to go.

import { t, useLanguage } from "../shared/messages.js";
import { LanguageChoice } from "../shared/parts.js";
import "../shared/offline.js";
import { html, render } from "../shared/ui.js";

start();

async function start() {
  if (await isDemonstration()) return location.replace("/demo");
  render(html`<${Start} />`, document.getElementById("page"));
}

async function isDemonstration() {
  try {
    const answer = await fetch("/demo.json", { cache: "no-store" });
    return answer.ok;
  } catch {
    return false;
  }
}

function Start() {
  useLanguage();
  return html`<main class="start">
    <header class="start-top"><h1>Expediter</h1><${LanguageChoice} /></header>
    <section class="panel"><h2>${t("start.guests.title")}</h2><p>${t("start.guests.says")}</p></section>
    <section class="panel"><h2>${t("start.staff.title")}</h2><p>${t("start.staff.says")}</p>
      <p class="start-go"><a class="button primary" href="/panel">${t("start.staff.go")}</a> <a class="button" href="/board">${t("start.staff.board")}</a></p></section>
    <section class="panel"><h2>${t("start.programs.title")}</h2>
      <ul class="start-links"><li><a href="/docs">${t("start.programs.docs")}</a></li><li><a href="/problems">${t("start.programs.problems")}</a></li></ul></section>
  </main>`;
}
