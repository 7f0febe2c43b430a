// Places orders as a guest, once each, and reads what the table can order.

import { call, guestKey, newKey, settle, words } from "../shared/api.js";
import { defaults } from "../guest/cart.js";

/**
 * Places an order and returns the result: `{ok, order}` or `{ok: false, why}`. While no answer came, `onUnknown()` is
 * called after each try, and the same order is asked for again under the same key.
 */
export async function placeOrder({ code, items, onUnknown, ...rest }) {
  const outcome = await settle({
    method: "POST",
    path: `/api/v1/sessions/${encodeURIComponent(code)}/orders`,
    headers: { "expediter-guest": guestKey() },
    body: { items },
    key: newKey(),
    onUnknown,
    ...rest,
  });
  if (outcome.kind === "done") return { ok: true, order: outcome.body };
  return { ok: false, why: outcome.problem?.detail ?? words(outcome) };
}

/** Returns the options with which a product is ordered by one click: the defaults, else the first of what must be chosen. */
export async function startingOptions(code) {
  const outcome = await call({ path: `/api/v1/sessions/${encodeURIComponent(code)}/menu` });
  const menu = outcome.kind === "done" ? outcome.body : {};
  const groups = new Map((menu.option_groups ?? []).map((group) => [group.id, group]));
  const starting = (group) => {
    const chosen = defaults([group]);
    const others = (group.options ?? []).filter(({ id, available }) => available !== false && !chosen.some(({ option_id }) => option_id === id));
    const missing = Math.max(0, (group.min ?? 0) - chosen.length);
    return [...chosen, ...others.slice(0, missing).map(({ id }) => ({ option_id: id, quantity: 1 }))];
  };
  const of = ({ option_group_ids }) => (option_group_ids ?? []).map((id) => groups.get(id)).filter(Boolean).flatMap(starting);
  return new Map((menu.items ?? []).map((product) => [product.id, of(product)]));
}
