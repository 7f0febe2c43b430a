// Sends a callback once, signed; the caller sends it again until there is a 2xx.
import { sign } from "./signature.mjs";

export async function callBack(url, secret, webhookId, update) {
  const body = JSON.stringify(update);
  const timestamp = String(Math.floor(Date.now() / 1000));
  const headers = {
    "content-type": "application/json",
    "webhook-id": webhookId,
    "webhook-timestamp": timestamp,
    "webhook-signature": sign(secret, webhookId, timestamp, body),
  };
  const answer = await fetch(url, { method: "POST", headers, body, signal: AbortSignal.timeout(10_000) });
  return answer.status;
}
