// Calls of the API with three outcomes: it happened, it was refused, or we do not know yet.

import { duration, seconds } from "./format.js";
import { has, language, t } from "./messages.js";

const TIMEOUT_MS = 10_000;
const WAIT_FIRST_MS = 1_000;
const WAIT_MAX_MS = 15_000;
const GUEST_KEY = "expediter-guest";

/** Lines (see line.js) that are doubted when a call gets no answer. */
const watching = new Set();
export const onNoAnswer = (watcher) => {
  watching.add(watcher);
  return () => watching.delete(watcher);
};

/** Returns 32 random hex digits; crypto.randomUUID is missing on pages that are served over plain HTTP. */
export function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Returns this browser's guest key; without storage, a key that lasts as long as the page is open. */
export function guestKey() {
  try {
    const kept = localStorage.getItem(GUEST_KEY);
    if (kept) return kept;
    const made = newKey();
    localStorage.setItem(GUEST_KEY, made);
    return made;
  } catch {
    return (guestKey.unkept ??= newKey());
  }
}

/**
 * Calls the API once and never throws. With `file`, the body of a success is a Blob, byte for byte. With the `etag` of an earlier answer, the same answer again has status 304 and no
 * body. Returns one of
 * `{kind: "done", status, body, headers}`,
 * `{kind: "refused", status, problem, retryAfterMs}` (4xx, or 503 with a problem: nothing was changed) and
 * `{kind: "unknown", why: "offline" | "timeout" | "server", status?}` (it may or may not have happened).
 */
export async function call({ method = "GET", path, body, headers = {}, token, key, etag, file = false, timeoutMs = TIMEOUT_MS, send = fetch }) {
  const request = { method, headers: { accept: file ? "text/csv, application/json" : "application/json", "accept-language": language(), ...headers }, cache: "no-cache" };
  if (etag) request.headers["if-none-match"] = etag;
  if (body !== undefined) {
    request.body = JSON.stringify(body);
    request.headers["content-type"] = "application/json";
  }
  if (token) request.headers.authorization = `Bearer ${token}`;
  if (key) request.headers["idempotency-key"] = key;
  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(), timeoutMs);
  try {
    const answer = await send(path, { ...request, signal: timeout.signal });
    if (file && answer.ok) return { kind: "done", status: answer.status, body: await answer.blob(), headers: answer.headers };
    // An answer that breaks off is as unknown as none; the empty body of a 204 is whole.
    const text = await answer.text();
    const read = text === "" ? null : JSON.parse(text);
    if (answer.ok || answer.status === 304) return { kind: "done", status: answer.status, body: read, headers: answer.headers };
    if (answer.status < 500 || (answer.status === 503 && read?.reason === "overloaded")) {
      return { kind: "refused", status: answer.status, problem: read ?? {}, retryAfterMs: retryAfterMs(answer.headers) };
    }
    return { kind: "unknown", why: "server", status: answer.status, retryAfterMs: retryAfterMs(answer.headers) };
  } catch (error) {
    for (const watcher of watching) watcher();
    if (error instanceof SyntaxError) return { kind: "unknown", why: "server" };
    return { kind: "unknown", why: timeout.signal.aborted ? "timeout" : "offline" };
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Calls until the outcome is known, always with the same `key`. `onUnknown(outcome, tries)` is called after each try without
 * an answer, so that the page says so. `signal` ends the waiting; the last outcome is returned then.
 */
export async function settle({ key, onUnknown = () => {}, signal, pause = wait, ...request }) {
  for (let tries = 1; ; tries += 1) {
    const outcome = await call({ ...request, key });
    if (outcome.kind === "done" || (outcome.kind === "refused" && !isForNow(outcome))) return outcome;
    onUnknown(outcome, tries);
    const back = Math.min(WAIT_MAX_MS, WAIT_FIRST_MS * 2 ** (tries - 1));
    await pause(Math.max(outcome.retryAfterMs ?? 0, back), signal);
    if (signal?.aborted) return outcome;
  }
}

/** Returns true if the same request may succeed a moment later. */
export function isForNow({ status, problem }) {
  const reason = problem?.reason;
  return (status === 429 && reason !== "too_many_orders") || status === 503 || reason === "idempotency_in_progress";
}

/** Returns sentences for people about an outcome that is not "done". */
export function words(outcome) {
  if (outcome.kind === "unknown") return t(`shared.unknown.${outcome.why}`);
  const { reason } = outcome.problem;
  if (has(`shared.reason.${reason}`)) return withWait(t(`shared.reason.${reason}`), outcome);
  if (has(`shared.refused.${outcome.status}`)) return withWait(t(`shared.refused.${outcome.status}`), outcome);
  return withWait(t("shared.refused.other"), outcome);
}

/** Adds to a sentence when the same is possible again, if the server said so. */
export function withWait(sentence, { retryAfterMs = 0 }) {
  if (retryAfterMs <= 0) return sentence;
  const wait = retryAfterMs < 100_000 ? seconds(retryAfterMs) : duration(retryAfterMs);
  return `${sentence} ${t("shared.retry_after", { wait })}`;
}

/** Waits so long; the network's return and `signal` end it at once. */
export function wait(ms, signal) {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      globalThis.removeEventListener?.("online", end);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    globalThis.addEventListener?.("online", end);
    signal?.addEventListener("abort", end);
  });
}

function retryAfterMs(headers) {
  const said = Number(headers.get("retry-after"));
  return Number.isFinite(said) && said > 0 ? said * 1000 : 0;
}
