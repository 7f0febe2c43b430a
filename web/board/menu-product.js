// One product of the menu in a dialog: texts, price, categories, choices, picture, languages, and what is in it.

import { newKey } from "../shared/api.js";
import { digitsOf } from "../shared/format.js";
import { language, t } from "../shared/messages.js";
import { Dialog, toast } from "../shared/parts.js";
import { html, useState } from "../shared/ui.js";
import { Sure, Ticks, Trouble } from "./act.js";
import { faultOf, Picture, upload } from "./picture.js";
import { listed, Translations, translations } from "./translations.js";

const ALLERGENS = ["celery", "crustaceans", "eggs", "fish", "gluten", "lupin", "milk", "molluscs", "mustard", "nuts", "peanuts", "sesame", "soybeans", "sulphites"];
const DIETS = ["gluten_free", "halal", "kosher", "lactose_free", "organic", "vegan", "vegetarian"];
/** Reads a price as people write it, "2,50" or "2.50", in minor units; null if it is none. */
export function priceOf(text, currency) {
  const digits = digitsOf(currency);
  const found = /^\s*([-−]?)(\d{1,9})(?:[.,](\d+))?\s*$/.exec(text);
  if (!found || (found[3] ?? "").length > digits) return null;
  const amount = Number(found[2]) * 10 ** digits + Number((found[3] ?? "").padEnd(digits, "0") || 0);
  return found[1] ? -amount : amount;
}

/** Writes minor units as a price without its currency, as the reader's language writes it. */
export function priceText({ amount, currency }) {
  const digits = digitsOf(currency);
  return new Intl.NumberFormat(language(), { minimumFractionDigits: digits, maximumFractionDigits: digits, useGrouping: false }).format(amount / 10 ** digits);
}

export function ProductDialog({ account, store, product, categories, groups, onClose, onDone }) {
  const isNew = !product.id;
  const [fields, set] = useState({
    name: product.name ?? "",
    price: product.price ? priceText(product.price) : "",
    description: product.description ?? "",
    sku: product.sku ?? "",
    stock: "",
    categories: product.categories?.map((place) => place.category_id) ?? [],
    option_group_ids: product.option_group_ids ?? [],
    allergens: product.allergens ?? [],
    diets: product.diets ?? [],
    available: product.available ?? true,
    languages: listed(product.translations),
  });
  const [isRemoved, remove] = useState(false); // the picture
  const [file, choose] = useState(null);
  const [trouble, tell] = useState(null);
  const [busy, work] = useState(false);
  const change = (part) => set({ ...fields, ...part });
  const field = (name) => ({ value: fields[name], onInput: (event) => change({ [name]: event.currentTarget.value }) });
  const amount = priceOf(fields.price, store.currency);
  const isPrice = amount !== null && amount >= 0;
  const body = () => {
    const places = new Map((product.categories ?? []).map((place) => [place.category_id, place.position]));
    return {
      name: fields.name.trim(),
      price: { amount, currency: store.currency },
      description: fields.description.trim() || null,
      sku: fields.sku.trim() || null,
      // What is sold out until a time stays so, unless this is changed.
      ...(fields.available !== (product.available ?? true) && { available: fields.available }),
      categories: fields.categories.map((id) => ({ category_id: id, position: places.get(id) ?? 0 })),
      allergens: fields.allergens,
      diets: fields.diets,
      translations: translations(fields.languages),
      ...(isRemoved && !file && { image_url: null }),
    };
  };
  const send = (request) => account.settle({ ...request, key: request.method === "POST" || request.method === "PATCH" ? newKey() : undefined });
  const save = async (event) => {
    event.preventDefault();
    if (!isPrice || faultOf(file)) return;
    work(true);
    tell(null);
    const made = isNew
      ? await send({ method: "POST", path: "/api/v1/products", body: { store_id: store.id, ...body(), ...(fields.stock !== "" && { stock: Number(fields.stock) }) } })
      : await send({ method: "PATCH", path: `/api/v1/products/${product.id}`, body: body() });
    let outcome = made;
    if (made.kind === "done") outcome = await send({ method: "PATCH", path: `/api/v1/products/${made.body.id}`, body: { option_group_ids: fields.option_group_ids } });
    if (outcome.kind === "done" && file) outcome = await upload(account, made.body.id, file);
    work(false);
    if (outcome.kind !== "done") return tell(outcome);
    toast(t("board.menu.saved"));
    onDone();
  };
  const takeOff = async () => {
    work(true);
    const outcome = await send({ method: "DELETE", path: `/api/v1/products/${product.id}` });
    work(false);
    if (outcome.kind === "done") onDone();
    else tell(outcome);
  };
  const named = (list) => list.map(({ id, name }) => ({ id, name }));
  return html`<${Dialog} title=${isNew ? t("board.menu.add") : product.name} onClose=${onClose}>
    <form class="edit" onSubmit=${save}>
      <label class="field"><span>${t("board.menu.name")}</span><input type="text" required maxlength="200" ...${field("name")} /></label>
      <label class="field"><span>${t("board.menu.price", { currency: store.currency })}</span><input type="text" inputmode="decimal" required aria-invalid=${fields.price !== "" && !isPrice} ...${field("price")} /></label>
      ${fields.price !== "" && !isPrice && html`<p class="trouble" role="alert">${t("board.menu.price.wrong")}</p>`}
      <label class="field"><span>${t("board.menu.description")}</span><textarea rows="3" maxlength="1000" ...${field("description")}></textarea></label>
      <${Ticks} label=${t("board.menu.categories")} all=${named(categories)} chosen=${fields.categories} onChange=${(ids) => change({ categories: ids })} />
      <${Ticks} label=${t("board.menu.choices")} all=${named(groups)} chosen=${fields.option_group_ids} onChange=${(ids) => change({ option_group_ids: ids })} />
      <${Picture} product=${product} file=${file} isRemoved=${isRemoved} onFile=${choose} onRemove=${() => remove(true)} />
      <${Translations} list=${fields.languages} store=${store} onChange=${(list) => change({ languages: list })} />
      <${Ticks} label=${t("board.menu.allergens")} all=${ALLERGENS.map((id) => ({ id, name: t(`guest.allergen.${id}`) }))} chosen=${fields.allergens} onChange=${(allergens) => change({ allergens })} />
      <${Ticks} label=${t("board.menu.diets")} all=${DIETS.map((id) => ({ id, name: t(`guest.diet.${id}`) }))} chosen=${fields.diets} onChange=${(diets) => change({ diets })} />
      <label class="field"><span>${t("board.menu.sku")}</span><input type="text" maxlength="100" ...${field("sku")} /></label>
      ${isNew && html`<label class="field"><span>${t("board.menu.stock")}</span><input type="number" min="0" step="1" ...${field("stock")} /></label>`}
      <label class="check"><input type="checkbox" checked=${!fields.available} onChange=${(event) => change({ available: !event.currentTarget.checked })} /> ${t("board.menu.hidden")}</label>
      <${Trouble} outcome=${trouble} />
      <div class="moves"><button class="button primary large" disabled=${busy || !isPrice} aria-busy=${busy}>${t("board.menu.save")}</button></div>
      ${!isNew && html`<${Sure} says=${t("board.menu.remove")} warns=${t("board.menu.remove.sure")} busy=${busy} onDo=${takeOff} />`}
    </form>
  <//>`;
}
