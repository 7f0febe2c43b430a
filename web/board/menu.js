// The menu: products under their categories, and groups of choices; made, sorted and changed by the person who owns it.

import { newKey, words } from "../shared/api.js";
import { money } from "../shared/format.js";
import { t, useLanguage } from "../shared/messages.js";
import { Icon, toast } from "../shared/parts.js";
import { html, useEffect, useState } from "../shared/ui.js";
import { CategoryDialog, ChoicesDialog } from "./menu-parts.js";
import { ProductDialog } from "./menu-product.js";
import { isOwn } from "./picture.js";
import { path, read } from "./poll.js";

const MAX_PAGES = 50;

export function MenuEditor({ account, store }) {
  useLanguage();
  const [menu, keep] = useState(null);
  const [trouble, tell] = useState(null);
  const [edited, edit] = useState(null); // [kind, what], `what` is {} for a new one
  const [sorting, sort] = useState(false);
  const load = async () => {
    tell(null);
    const lists = await Promise.all(["/products", "/categories", "/option-groups"].map((place) => read(account, path(place, { store_id: store.id, limit: 100 }), MAX_PAGES)));
    const failed = lists.find((outcome) => outcome.kind !== "done");
    if (failed) return tell(failed);
    const [products, categories, groups] = lists.map((outcome) => outcome.body.items);
    keep({ products: products.filter((product) => !product.archived_at), categories: categories.sort(byPosition), groups: groups.sort(byPosition) });
  };
  useEffect(() => void load(), [store.id]);
  const move = async (changed) => {
    for (const [place, body] of changed) {
      const outcome = await account.settle({ method: "PATCH", path: `/api/v1${place}`, body, key: newKey() });
      if (outcome.kind !== "done") {
        toast(words(outcome), "bad");
        break;
      }
    }
    await load();
  };
  const done = () => (edit(null), load());
  const close = () => edit(null);
  const [kind, what] = edited ?? [];
  const { products, categories, groups } = menu ?? {};
  const parts = menu ? sections(menu) : [];
  return html`<section class="board-view" aria-labelledby="menu-title">
    <header class="column-top"><h2 id="menu-title">${t("board.view.menu")} <span class="quiet number">${products?.length ?? ""}</span></h2>
      <div class="moves"><button type="button" class="button primary" disabled=${!menu} onClick=${() => edit(["product", {}])}>${t("board.menu.add")}</button>
        <button type="button" class="button" disabled=${!menu} onClick=${() => edit(["category", { position: categories.length }])}>${t("board.menu.category.add")}</button>
        <button type="button" class="button" disabled=${!menu} onClick=${() => edit(["choices", { position: groups.length }])}>${t("board.menu.choices.add")}</button>
        <button type="button" class="button" disabled=${!menu} aria-pressed=${sorting} onClick=${() => sort(!sorting)}>${t(sorting ? "board.menu.sort.done" : "board.menu.sort")}</button></div></header>
    ${trouble && html`<p role="alert" class="trouble">${words(trouble)} <button type="button" class="button small" onClick=${load}>${t("panel.again")}</button></p>`}
    ${!menu && !trouble && html`<p role="status">${t("panel.loading")}</p>`}
    ${parts.map(({ category, items }) => html`<section key=${category?.id ?? "none"} class="menu-section">
      ${categories.length > 0 && html`<div class="menu-head"><h3>${category ? html`<button type="button" class="button plain" onClick=${() => edit(["category", category])}>${category.name}</button>` : t("board.menu.no_category")}</h3>
        ${sorting && category && html`<${UpDown} name=${category.name} list=${categories} one=${category} onMove=${(list) => move(placed("/categories", list))} />`}</div>`}
      <ul class="rows">${items.map((product) => html`<li key=${product.id} class="menu-row"><${Row} product=${product} onOpen=${() => edit(["product", product])} />
        ${sorting && category && html`<${UpDown} name=${product.name} list=${items} one=${product} onMove=${(list) => move(inCategory(category, list))} />`}</li>`)}</ul>
      ${category && items.length === 0 && html`<p class="quiet empty">${t("board.menu.category.empty")}</p>`}
    </section>`)}
    ${products?.length === 0 && html`<p class="quiet">${t("board.menu.none")}</p>`}
    ${groups?.length > 0 &&
    html`<section class="menu-section"><h3>${t("board.menu.choices")}</h3>
      <ul class="rows">${groups.map((group) => html`<li key=${group.id} class="menu-row"><button type="button" class="row" onClick=${() => edit(["choices", group])}>
        <span class="row-name">${group.name}</span><span class="row-says quiet">${group.options.map((option) => option.name).join(", ")}</span></button>
        ${sorting && html`<${UpDown} name=${group.name} list=${groups} one=${group} onMove=${(list) => move(placed("/option-groups", list))} />`}</li>`)}</ul></section>`}
    ${kind === "product" && html`<${ProductDialog} key=${what.id ?? "new"} account=${account} store=${store} product=${what} categories=${categories} groups=${groups} onClose=${close} onDone=${done} />`}
    ${kind === "category" && html`<${CategoryDialog} key=${what.id ?? "new"} account=${account} store=${store} category=${what} onClose=${close} onDone=${done} />`}
    ${kind === "choices" && html`<${ChoicesDialog} key=${what.id ?? "new"} account=${account} store=${store} group=${what} products=${products} onClose=${close} onDone=${done} />`}
  </section>`;
}

const byPosition = (a, b) => a.position - b.position;
const placeIn = (product, category) => product.categories.find((one) => one.category_id === category.id);

/** Products under their categories, in the order of the menu; those without one come last. */
function sections({ products, categories }) {
  const headed = categories.map((category) => ({ category, items: products.filter((product) => placeIn(product, category)).sort((a, b) => placeIn(a, category).position - placeIn(b, category).position) }));
  const rest = products.filter((product) => product.categories.length === 0);
  return [...headed, ...(rest.length > 0 ? [{ category: null, items: rest }] : [])];
}

/** Returns the edits that give a list of categories or groups the places that they have in it. */
const placed = (place, list) => list.flatMap((one, position) => (one.position === position ? [] : [[`${place}/${one.id}`, { position }]]));

/** Returns the edits that give products the places in a category that they have in the list. */
const inCategory = (category, list) =>
  list.flatMap((product, position) =>
    placeIn(product, category).position === position ? [] : [[`/products/${product.id}`, { categories: product.categories.map(({ category_id, position: old }) => ({ category_id, position: category_id === category.id ? position : old })) }]],
  );

/** Buttons that move one of a list up and down. */
function UpDown({ name, list, one, onMove }) {
  const at = list.indexOf(one);
  const [busy, work] = useState(false);
  const by = async (step) => {
    const next = [...list];
    next.splice(at, 1);
    next.splice(at + step, 0, one);
    work(true);
    await onMove(next);
    work(false);
  };
  const button = (step, icon, says, isEnd) => html`<button type="button" class="button round" disabled=${busy || isEnd} aria-label=${t(says, { name })} onClick=${() => by(step)}><span class="turn" data-way=${icon}><${Icon} name="send" /></span></button>`;
  return html`<span class="up-down" data-each-tap>${button(-1, "up", "board.menu.up", at === 0)}${button(1, "down", "board.menu.down", at === list.length - 1)}</span>`;
}

function Row({ product, onOpen }) {
  const isCounted = product.stock !== null && product.stock !== undefined;
  const says = [money(product.price), product.sku, isCounted && t("panel.product.stock", { count: product.stock }), !product.available && t("panel.product.out"), product.image_url && !isOwn(product.image_url) && t("board.menu.picture.hidden")];
  return html`<button type="button" class="row" onClick=${onOpen}>
    <span class="row-name">${product.name}</span>
    <span class="row-says quiet">${says.filter(Boolean).join(" · ")}</span>
  </button>`;
}
