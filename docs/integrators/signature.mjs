// Makes and checks signatures as in Standard Webhooks, with Node's standard library only.
import { createHmac, timingSafeEqual } from "node:crypto";

const TOLERANCE_S = 300;

/** Takes the body as a Buffer, or as a string if you are the sender. */
export function sign(secret, webhookId, timestamp, body) {
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const hmac = createHmac("sha256", key).update(`${webhookId}.${timestamp}.`).update(body);
  return "v1," + hmac.digest("base64");
}

/** Returns true if one of the signatures is right and the timestamp is recent. */
export function verify(secret, webhookId, timestamp, signature, body, now = Date.now() / 1000) {
  if (!/^[0-9]{1,12}$/.test(timestamp) || Math.abs(now - Number(timestamp)) > TOLERANCE_S) {
    return false;
  }
  const right = Buffer.from(sign(secret, webhookId, timestamp, body));
  return signature.split(" ").some((one) => {
    const given = Buffer.from(one);
    return given.length === right.length && timingSafeEqual(given, right);
  });
}
