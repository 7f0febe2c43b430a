// Reads that come again by themselves, and since when they do not.

import { words } from "../shared/api.js";
import { time } from "../shared/format.js";
import { t, useLanguage } from "../shared/messages.js";
import { html, useEffect, useRef, useState } from "../shared/ui.js";

const EVERY_MS = 10_000;

/** Returns a path below /api/v1 with those parameters that are given. */
export function path(place, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return given.length > 0 ? `${place}?${new URLSearchParams(given)}` : place;
}

/**
 * Reads a path below /api/v1, or several lists as one. Of each list (a path with a `limit`) it reads up to so many pages,
 * and the body is `{items, isCut}`; an item that two lists have is in it once.
 */
export async function read(account, places, pages = 1) {
  const items = new Map();
  let isCut = false;
  for (const place of [places].flat()) {
    let cursor = null;
    for (let page = 0; page < pages; page += 1) {
      const outcome = await account.call({ path: `/api/v1${place}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}` });
      if (outcome.kind !== "done" || !place.includes("limit=")) return outcome;
      for (const item of outcome.body.items) items.set(item.id ?? items.size, item);
      cursor = outcome.body.next_cursor;
      if (!cursor) break;
    }
    isCut ||= Boolean(cursor);
  }
  return { kind: "done", body: { items: [...items.values()], isCut } };
}

/** Reads now and every ten seconds, as `read` does. Returns `{body, at, trouble, again}`; old answers stay. */
export function usePoll(account, places, { everyMs = EVERY_MS, pages = 1 } = {}) {
  const [last, keep] = useState({ body: null, at: null, trouble: null });
  const again = useRef(() => {});
  const named = JSON.stringify(places);
  useEffect(() => {
    let over = false;
    let timer = null;
    const ask = async () => {
      clearTimeout(timer);
      // Nobody looks: it is asked when somebody does.
      if (document.hidden || places === null) return;
      const outcome = await read(account, places, pages);
      if (over) return;
      if (outcome.kind === "done") keep({ body: outcome.body, at: Date.now(), trouble: null });
      else keep((before) => ({ ...before, trouble: outcome }));
      clearTimeout(timer);
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
  }, [named]);
  return { ...last, again: () => again.current() };
}

/** Says in words as of when the numbers are. */
export function Fresh({ poll, zone }) {
  useLanguage();
  const { at, trouble } = poll;
  const phase = trouble ? "waiting" : at ? "live" : "connecting";
  const says = at ? t(trouble ? "board.stale" : "board.as_of", { at: time(at, zone) }) : t(trouble ? "board.no_answer" : "panel.loading");
  return html`<div class="line-badge" data-phase=${phase}><span class="line-dot" aria-hidden="true"></span><span class="line-words"><span role="status">${says}</span></span></div>`;
}

/** What a list shows before there is one, or above an old one when it cannot be read. */
export function Waiting({ poll }) {
  if (!poll.trouble) return poll.body ? null : html`<p role="status">${t("panel.loading")}</p>`;
  return html`<p role="alert" class="trouble">${words(poll.trouble)} <button type="button" class="button small" onClick=${poll.again}>${t("panel.again")}</button></p>`;
}
