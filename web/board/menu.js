// The menu: what is sold, at which price; made, changed and taken off by the person who owns it.

import { newKey, words } from "../shared/api.js";
import { digitsOf, money } from "../shared/format.js";
import { t, useLanguage } from "../shared/messages.js";
import { Dialog, toast } from "../shared/parts.js";
import { html, useEffect, useState } from "../shared/ui.js";
import { list } from "../panel/desk.js";

export function MenuEditor({ account, store }) {
  useLanguage();
  const [products, keep] = useState(null);
  const [trouble, tell] = useState(null);
  const [edited, edit] = useState(null); // a product, or {} for a new one
  const load = async () => {
    tell(null);
    const items = [];
    let cursor = null;
    do {
      const outcome = await account.call({ path: list("/products", { store_id: store.id, limit: 100, cursor }) });
      if (outcome.kind !== "done") return tell(outcome);
      items.push(...outcome.body.items);
      cursor = outcome.body.next_cursor;
    } while (cursor && items.length < 5000);
    keep(items.filter((product) => !product.archived_at));
  };
  useEffect(() => void load(), [store.id]);
  return html`<section class="board-view" aria-labelledby="menu-title">
    <header class="column-top"><h2 id="menu-title">${t("board.view.menu")} <span class="quiet number">${products?.length ?? ""}</span></h2>
      <button type="button" class="button primary" onClick=${() => edit({})}>${t("board.menu.add")}</button></header>
    ${trouble && html`<p role="alert" class="trouble">${words(trouble)} <button type="button" class="button small" onClick=${load}>${t("panel.again")}</button></p>`}
    ${!products && !trouble && html`<p role="status">${t("panel.loading")}</p>`}
    <ul class="rows">${products?.map((product) => html`<li key=${product.id}><button type="button" class="row" onClick=${() => edit(product)}>
      <span class="row-name">${product.name}</span>
      <span class="row-says quiet">${money(product.price)}${product.sku ? ` · ${product.sku}` : ""}${product.stock === null || product.stock === undefined ? "" : ` · ${t("panel.product.stock", { count: product.stock })}`}${product.available ? "" : ` · ${t("panel.product.out")}`}</span>
    </button></li>`)}</ul>
    ${products?.length === 0 && html`<p class="quiet">${t("board.menu.none")}</p>`}
    ${edited && html`<${Product} key=${edited.id ?? "new"} account=${account} store=${store} product=${edited} onClose=${() => edit(null)} onDone=${() => (edit(null), load())} />`}
  </section>`;
}

/** Reads a price as people write it, "2,50" or "2.50", in minor units; null if it is none. */
export function priceOf(text, currency) {
  const digits = digitsOf(currency);
  const found = /^\s*(\d{1,9})(?:[.,](\d+))?\s*$/.exec(text);
  if (!found || (found[2] ?? "").length > digits) return null;
  return Number(found[1]) * 10 ** digits + Number((found[2] ?? "").padEnd(digits, "0") || 0);
}

/** Writes minor units as a price without its currency. */
export function priceText({ amount, currency }) {
  const digits = digitsOf(currency);
  return (amount / 10 ** digits).toFixed(digits);
}

function Product({ account, store, product, onClose, onDone }) {
  const isNew = !product.id;
  const [fields, set] = useState({
    name: product.name ?? "",
    price: product.price ? priceText(product.price) : "",
    description: product.description ?? "",
    sku: product.sku ?? "",
    stock: "",
  });
  const [trouble, tell] = useState(null);
  const [busy, work] = useState(false);
  const [asking, ask] = useState(false);
  const field = (name) => ({ value: fields[name], onInput: (event) => set({ ...fields, [name]: event.currentTarget.value }) });
  const amount = priceOf(fields.price, store.currency);
  const send = async (request) => {
    work(true);
    tell(null);
    const outcome = await account.settle({ ...request, key: request.method === "DELETE" ? undefined : newKey() });
    work(false);
    if (outcome.kind !== "done") return tell(outcome);
    toast(t("board.menu.saved"));
    onDone();
  };
  const save = (event) => {
    event.preventDefault();
    if (amount === null) return;
    const body = { name: fields.name.trim(), price: { amount, currency: store.currency }, description: fields.description.trim() || null, sku: fields.sku.trim() || null };
    if (!isNew) return send({ method: "PATCH", path: `/api/v1/products/${product.id}`, body });
    if (fields.stock !== "") body.stock = Number(fields.stock);
    send({ method: "POST", path: "/api/v1/products", body: { store_id: store.id, ...body } });
  };
  return html`<${Dialog} title=${isNew ? t("board.menu.add") : product.name} onClose=${onClose}>
    <form class="edit" onSubmit=${save}>
      <label class="field"><span>${t("board.menu.name")}</span><input type="text" required maxlength="200" ...${field("name")} /></label>
      <label class="field"><span>${t("board.menu.price", { currency: store.currency })}</span><input type="text" inputmode="decimal" required aria-invalid=${fields.price !== "" && amount === null} ...${field("price")} /></label>
      ${fields.price !== "" && amount === null && html`<p class="trouble" role="alert">${t("board.menu.price.wrong")}</p>`}
      <label class="field"><span>${t("board.menu.description")}</span><textarea rows="3" maxlength="1000" ...${field("description")}></textarea></label>
      <label class="field"><span>${t("board.menu.sku")}</span><input type="text" maxlength="100" ...${field("sku")} /></label>
      ${isNew && html`<label class="field"><span>${t("board.menu.stock")}</span><input type="number" min="0" step="1" ...${field("stock")} /></label>`}
      ${trouble && html`<p class="trouble" role="alert">${words(trouble)}</p>`}
      <div class="moves"><button class="button primary large" disabled=${busy || amount === null}>${t("board.menu.save")}</button>
        ${!isNew && !asking && html`<button type="button" class="button danger" onClick=${() => ask(true)}>${t("board.menu.remove")}</button>`}</div>
      ${asking && html`<div class="sure-box"><p>${t("board.menu.remove.sure")}</p><div class="moves"><button type="button" class="button danger" disabled=${busy} onClick=${() => send({ method: "DELETE", path: `/api/v1/products/${product.id}` })}>${t("board.menu.remove")}</button><button type="button" class="button" onClick=${() => ask(false)}>${t("panel.back")}</button></div></div>`}
    </form>
  <//>`;
}
