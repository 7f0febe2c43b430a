// The sign-in form, alone or before a panel whose sign-in has ended.

import { withWait, words } from "../shared/api.js";
import { has, t, useLanguage } from "../shared/messages.js";
import { LanguageChoice } from "../shared/parts.js";
import { html, useEffect, useRef, useState } from "../shared/ui.js";

/** Returns the words for a sign-in that failed. */
function failed(outcome) {
  const reason = outcome.problem?.reason;
  if (has(`panel.sign_in.${reason}`)) return withWait(t(`panel.sign_in.${reason}`), outcome);
  return outcome.kind === "unknown" ? t("panel.sign_in.unknown") : words(outcome);
}

export function SignIn({ account, why, username }) {
  useLanguage();
  const [name, setName] = useState(username ?? "");
  const [password, setPassword] = useState("");
  const [trouble, tell] = useState(null);
  const [busy, work] = useState(false);
  const first = useRef(null);
  useEffect(() => first.current?.focus(), []);
  const submit = async (event) => {
    event.preventDefault();
    if (busy) return;
    work(true);
    tell(null);
    tell(await account.signIn(name.trim(), password));
    work(false);
  };
  return html`<main class="sign-in">
    <form class="panel" onSubmit=${submit}>
      <h1>${t("panel.sign_in.title")}</h1>
      ${why && html`<p role="status">${t(`panel.sign_in.why.${why}`)}</p>`}
      <label class="field"><span>${t("panel.sign_in.username")}</span>
        <input type="text" ref=${username ? null : first} autocomplete="username" autocapitalize="none" spellcheck=${false} required value=${name} onInput=${(event) => setName(event.currentTarget.value)} /></label>
      <label class="field"><span>${t("panel.sign_in.password")}</span>
        <input type="password" ref=${username ? first : null} autocomplete="current-password" required value=${password} onInput=${(event) => setPassword(event.currentTarget.value)} /></label>
      ${trouble && html`<p class="trouble" role="alert">${failed(trouble)}</p>`}
      <button class="button primary large wide" aria-busy=${busy}>${t("panel.sign_in.go")}</button>
      <${LanguageChoice} />
    </form>
  </main>`;
}
