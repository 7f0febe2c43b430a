// The menu of the guest's page, and the dialog in which a dish is chosen.

import { money, when } from "../shared/format.js";
import { language, t, useLanguage } from "../shared/messages.js";
import { Counter, Dialog, Icon, toast } from "../shared/parts.js";
import { html, useRef, useState } from "../shared/ui.js";
import { defaults, fitsGroup, isSoldOut, NOTE_MAX, QUANTITY_MAX } from "./cart.js";
import { sections } from "./table.js";

export function Menu({ menu, prices, cart, takesOrders, zone }) {
  const [chosen, choose] = useState(null);
  const parts = sections(menu);
  const named = parts.filter(({ name }) => name);
  if (menu === null) {
    return html`<section key="waiting" class="guest-menu" id="menu" tabindex="-1" aria-label=${t("guest.menu.title")} aria-busy="true">
      <div class="guest-waiting"><p>${t("guest.menu.loading")}</p></div>
    </section>`;
  }
  return html`<section key="menu" class="guest-menu" id="menu" tabindex="-1" aria-labelledby="menu-title">
    <h2 id="menu-title" class="unseen">${t("guest.menu.title")}</h2>
    ${parts.length === 0 && html`<p class="panel">${t("guest.menu.empty")}</p>`}
    ${named.length > 1 && html`<nav class="guest-sections" aria-label=${t("guest.menu.sections")}>
      <ul>${named.map(({ id, name }) => html`<li key=${id}><a href=${`#section-${id}`}>${name}</a></li>`)}</ul>
    </nav>`}
    ${parts.map(({ id, name, description, products }) => html`<div key=${id} class="guest-section">
      ${(name || named.length > 0) && html`<h3 id=${`section-${id}`} tabindex="-1" dir="auto">${name ?? t("guest.menu.rest")}</h3>`}
      ${description && html`<p class="quiet small" dir="auto">${description}</p>`}
      <ul class="guest-products">${products.map((product) => html`<${Product} key=${product.id} product=${product} zone=${zone} takesOrders=${takesOrders} onChoose=${() => choose(product.id)} />`)}</ul>
    </div>`)}
    ${chosen && prices.products.has(chosen) && html`<${Choose} key=${chosen} product=${prices.products.get(chosen)} prices=${prices} cart=${cart} takesOrders=${takesOrders} zone=${zone} onClose=${() => choose(null)} />`}
  </section>`;
}

/** One dish; the whole row is the button. */
function Product({ product, takesOrders, zone, onChoose }) {
  useLanguage();
  const gone = isSoldOut(product);
  return html`<li class="guest-product" data-sold-out=${gone}>
    <button type="button" class="guest-dish" aria-haspopup="dialog" onClick=${onChoose}>
      <${Picture} product=${product} />
      <span class="guest-dish-words">
        <span class="guest-dish-name" dir="auto">${product.name}</span>
        ${product.description && html`<span class="guest-dish-says" dir="auto">${product.description}</span>`}
        <${Marks} product=${product} />
        <span class="guest-dish-foot">
          <span class="guest-price number">${money(product.price)}</span>
          ${gone && html`<span class="badge" data-tone="bad"><${Icon} name="cross" size=${16} />${soldOutText(product, zone)}</span>`}
        </span>
      </span>
      ${!gone && takesOrders && html`<span class="guest-plus"><${Icon} name="plus" /></span>`}
    </button>
  </li>`;
}

/** The dish's picture; of our own origin only, because pages ask no third party for anything. */
function Picture({ product }) {
  const url = product.image_url;
  const own = typeof url === "string" && (url.startsWith("/") || url.startsWith(`${location.origin}/`));
  return own && html`<img class="guest-picture" src=${url} alt="" width="88" height="88" loading="lazy" decoding="async" />`;
}

function Marks({ product, whole = false }) {
  const diets = product.diets ?? [];
  const allergens = product.allergens ?? [];
  if (diets.length + allergens.length === 0) return null;
  const names = (words, prefix) => {
    const list = words.map((word) => t(`guest.${prefix}.${word}`));
    return new Intl.ListFormat(language(), { type: "unit" }).format(list);
  };
  return html`<span class="guest-marks ${whole ? "whole" : ""}">
    ${diets.length > 0 && html`<span>${names(diets, "diet")}</span>`}
    ${allergens.length > 0 && html`<span>${t("guest.allergens", { list: names(allergens, "allergen") })}</span>`}
  </span>`;
}

function soldOutText(product, zone) {
  const back = product.available_from && Date.parse(product.available_from) > Date.now() ? product.available_from : null;
  return back ? t("guest.menu.sold_out_until", { time: when(back, zone) }) : t("guest.menu.sold_out");
}

/** The dialog of one dish: options, number, note. */
function Choose({ product, prices, cart, takesOrders, zone, onClose }) {
  useLanguage();
  const groups = prices.groupsOf(product);
  const [options, setOptions] = useState(() => defaults(groups));
  const [quantity, setQuantity] = useState(1);
  const [note, setNote] = useState("");
  const [asked, setAsked] = useState(false);
  const form = useRef(null);
  const gone = isSoldOut(product);
  const unit = prices.unit({ product_id: product.id, options }) ?? product.price.amount;
  const total = { amount: unit * quantity, currency: product.price.currency };
  const most = Number.isInteger(product.stock) ? Math.max(1, Math.min(product.stock, QUANTITY_MAX)) : QUANTITY_MAX;
  const unfit = groups.filter((group) => !fitsGroup(group, options));

  const add = (event) => {
    event.preventDefault();
    if (unfit.length > 0) {
      setAsked(true);
      form.current.querySelector(`[data-group="${CSS.escape(unfit[0].id)}"] input`)?.focus();
      return;
    }
    // In the menu's order, whatever the order of the taps.
    const all = groups.flatMap((group) => group.options ?? []);
    const place = ({ option_id }) => all.findIndex((option) => option.id === option_id);
    cart.add({ product_id: product.id, quantity, note: note.trim(), options: [...options].sort((a, b) => place(a) - place(b)) });
    toast(t("guest.cart.added", { count: quantity, name: product.name }));
    onClose();
  };
  return html`<${Dialog} title=${product.name} onClose=${onClose} sheet>
    <form ref=${form} class="guest-choose" onSubmit=${add} novalidate>
      ${product.description && html`<p dir="auto">${product.description}</p>`}
      <${Marks} product=${product} whole />
      ${gone
        ? html`<p class="badge" data-tone="bad"><${Icon} name="cross" size=${16} />${soldOutText(product, zone)}</p>`
        : html`
          ${groups.map((group) => html`<${Group} key=${group.id} group=${group} options=${options} missed=${asked && unfit.includes(group)} onChange=${setOptions} currency=${product.price.currency} />`)}
          <label class="field"><span>${t("guest.note")}</span>
            <textarea rows="2" maxlength=${NOTE_MAX} dir="auto" placeholder=${t("guest.note.example")} value=${note} onInput=${(event) => setNote(event.currentTarget.value)}></textarea>
          </label>
          ${takesOrders
            ? html`<div class="guest-add">
                <${Counter} value=${quantity} max=${most} label=${t("guest.quantity")} onChange=${setQuantity} />
                <button type="submit" class="button primary large">${t("guest.cart.add", { total: money(total) })}</button>
              </div>`
            : html`<p class="quiet">${t("guest.not_now")}</p>`}`}
    </form>
  <//>`;
}

/** One group of options: one of several as radio buttons, several as checkboxes or numbers. */
function Group({ group, options, missed, onChange, currency }) {
  const single = group.max === 1;
  const count = (option) => options.find(({ option_id }) => option_id === option.id)?.quantity ?? 0;
  const ids = new Set((group.options ?? []).map((option) => option.id));
  const inGroup = options.filter(({ option_id }) => ids.has(option_id));
  const full = group.max != null && inGroup.reduce((sum, { quantity }) => sum + quantity, 0) >= group.max;
  const put = (option, quantity) => {
    const others = options.filter(({ option_id }) => (single ? !ids.has(option_id) : option_id !== option.id));
    onChange(quantity > 0 ? [...others, { option_id: option.id, quantity }] : others);
  };
  const rule = ruleOf(group);
  return html`<fieldset class="guest-group" data-group=${group.id}>
    <legend dir="auto">${group.name}</legend>
    ${rule && html`<p class=${missed ? "guest-missed" : "quiet small"} role=${missed ? "alert" : null}>${rule}</p>`}
    ${(group.options ?? []).map((option) => {
      const sold = option.available === false;
      const chosen = count(option);
      return html`<label key=${option.id} class="guest-option" data-sold-out=${sold}>
        <input type=${single ? "radio" : "checkbox"} name=${group.id} checked=${chosen > 0} disabled=${sold || (!single && full && chosen === 0)}
          onClick=${() => single && chosen > 0 && !(group.min > 0) && put(option, 0)}
          onChange=${(event) => put(option, event.currentTarget.checked ? 1 : 0)} />
        <span class="guest-option-name" dir="auto">${option.name}${sold && html` <span class="badge" data-tone="bad">${t("guest.menu.sold_out")}</span>`}</span>
        ${option.price?.amount ? html`<span class="number">${money({ amount: option.price.amount, currency }, { sign: true })}</span>` : null}
      </label>`;
    })}
  </fieldset>`;
}

function ruleOf({ min = 0, max = null }) {
  if (min > 0 && min === max) return t("guest.group.exactly", { count: min });
  if (min > 0 && max !== null) return t("guest.group.between", { min, max });
  if (min > 0) return t("guest.group.least", { count: min });
  if (max !== null && max > 1) return t("guest.group.most", { count: max });
  return null;
}
