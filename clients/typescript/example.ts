// Places an order at a table, follows it until it is ready, and checks the signature of a webhook.
//   node dist/example.js http://127.0.0.1:8080/api/v1 SESSION_CODE [WEBHOOK.json]

import { readFileSync } from "node:fs";
import createClient from "openapi-fetch";
import { Webhook } from "standardwebhooks";
import type { components, paths } from "./expediter.js";
import { follow } from "./follow.js";

const [api, code, webhook] = process.argv.slice(2);
if (api === undefined || code === undefined) throw new Error("arguments: API SESSION_CODE [WEBHOOK.json]");
const client = createClient<paths>({ baseUrl: api });

async function place(code: string): Promise<components["schemas"]["GuestOrder"]> {
  const menu = await client.GET("/sessions/{code}/menu", { params: { path: { code } } });
  const product = menu.data?.items.find((product) => product.available);
  if (product === undefined) throw new Error(`nothing to order: ${JSON.stringify(menu.error)}`);
  const placed = await client.POST("/sessions/{code}/orders", {
    // With the same key a repeated request places no second order.
    params: { path: { code }, header: { "Idempotency-Key": crypto.randomUUID() } },
    body: { items: [{ product_id: product.id, quantity: 1 }] },
  });
  if (placed.data === undefined) throw new Error(JSON.stringify(placed.error));
  return placed.data;
}

/** Returns the message if its integrator's secret signed it; throws if not, or if it is older than five minutes. */
function verified(file: string): unknown {
  const { secret, headers, body } = JSON.parse(readFileSync(file, "utf8"));
  return new Webhook(secret).verify(body, headers);
}

if (webhook !== undefined) {
  const message = verified(webhook) as { event: string };
  console.log(`webhook ${message.event}`);
}
const order = await place(code);
console.log(`placed ${order.id}`);
for await (const frame of follow(`${api}/sessions/${code}/events/stream`)) {
  const ours = frame.data?.order ?? frame.orders?.find((one) => one.id === order.id);
  if (ours?.id !== order.id) continue;
  console.log(`${frame.seq} ${ours.status}`);
  if (ours.status === "ready") break;
}
