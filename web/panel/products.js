// What is sold: sold out and back with one tap, and stock.

import { money, when } from "../shared/format.js";
import { t, useLanguage } from "../shared/messages.js";
import { Icon } from "../shared/parts.js";
import { html, useEffect, useState, useValue } from "../shared/ui.js";
import { tomorrowAt } from "./zone.js";

/** Hour of the next day at which a product that is sold out for today comes back. */
const BACK_AT_HOUR = 6;

export function Products({ desk, user }) {
  useLanguage();
  const all = useValue(desk.products);
  const [wanted, write] = useState("");
  const [failed, fail] = useState(false);
  const load = async () => fail(!(await desk.loadProducts()));
  useEffect(() => void load(), [desk]);
  const word = wanted.trim().toLocaleLowerCase();
  const found = (all ?? []).filter((product) => !product.archived_at && (!word || `${product.name} ${product.sku ?? ""}`.toLocaleLowerCase().includes(word)));
  return html`<section class="products" aria-labelledby="products-title">
    <header class="column-top"><h2 id="products-title">${t("panel.view.products")}</h2>
      <label class="search"><span class="unseen">${t("panel.products.find")}</span><input type="search" placeholder=${t("panel.products.find")} value=${wanted} onInput=${(event) => write(event.currentTarget.value)} /></label></header>
    ${failed && html`<p role="alert">${t("panel.products.failed")} <button type="button" class="button small" onClick=${load}>${t("panel.again")}</button></p>`}
    ${!all && !failed && html`<p role="status">${t("panel.loading")}</p>`}
    <ul class="product-list">${found.map((product) => html`<${Product} key=${product.id} desk=${desk} product=${product} mayCount=${user.role !== "staff"} />`)}</ul>
    ${all && found.length === 0 && html`<p class="quiet empty">${t("panel.products.none")}</p>`}
  </section>`;
}

function Product({ desk, product, mayCount }) {
  const [busy, work] = useState(false);
  const [count, write] = useState("");
  const run = async (action) => {
    work(true);
    await action();
    work(false);
  };
  const isCounted = product.stock !== null && product.stock !== undefined;
  const isOut = !product.available || (isCounted && product.stock <= 0);
  // A server that knows when a product comes back can be told.
  const knowsUntil = "available_from" in product;
  // Guests see what comes back by itself as sold out, and the others not at all.
  const isOff = knowsUntil && !product.available && !product.available_from;
  const set = (event) => {
    event.preventDefault();
    const delta = Number(count);
    if (Number.isInteger(delta) && delta !== 0) run(() => desk.stock(product, delta)).then(() => write(""));
  };
  return html`<li class="product" data-out=${isOut}>
    <div class="product-name"><strong><bdi>${product.name}</bdi></strong> <span class="quiet">${money(product.price)}${product.sku ? ` · ${product.sku}` : ""}</span>
      ${isOut && html` <span class="badge" data-tone="bad"><${Icon} name="cross" size=${16} />${t(product.available ? "panel.product.empty" : isOff ? "panel.product.off" : "panel.product.out")}</span>`}
      ${product.available_from && html` <span class="quiet">${t("panel.product.back", { at: when(product.available_from, desk.zone) })}</span>`}</div>
    ${isCounted && !mayCount && html`<span class="number">${t("panel.product.stock", { count: product.stock })}</span>`}
    ${isCounted && mayCount && html`<form class="product-stock" onSubmit=${set}>
      <span class="number">${t("panel.product.stock", { count: product.stock })}</span>
      <button type="button" class="button round" data-each-tap disabled=${busy || product.stock <= 0} aria-label=${t("panel.product.less", { name: product.name })} onClick=${() => run(() => desk.stock(product, -1))}><${Icon} name="minus" /></button>
      <button type="button" class="button round" data-each-tap disabled=${busy} aria-label=${t("panel.product.more", { name: product.name })} onClick=${() => run(() => desk.stock(product, 1))}><${Icon} name="plus" /></button>
      <label><span class="unseen">${t("panel.product.by", { name: product.name })}</span><input class="by" type="number" step="1" placeholder="±" value=${count} onInput=${(event) => write(event.currentTarget.value)} /></label>
      <button class="button small" disabled=${busy || !count}>${t("panel.product.book")}</button>
    </form>`}
    ${knowsUntil && product.available && html`<button type="button" class="button" disabled=${busy} onClick=${() => run(() => desk.sell(product, false, tomorrowAt(BACK_AT_HOUR, desk.zone)))}>${t("panel.product.today")}</button>`}
    <button type="button" class="button ${product.available ? "" : "primary"}" disabled=${busy} onClick=${() => run(() => desk.sell(product, !product.available))}>${t(product.available ? "panel.product.sell_out" : "panel.product.sell")}</button>
  </li>`;
}
