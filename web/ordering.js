// Placing an order as a guest: the key that says who placed it, and repeats that are safe.

const GUEST_KEY = "expediter-guest";
const TRIES = 3;

/** Random hex; crypto.randomUUID is missing where the page came over plain HTTP. */
export function randomKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** This browser's own key; where it may store nothing, one for as long as the page is open. */
export function guestKey(storage = () => localStorage) {
  try {
    const kept = storage().getItem(GUEST_KEY);
    if (kept) return kept;
    const made = randomKey();
    storage().setItem(GUEST_KEY, made);
    return made;
  } catch {
    return (guestKey.unkept ??= randomKey());
  }
}

/**
 * Places an order and gives the server's answer: `{ok, order}` or `{ok: false, why}`. An unknown
 * outcome (no answer, 5xx) is tried again with the same Idempotency-Key, so it is never two orders.
 */
export async function placeOrder({ code, items, send = fetch, pause = (ms) => new Promise((r) => setTimeout(r, ms)) }) {
  const request = {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "expediter-guest": guestKey(),
      "idempotency-key": randomKey(),
    },
    body: JSON.stringify({ items }),
  };
  let why = "the server does not answer";
  for (let n = 1; n <= TRIES; n += 1) {
    if (n > 1) await pause(500 * 2 ** n);
    let answer;
    try {
      answer = await send(`/api/v1/sessions/${encodeURIComponent(code)}/orders`, request);
    } catch {
      continue;
    }
    const body = await answer.json().catch(() => ({}));
    if (answer.ok) return { ok: true, order: body };
    why = body.detail ?? body.title ?? body.reason ?? `the server answered ${answer.status}`;
    const again = answer.status >= 500 || answer.status === 429 || body.reason === "idempotency_in_progress";
    if (!again) return { ok: false, why };
  }
  return { ok: false, why };
}
