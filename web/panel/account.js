// The sign-in of staff pages: the access token stays in memory, the refresh token in this tab's session storage (ADR 48).

import { call, settle, wait } from "../shared/api.js";
import { State } from "../shared/ui.js";

const KEPT = "expediter-refresh";
/** Seconds before its end at which an access token is replaced. */
const RENEW_BEFORE_S = 30;
const RETRY_AFTER_MS = 3000;
/** Roles that these pages are for. */
export const ROLES = ["staff", "manager", "operator"];

/**
 * The account that is signed in. `state.value` is `{phase, user, why}`; phase is `starting`, `out` or `in`. When the
 * sign-in ends by itself, `why` says so and `user` stays, so that the page can wait behind the sign-in form.
 */
export class Account {
  #access = null;
  #renewAt = 0;
  #refresh = null;
  #renewing = null;
  #others = "BroadcastChannel" in globalThis ? new BroadcastChannel(KEPT) : null;

  constructor({ storage = sessionStorage, now = Date.now } = {}) {
    this.storage = storage;
    this.now = now;
    this.state = new State({ phase: "starting", user: null, why: null });
    // A duplicated tab has the same refresh token; whoever uses it first tells the other the next one.
    if (this.#others) {
      this.#others.onmessage = ({ data }) => data?.was === this.#refresh && data.now && this.#keep(data.now);
    }
  }

  /** Continues the sign-in that this tab had before it was loaded again. */
  async start() {
    this.#refresh = read(this.storage);
    if (!this.#refresh) return this.state.set({ phase: "out", user: null, why: null });
    // Without a network the sign-in still counts: it goes on when the server answers.
    while ((await this.#enter())?.kind === "unknown") await wait(RETRY_AFTER_MS);
  }

  /** Signs in; returns the outcome that is not "done", or null. */
  async signIn(username, password) {
    const outcome = await call({ method: "POST", path: "/api/v1/token", body: { username, password } });
    if (outcome.kind !== "done") return outcome;
    this.#take(outcome.body);
    return this.#enter();
  }

  async signOut() {
    const refresh = this.#refresh;
    this.#forget(null, null);
    if (refresh) await call({ method: "POST", path: "/api/v1/token/revoke", body: { refresh } });
  }

  /** Calls the API with a token that counts. An answer of 401 changed nothing, so the call is made again with a new one. */
  async call(request) {
    return this.#with(call, request);
  }

  /** Calls until the outcome is known, for at most `tries` times without an answer. */
  async settle({ tries = 4, onUnknown = () => {}, ...request }) {
    const end = new AbortController();
    return this.#with(settle, {
      ...request,
      signal: end.signal,
      onUnknown: (outcome, count) => {
        onUnknown(outcome, count);
        if (count >= tries) end.abort();
      },
    });
  }

  async #with(caller, request) {
    const first = await this.#token();
    if (first.kind !== "done") return first;
    const outcome = await caller({ ...request, token: this.#access });
    if (outcome.status !== 401) return outcome;
    this.#renewAt = 0;
    const again = await this.#token();
    return again.kind === "done" ? caller({ ...request, token: this.#access }) : again;
  }

  /** Makes sure that there is an access token; returns an outcome. */
  async #token() {
    if (this.#access && this.now() < this.#renewAt) return { kind: "done" };
    if (!this.#refresh) return { kind: "refused", status: 401, problem: { reason: "signed_out" } };
    this.#renewing ??= withLock(() => this.#renew()).finally(() => (this.#renewing = null));
    return this.#renewing;
  }

  async #renew() {
    const was = this.#refresh;
    const outcome = await call({ method: "POST", path: "/api/v1/token/refresh", body: { refresh: was } });
    if (outcome.kind === "done") {
      this.#take(outcome.body);
      this.#others?.postMessage({ was, now: outcome.body.refresh });
    } else if (outcome.status === 401 || outcome.status === 422) {
      if (this.#refresh !== was) return this.#renew(); // another tab has just used it
      this.#forget(this.state.value.user, "expired");
    }
    return outcome;
  }

  async #enter() {
    const outcome = await this.call({ path: "/api/v1/me" });
    if (outcome.kind !== "done") {
      if (outcome.kind === "refused" && this.state.value.phase === "starting") this.#forget(null, "expired");
      return outcome;
    }
    if (!ROLES.includes(outcome.body.role)) {
      await this.signOut();
      return { kind: "refused", status: 403, problem: { reason: "wrong_role" } };
    }
    this.state.set({ phase: "in", user: outcome.body, why: null });
    return null;
  }

  #take(pair) {
    this.#access = pair.access;
    this.#renewAt = this.now() + (pair.expires_in_s - RENEW_BEFORE_S) * 1000;
    this.#keep(pair.refresh);
  }

  #keep(refresh) {
    this.#refresh = refresh;
    try {
      this.storage.setItem(KEPT, refresh);
    } catch {
      // Without storage the sign-in lasts until the page is loaded again.
    }
  }

  #forget(user, why) {
    this.#access = this.#refresh = null;
    try {
      this.storage.removeItem(KEPT);
    } catch {
      // There is nothing to remove.
    }
    this.state.set({ phase: "out", user, why });
  }
}

function read(storage) {
  try {
    return storage.getItem(KEPT);
  } catch {
    return null;
  }
}

/** Runs the action in one tab at a time, where the browser can do that (over HTTPS and on loopback). */
function withLock(action) {
  const locks = globalThis.navigator?.locks;
  return locks ? locks.request(KEPT, action) : action();
}

/**
 * Opens sockets of a store's channel: each needs a ticket of its own, for one use. Looks like a WebSocket to LiveChannel.
 */
export class TicketSocket {
  #socket = null;
  #closed = false;

  constructor(url, account, wish) {
    this.onmessage = this.onclose = () => {};
    this.#open(url, account, wish);
  }

  async #open(url, account, wish) {
    const outcome = await account.call({ method: "POST", path: "/api/v1/live-tickets", body: wish });
    if (this.#closed) return;
    if (outcome.kind !== "done") {
      const isOver = outcome.kind === "refused" && [401, 403, 404].includes(outcome.status);
      return this.onclose({ code: isOver ? 4401 : 1006 });
    }
    const socket = new WebSocket(url);
    this.#socket = socket;
    socket.onopen = () => socket.send(JSON.stringify({ type: "ticket", ticket: outcome.body.ticket }));
    socket.onmessage = (message) => this.onmessage(message);
    socket.onclose = (close) => this.onclose(close);
  }

  send(text) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(text);
  }

  close() {
    this.#closed = true;
    this.#socket?.close();
  }
}
