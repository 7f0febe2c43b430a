// Places orders as a guest: the guest's key, and safe retries.

const GUEST_KEY = "expediter-guest";
const TRIES = 3;

/** Returns random hex; crypto.randomUUID is missing on pages served over plain HTTP. */
export function randomKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Returns this browser's guest key; without storage, a key that lasts as long as the page is open. */
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
 * Places an order and returns the result: `{ok, order}` or `{ok: false, why}`. An unknown outcome (no response, 5xx)
 * is retried with the same Idempotency-Key, so that it never becomes two orders.
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
  let why = "the server does not respond";
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
    why = body.detail ?? body.title ?? body.reason ?? `the server returned status ${answer.status}`;
    const again = answer.status >= 500 || answer.status === 429 || body.reason === "idempotency_in_progress";
    if (!again) return { ok: false, why };
  }
  return { ok: false, why };
}
