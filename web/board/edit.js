// Forms that read one resource, let it be changed, and put it back.

import { newKey } from "../shared/api.js";
import { t } from "../shared/messages.js";
import { toast } from "../shared/parts.js";
import { html, useEffect, useState } from "../shared/ui.js";
import { Trouble } from "./act.js";

/** Reads a path into a form. Returns `{value, set, save, busy, trouble, load}`; `value` is null until it is read. */
export function useEdit(account, path, { method = "PUT", write = (value) => value } = {}) {
  const [value, set] = useState(null);
  const [trouble, tell] = useState(null);
  const [busy, work] = useState(false);
  const load = async () => {
    tell(null);
    const outcome = await account.call({ path });
    if (outcome.kind === "done") set(outcome.body);
    else tell(outcome);
  };
  useEffect(() => void load(), [path]);
  const save = async (event) => {
    event?.preventDefault();
    work(true);
    tell(null);
    const outcome = await account.settle({ method, path, body: write(value), key: method === "PUT" ? undefined : newKey() });
    work(false);
    if (outcome.kind !== "done") return tell(outcome);
    set(outcome.body);
    toast(t("board.menu.saved"));
  };
  return { value, set, save, busy, trouble, load };
}

/** What stands under a form: what is wrong, and the button that saves. */
export function Save({ edit }) {
  return html`<div>
    <${Trouble} outcome=${edit.trouble} />
    <button class="button primary large" disabled=${edit.busy} aria-busy=${edit.busy}>${t("board.menu.save")}</button>
  </div>`;
}

/** Returns a copy of a list with one element changed, or without it if there is no change. */
export const replaced = (list, at, change) => list.flatMap((one, place) => (place === at ? (change ? [{ ...one, ...change }] : []) : [one]));
