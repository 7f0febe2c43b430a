// Categories and groups of choices of a menu, each in a dialog.

import { newKey } from "../shared/api.js";
import { t } from "../shared/messages.js";
import { Dialog, Icon, toast } from "../shared/parts.js";
import { html, useState } from "../shared/ui.js";
import { Trouble } from "./act.js";
import { replaced } from "./edit.js";
import { priceOf, priceText } from "./menu-product.js";
import { listed, Translations, translations } from "./translations.js";

/** Saves and deletes one resource; the dialog's own state. */
function useSaving(account, path, id, onDone) {
  const [trouble, tell] = useState(null);
  const [busy, work] = useState(false);
  const run = async (request) => {
    work(true);
    tell(null);
    const outcome = await account.settle(request);
    work(false);
    if (outcome.kind !== "done") return tell(outcome);
    toast(t("board.menu.saved"));
    onDone();
  };
  return {
    busy,
    trouble,
    save: (body) => run({ method: id ? "PATCH" : "POST", path: id ? `${path}/${id}` : path, body, key: newKey() }),
    remove: () => run({ method: "DELETE", path: `${path}/${id}` }),
  };
}

function Foot({ saving, id, disabled = false }) {
  return html`<div class="edit">
    <${Trouble} outcome=${saving.trouble} />
    <div class="moves"><button class="button primary large" disabled=${saving.busy || disabled} aria-busy=${saving.busy}>${t("board.menu.save")}</button>
      ${id && html`<button type="button" class="button danger" disabled=${saving.busy} onClick=${saving.remove}>${t("board.remove")}</button>`}</div>
  </div>`;
}

export function CategoryDialog({ account, store, category, onClose, onDone }) {
  const [fields, set] = useState({ name: category.name ?? "", description: category.description ?? "", position: category.position ?? 0, weight: category.weight ?? 1 });
  const [languages, setLanguages] = useState(listed(category.translations));
  const saving = useSaving(account, "/api/v1/categories", category.id, onDone);
  const text = (name) => ({ value: fields[name], onInput: (event) => set({ ...fields, [name]: event.currentTarget.value }) });
  const save = (event) => {
    event.preventDefault();
    const body = { name: fields.name.trim(), description: fields.description.trim() || null, position: Number(fields.position), weight: Number(fields.weight), translations: translations(languages) };
    saving.save(category.id ? body : { store_id: store.id, ...body });
  };
  return html`<${Dialog} title=${category.name ?? t("board.menu.category.add")} onClose=${onClose}>
    <form class="edit" onSubmit=${save}>
      <label class="field"><span>${t("board.menu.name")}</span><input type="text" required maxlength="200" ...${text("name")} /></label>
      <label class="field"><span>${t("board.menu.description")}</span><textarea rows="2" maxlength="2000" ...${text("description")}></textarea></label>
      <${Translations} list=${languages} store=${store} onChange=${setLanguages} />
      <label class="field"><span>${t("board.menu.position")}</span><input type="number" min="0" step="1" required ...${text("position")} /></label>
      <label class="field"><span>${t("board.menu.weight")}</span><input type="number" min="0" max="1000" step="1" required ...${text("weight")} /></label>
      <${Foot} saving=${saving} id=${category.id} />
    </form>
  <//>`;
}

export function ChoicesDialog({ account, store, group, products, onClose, onDone }) {
  const shown = (option) => ({ ...option, price: priceText(option.price) });
  const [fields, set] = useState({ name: group.name ?? "", min: group.min ?? 0, max: group.max ?? 1, position: group.position ?? 0 });
  const [options, setOptions] = useState((group.options ?? [{ name: "", price: { amount: 0, currency: store.currency }, available: true, is_default: false }]).map(shown));
  const saving = useSaving(account, "/api/v1/option-groups", group.id, onDone);
  const text = (name) => ({ value: fields[name], onInput: (event) => set({ ...fields, [name]: event.currentTarget.value }) });
  const isWhole = options.length > 0 && options.every((option) => option.name.trim() && priceOf(option.price, store.currency) !== null);
  const save = (event) => {
    event.preventDefault();
    if (!isWhole) return;
    const priced = options.map(({ id, name, price, available, is_default, sku, product_id }) => ({
      ...(id && { id }),
      name: name.trim(),
      price: { amount: priceOf(price, store.currency), currency: store.currency },
      available,
      is_default,
      ...(sku && { sku }),
      ...(product_id && { product_id }),
    }));
    const body = { name: fields.name.trim(), min: Number(fields.min), max: Number(fields.max), position: Number(fields.position), options: priced };
    saving.save(group.id ? body : { store_id: store.id, ...body });
  };
  const option = (at, change) => setOptions(replaced(options, at, change));
  return html`<${Dialog} wide title=${group.name ?? t("board.menu.choices.add")} onClose=${onClose}>
    <form class="edit" onSubmit=${save}>
      <label class="field"><span>${t("board.menu.choices.name")}</span><input type="text" required maxlength="100" ...${text("name")} /></label>
      <div class="span">
        <label class="field"><span>${t("board.menu.choices.min")}</span><input type="number" min="0" step="1" required ...${text("min")} /></label>
        <label class="field"><span>${t("board.menu.choices.max")}</span><input type="number" min="1" step="1" required ...${text("max")} /></label>
        <label class="field"><span>${t("board.menu.position")}</span><input type="number" min="0" step="1" required ...${text("position")} /></label>
      </div>
      ${options.map(
        (one, at) => html`<fieldset key=${one.id ?? at} class="span"><legend class="unseen">${t("board.menu.choice", { number: at + 1 })}</legend>
          <label class="field"><span>${t("board.menu.name")}</span><input type="text" required maxlength="100" value=${one.name} onInput=${(event) => option(at, { name: event.currentTarget.value })} /></label>
          <label class="field"><span>${t("board.menu.choice.price", { currency: store.currency })}</span><input type="text" inputmode="text" required aria-invalid=${priceOf(one.price, store.currency) === null} value=${one.price} onInput=${(event) => option(at, { price: event.currentTarget.value })} /></label>
          <label class="field"><span>${t("board.menu.choice.product")}</span><select value=${one.product_id ?? ""} onChange=${(event) => option(at, { product_id: event.currentTarget.value || null })}><option value="">${t("board.menu.choice.product.none")}</option>${products.map((product) => html`<option key=${product.id} value=${product.id}>${product.name}</option>`)}</select></label>
          <label class="field"><span>${t("board.menu.sku")}</span><input type="text" maxlength="100" value=${one.sku ?? ""} onInput=${(event) => option(at, { sku: event.currentTarget.value || null })} /></label>
          <label class="check"><input type="checkbox" checked=${one.is_default} onChange=${(event) => option(at, { is_default: event.currentTarget.checked })} /> ${t("board.menu.choice.default")}</label>
          <label class="check"><input type="checkbox" checked=${!one.available} onChange=${(event) => option(at, { available: !event.currentTarget.checked })} /> ${t("panel.product.out")}</label>
          <button type="button" class="button round" aria-label=${t("board.remove")} onClick=${() => option(at, null)}><${Icon} name="close" /></button>
        </fieldset>`,
      )}
      <div class="moves"><button type="button" class="button" onClick=${() => setOptions([...options, { name: "", price: "0", available: true, is_default: false }])}>${t("board.menu.choice.add")}</button></div>
      <${Foot} saving=${saving} id=${group.id} disabled=${!isWhole} />
    </form>
  <//>`;
}
