// Tests of a panel's sign-in with a fake server.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { Account } from "../panel/account.js";

class FakeStorage {
  kept = new Map();
  getItem = (key) => this.kept.get(key) ?? null;
  setItem = (key, value) => this.kept.set(key, value);
  removeItem = (key) => this.kept.delete(key);
}

let asked, server, time, storage;
const realFetch = globalThis.fetch;
const channels = [];
const realChannel = globalThis.BroadcastChannel;

/** Gives out numbered tokens; a refresh token is for one use. */
class FakeServer {
  made = 0;
  valid = new Set();
  role = "staff";
  pair() {
    this.made += 1;
    this.valid.add(`refresh-${this.made}`);
    return { access: `access-${this.made}`, refresh: `refresh-${this.made}`, token_type: "Bearer", expires_in_s: 300 };
  }
  answer(path, { headers, body }) {
    const sent = body && JSON.parse(body);
    if (path === "/api/v1/token") return sent.password === "right" ? [200, this.pair()] : [401, { reason: "incorrect_credentials" }];
    if (path === "/api/v1/token/refresh") return this.valid.delete(sent.refresh) ? [200, this.pair()] : [401, { reason: "incorrect_credentials" }];
    if (path === "/api/v1/token/revoke") return this.valid.delete(sent.refresh) && [204, null];
    if (headers.authorization !== `Bearer access-${this.made}`) return [401, { reason: "incorrect_credentials" }];
    if (path === "/api/v1/me") return [200, { id: "1", username: "sam", role: this.role, stores: [] }];
    return [200, { path }];
  }
}

beforeEach(() => {
  [asked, server, time, storage] = [[], new FakeServer(), 0, new FakeStorage()];
  globalThis.BroadcastChannel = class {
    constructor() {
      channels.push(this);
    }
    postMessage(data) {
      for (const other of channels) if (other !== this) other.onmessage?.({ data });
    }
  };
  globalThis.fetch = async (path, request) => {
    asked.push(path);
    const [status, body] = server.answer(path, request);
    return { ok: status < 300, status, headers: new Headers(), text: async () => (body === null ? "" : JSON.stringify(body)) };
  };
});

afterEach(() => {
  channels.length = 0;
  globalThis.fetch = realFetch;
  globalThis.BroadcastChannel = realChannel;
});

const account = () => new Account({ storage, now: () => time });
const count = (path) => asked.filter((one) => one === path).length;

test("a token is renewed before it ends, once for all who need it at that moment", async () => {
  const sam = account();
  assert.equal(await sam.signIn("sam", "right"), null);
  assert.equal(sam.state.value.phase, "in");
  time += 271_000;
  const outcomes = await Promise.all([1, 2, 3].map(() => sam.call({ path: "/api/v1/stores" })));
  assert.deepEqual(outcomes.map(({ kind }) => kind), ["done", "done", "done"]);
  assert.equal(count("/api/v1/token/refresh"), 1);
});

test("a call that is refused with 401 is made again with a new token, and not for ever", async () => {
  const sam = account();
  await sam.signIn("sam", "right");
  server.made += 1; // the access token counts no longer
  assert.equal((await sam.call({ path: "/api/v1/stores" })).kind, "done");
  server.answer = (path) => (path.endsWith("refresh") ? [200, server.pair()] : [401, { reason: "incorrect_credentials" }]);
  const refused = await sam.call({ path: "/api/v1/stores" });
  assert.equal(refused.status, 401);
});

test("a sign-in that has ended says so and keeps whose it was, and no secret stays behind", async () => {
  const sam = account();
  await sam.signIn("sam", "right");
  server.valid.clear();
  time += 300_000;
  assert.equal((await sam.call({ path: "/api/v1/stores" })).status, 401);
  const { phase, why, user } = sam.state.value;
  assert.deepEqual([phase, why, user.username], ["out", "expired", "sam"]);
  assert.equal(storage.kept.size, 0);
  await sam.signIn("sam", "right");
  assert.equal(sam.state.value.phase, "in");
});

test("a page that is loaded again goes on, and signing out ends it on the server too", async () => {
  await account().signIn("sam", "right");
  const again = account();
  await again.start();
  assert.equal(again.state.value.phase, "in");
  await again.signOut();
  assert.equal(again.state.value.phase, "out");
  assert.equal(server.valid.size, 0);
  assert.equal(storage.kept.size, 0);
});

test("a duplicated tab takes over the token that the other tab was given", async () => {
  const one = account();
  await one.signIn("sam", "right");
  const two = account();
  await two.start(); // uses the copied token, and tells the other
  assert.equal(two.state.value.phase, "in");
  time += 300_000;
  assert.equal((await one.call({ path: "/api/v1/stores" })).kind, "done");
  assert.equal(one.state.value.phase, "in");
});

test("a customer's account does not come in, and a wrong password changes nothing", async () => {
  const carl = account();
  server.role = "customer";
  assert.equal((await carl.signIn("carl", "right")).problem.reason, "wrong_role");
  assert.equal(carl.state.value.phase, "out");
  assert.equal(storage.kept.size, 0);
  assert.equal((await carl.signIn("carl", "wrong")).status, 401);
});
