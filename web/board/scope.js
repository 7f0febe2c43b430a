// What the board looks at: one store, or all that the account serves.

import { t } from "../shared/messages.js";
import { html } from "../shared/ui.js";

/** The choice and the address that stand for all stores. */
export const ALL = "all";

/** Returns what stands for all stores where one is expected: it has no id, so that no list is narrowed to it. */
export const everywhere = (stores) => ({ id: null, name: t("board.everywhere"), timezone: Intl.DateTimeFormat().resolvedOptions().timeZone, stores });

/** Returns the store of an entry; of one without a store, what the board looks at. */
export const storeOf = (scope, id) => scope.stores?.find((one) => one.id === id) ?? scope;

/** The name of an entry's store, where entries of several stand together. */
export function StoreName({ scope, id }) {
  const store = scope.id === null ? storeOf(scope, id) : scope;
  return store === scope ? null : html`<span class="badge">${store.name}</span>`;
}
