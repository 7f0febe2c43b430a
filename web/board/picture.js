// The picture of a product: shown, uploaded, taken away.

import { t } from "../shared/messages.js";
import { html } from "../shared/ui.js";

/** What the API takes as a picture. */
const MAX_BYTES = 1024 * 1024;
const TYPES = ["image/png", "image/jpeg", "image/webp"];

/** Returns true if our pages show the picture: they load none from another address. */
export const isOwn = (url) => url.startsWith("/api/v1/images/");

/** Returns the key of what is wrong with a chosen file, or null. */
export function faultOf(file) {
  if (!file) return null;
  if (!TYPES.includes(file.type)) return "board.menu.picture.type";
  return file.size > MAX_BYTES ? "board.menu.picture.large" : null;
}

/** Sends a chosen file as the picture of a product. */
export const upload = (account, id, file) =>
  account.call({ method: "PUT", path: `/api/v1/products/${id}/image`, timeoutMs: 60_000, send: (path, request) => fetch(path, { ...request, body: file, headers: { ...request.headers, "content-type": file.type } }) });

/** The picture that there is, in words if it cannot be shown, and the field that takes another. */
export function Picture({ product, file, isRemoved, onFile, onRemove }) {
  const url = isRemoved ? null : product.image_url;
  const fault = faultOf(file);
  return html`<fieldset class="choice"><legend>${t("board.menu.picture")}</legend>
    ${url && !file && (isOwn(url)
      ? html`<img class="product-picture" src=${url} alt=${product.name} />`
      : html`<div class="elsewhere"><p><strong>${t("board.menu.picture.elsewhere")}</strong></p><p class="quiet">${url}</p><p>${t("board.menu.picture.elsewhere.do")}</p></div>`)}
    ${file && !fault && html`<p role="status">${t("board.menu.picture.chosen", { name: file.name, size: Math.ceil(file.size / 1024) })}</p>`}
    <label class="field"><span>${t(url ? "board.menu.picture.other" : "board.menu.picture.upload")}</span><input type="file" accept=${TYPES.join()} onChange=${(event) => onFile(event.currentTarget.files[0] ?? null)} /></label>
    <p class="quiet">${t("board.menu.picture.takes")}</p>
    ${fault && html`<p class="trouble" role="alert">${t(fault)}</p>`}
    ${url && !file && html`<div class="moves"><button type="button" class="button" onClick=${onRemove}>${t("board.menu.picture.remove")}</button></div>`}
    ${isRemoved && html`<p role="status">${t("board.menu.picture.removed")}</p>`}
  </fieldset>`;
}
