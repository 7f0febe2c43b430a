// Reads that come again by themselves, and since when they do not.

import { words } from "../shared/api.js";
import { time } from "../shared/format.js";
import { t, useLanguage } from "../shared/messages.js";
import { html, useEffect, useRef, useState } from "../shared/ui.js";

const EVERY_MS = 10_000;

/** Reads a path below /api/v1 now and every ten seconds. Returns `{body, at, trouble, again}`; old answers stay. */
export function usePoll(account, path, everyMs = EVERY_MS) {
  const [read, keep] = useState({ body: null, at: null, trouble: null });
  const again = useRef(() => {});
  useEffect(() => {
    let over = false;
    let timer = null;
    const ask = async () => {
      clearTimeout(timer);
      // Nobody looks: it is asked when somebody does.
      if (document.hidden) return;
      const outcome = await account.call({ path: `/api/v1${path}` });
      if (over) return;
      if (outcome.kind === "done") keep({ body: outcome.body, at: Date.now(), trouble: null });
      else keep((before) => ({ ...before, trouble: outcome }));
      timer = setTimeout(ask, everyMs);
    };
    again.current = ask;
    ask();
    document.addEventListener("visibilitychange", ask);
    return () => {
      over = true;
      document.removeEventListener("visibilitychange", ask);
      clearTimeout(timer);
    };
  }, [path]);
  return { ...read, again: () => again.current() };
}

/** Says in words as of when the numbers are. */
export function Fresh({ poll, zone }) {
  useLanguage();
  const { at, trouble } = poll;
  const phase = trouble ? "waiting" : at ? "live" : "connecting";
  const says = at ? t(trouble ? "board.stale" : "board.as_of", { at: time(at, zone) }) : t(trouble ? "board.no_answer" : "panel.loading");
  return html`<div class="line-badge" data-phase=${phase}><span class="line-dot" aria-hidden="true"></span><span class="line-words"><span role="status">${says}</span></span></div>`;
}

/** What a list shows before there is one, or when it cannot be read. */
export function Waiting({ poll }) {
  if (poll.body) return null;
  if (!poll.trouble) return html`<p role="status">${t("panel.loading")}</p>`;
  return html`<p role="alert" class="trouble">${words(poll.trouble)} <button type="button" class="button small" onClick=${poll.again}>${t("panel.again")}</button></p>`;
}
