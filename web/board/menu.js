// The menu: products under their categories, and groups of choices; made and changed by the person who owns it.

import { words } from "../shared/api.js";
import { money } from "../shared/format.js";
import { t, useLanguage } from "../shared/messages.js";
import { html, useEffect, useState } from "../shared/ui.js";
import { list } from "../panel/desk.js";
import { CategoryDialog, ChoicesDialog } from "./menu-parts.js";
import { ProductDialog } from "./menu-product.js";

const MAX_PRODUCTS = 5000;

/** Reads all pages of a list; null if this server has no such list. */
async function all(account, path, store) {
  const items = [];
  let cursor = null;
  do {
    const outcome = await account.call({ path: list(path, { store_id: store.id, limit: 100, cursor }) });
    if (outcome.status === 404) return { items: null };
    if (outcome.kind !== "done") return { trouble: outcome };
    items.push(...outcome.body.items);
    cursor = outcome.body.next_cursor;
  } while (cursor && items.length < MAX_PRODUCTS);
  return { items };
}

export function MenuEditor({ account, store }) {
  useLanguage();
  const [menu, keep] = useState(null);
  const [trouble, tell] = useState(null);
  const [edited, edit] = useState(null); // [kind, what], `what` is {} for a new one
  const load = async () => {
    tell(null);
    const [products, categories, groups] = await Promise.all(["/products", "/categories", "/option-groups"].map((path) => all(account, path, store)));
    const failed = products.trouble ?? categories.trouble ?? groups.trouble;
    if (failed) return tell(failed);
    keep({ products: (products.items ?? []).filter((product) => !product.archived_at), categories: categories.items, groups: groups.items });
  };
  useEffect(() => void load(), [store.id]);
  const done = () => (edit(null), load());
  const close = () => edit(null);
  const [kind, what] = edited ?? [];
  const { products, categories, groups } = menu ?? {};
  return html`<section class="board-view" aria-labelledby="menu-title">
    <header class="column-top"><h2 id="menu-title">${t("board.view.menu")} <span class="quiet number">${products?.length ?? ""}</span></h2>
      <div class="moves"><button type="button" class="button primary" onClick=${() => edit(["product", {}])}>${t("board.menu.add")}</button>
        ${categories && html`<button type="button" class="button" onClick=${() => edit(["category", {}])}>${t("board.menu.category.add")}</button>`}
        ${groups && html`<button type="button" class="button" onClick=${() => edit(["choices", {}])}>${t("board.menu.choices.add")}</button>`}</div></header>
    ${trouble && html`<p role="alert" class="trouble">${words(trouble)} <button type="button" class="button small" onClick=${load}>${t("panel.again")}</button></p>`}
    ${!menu && !trouble && html`<p role="status">${t("panel.loading")}</p>`}
    ${menu && sections(menu).map(
      ({ category, items }) => html`<section key=${category?.id ?? "none"} class="menu-section">
        ${categories?.length > 0 && html`<h3>${category ? html`<button type="button" class="button plain" onClick=${() => edit(["category", category])}>${category.name}</button>` : t("board.menu.no_category")}</h3>`}
        <ul class="rows">${items.map((product) => html`<li key=${product.id}><${Row} product=${product} onOpen=${() => edit(["product", product])} /></li>`)}</ul>
      </section>`,
    )}
    ${products?.length === 0 && html`<p class="quiet">${t("board.menu.none")}</p>`}
    ${groups?.length > 0 &&
    html`<section class="menu-section"><h3>${t("board.menu.choices")}</h3>
      <ul class="rows">${groups.map((group) => html`<li key=${group.id}><button type="button" class="row" onClick=${() => edit(["choices", group])}>
        <span class="row-name">${group.name}</span><span class="row-says quiet">${group.options.map((option) => option.name).join(", ")}</span></button></li>`)}</ul></section>`}
    ${kind === "product" && html`<${ProductDialog} key=${what.id ?? "new"} account=${account} store=${store} product=${what} categories=${categories} groups=${groups} onClose=${close} onDone=${done} />`}
    ${kind === "category" && html`<${CategoryDialog} key=${what.id ?? "new"} account=${account} store=${store} category=${what} onClose=${close} onDone=${done} />`}
    ${kind === "choices" && html`<${ChoicesDialog} key=${what.id ?? "new"} account=${account} store=${store} group=${what} onClose=${close} onDone=${done} />`}
  </section>`;
}

/** Products under their categories, in the order of the menu; those without one come last. */
function sections({ products, categories }) {
  const place = (product, category) => product.categories?.find((one) => one.category_id === category.id);
  const headed = [...(categories ?? [])]
    .sort((a, b) => a.position - b.position)
    .map((category) => ({ category, items: products.filter((product) => place(product, category)).sort((a, b) => place(a, category).position - place(b, category).position) }));
  const rest = products.filter((product) => !product.categories?.length);
  return [...headed, ...(rest.length > 0 ? [{ category: null, items: rest }] : [])];
}

function Row({ product, onOpen }) {
  const isCounted = product.stock !== null && product.stock !== undefined;
  return html`<button type="button" class="row" onClick=${onOpen}>
    <span class="row-name">${product.name}</span>
    <span class="row-says quiet">${money(product.price)}${product.sku ? ` · ${product.sku}` : ""}${isCounted ? ` · ${t("panel.product.stock", { count: product.stock })}` : ""}${product.available ? "" : ` · ${t("panel.product.out")}`}</span>
  </button>`;
}
