// Starts an expediter with its own data, a line to it that tests cut and freeze, and headless Chromium with pages in it.
//
// Tests of pages need playwright-core and axe-core (scripts/npm-tools install), Chromium and the built program. Without
// them they are skipped loudly, and fail in CI.

import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const built = process.env.CARGO_TARGET_DIR ?? join(root, "target");
const program = join(built, "debug", "expediter");
const tools = join(built, "tools", "npm", "package.json");
const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-dev-shm-usage"];
const PASSWORD = "a password for tests";
/** Time within which anything that a test awaits must happen, under whatever load. */
export const SOON_MS = 60_000;
const screenshots = join(built, "screenshots");
/** A setup that runs already, such as that of scripts/up: http://operator:PASSWORD@127.0.0.1:8000 */
const RUNS_AT = process.env.EXPEDITER_PAGES_AT;
/** With this, some pictures of a scene go into docs/pictures too. */
const FOR_DOCS = process.env.EXPEDITER_PICTURES ? join(root, "docs", "pictures") : null;

const missing = [
  [RUNS_AT ? root : program, "the built program (cargo build --workspace --bins)"],
  [join(built, "tools", "npm", "node_modules", "playwright-core"), "playwright-core (scripts/npm-tools install)"],
  [CHROMIUM ?? "/usr/bin/chromium", "Chromium (EXPEDITER_TEST_PAGES=1 scripts/test-servers install)"],
].filter(([path]) => !existsSync(path));

/** A test with a server and a browser: `scene("it does so", async ({server, open}) => …)`; `demo` starts the demonstration. */
export function scene(name, play, { demo = false, minutes = 5 } = {}) {
  const options = { timeout: minutes * 60_000 };
  if (missing.length > 0) {
    const lacks = `SKIPPED: missing: ${missing.map(([, what]) => what).join(", ")}`;
    if (!process.env.CI) {
      console.error(`${name}: ${lacks}`);
      options.skip = lacks;
    }
  }
  test(name, options, async () => {
    if (missing.length > 0) throw new Error(missing.map(([, what]) => `missing: ${what}`).join(", "));
    const server = RUNS_AT ? await Server.at(new URL(RUNS_AT)) : await Server.start({ demo });
    const { chromium } = createRequire(tools)("playwright-core");
    const browser = await chromium.launch({ executablePath: CHROMIUM, headless: true, args: FLAGS });
    try {
      await play({ server, browser, open: (path, options) => open(browser, server, path, options) });
    } finally {
      await browser.close();
      await server.stop();
    }
  });
}

/**
 * Opens a page in a browser of its own (cookies, storage): a phone by default. `wide` is a desktop; `dark`, `language`,
 * `width`, `script: false` change it. The page's errors end in `page.errors`.
 */
async function open(browser, server, path, { wide = false, dark = false, language = "en", width, height, script = true, storage } = {}) {
  const context = await browser.newContext({
    viewport: { width: width ?? (wide ? 1280 : 390), height: height ?? (wide ? 900 : 780) },
    colorScheme: dark ? "dark" : "light",
    locale: language,
    timezoneId: "Europe/Berlin",
    reducedMotion: "reduce",
    hasTouch: !wide,
    javaScriptEnabled: script,
    storageState: storage,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(SOON_MS);
  page.errors = [];
  // Requests that have no answer yet, so that a scene can wait until the page has read all that it reads.
  page.underWay = new Set();
  page.on("request", (request) => page.underWay.add(request));
  for (const end of ["requestfinished", "requestfailed"]) page.on(end, (request) => page.underWay.delete(request));
  page.on("pageerror", (error) => page.errors.push(String(error)));
  page.on("console", (line) => {
    // A request that gets no answer or a problem is a line in the console too; only the page's own words count.
    if (line.type() === "error" && !line.text().startsWith("Failed to load resource") && !line.text().includes("WebSocket connection")) {
      page.errors.push(line.text());
    }
  });
  const url = path.startsWith("http") ? path : server.url + path;
  await page.goto(url, { waitUntil: "load" });
  return page;
}

/** Signs in on a page for staff. */
export async function signIn(page, server, username) {
  await page.locator("input[autocomplete=username]").fill(username);
  await page.locator("input[type=password]").fill(server.password);
  await page.locator(".sign-in button.primary").click();
}

const WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

/** Waits until nothing fades in or out: text that is nearly transparent at that moment has no contrast. */
async function settle(page) {
  await page.evaluate(async () => {
    const ends = (one) => Number.isFinite(one.effect.getComputedTiming().endTime);
    let moves;
    while ((moves = document.getAnimations().filter((one) => one.playState === "running" && ends(one))).length > 0) {
      await Promise.allSettled(moves.map((one) => one.finished));
    }
  });
}

/** Fails with what axe-core finds against WCAG 2.2 AA in the page, and in our own pages against its best practices. */
export async function accessible(page, where = page.url(), { own = true } = {}) {
  const source = createRequire(tools).resolve("axe-core/axe.min.js");
  // Through the debugger, because the page's policy allows no inline script.
  const { readFileSync } = await import("node:fs");
  await page.evaluate(readFileSync(source, "utf8"));
  await settle(page);
  const tags = own ? [...WCAG, "best-practice"] : WCAG;
  const { violations } = await page.evaluate((tags) => window.axe.run(document, { runOnly: tags }), tags);
  const told = violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => `${node.target} ${node.any.map((any) => any.message)}`).join("; ")}`);
  if (told.length > 0) throw new Error(`${where}: ${told.join("\n")}`);
}

/** Writes a picture of the page to target/screenshots; one with a name in the documents to docs/pictures too, if wanted. */
export async function picture(page, name, { whole = false, docs = null } = {}) {
  mkdirSync(screenshots, { recursive: true });
  const bytes = await page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: whole });
  if (docs && FOR_DOCS) writeFileSync(join(FOR_DOCS, `${docs}.png`), bytes);
}

/** Fails if the page is wider than its window. */
export async function fits(page) {
  const [inside, window] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  if (inside > window) throw new Error(`the page is ${inside} pixels wide in a window of ${window}`);
}

/** Waits until the page has asked for nothing for a moment. */
export async function quiet(page) {
  let since = Date.now();
  await until("the page has its answers", () => {
    if (page.underWay.size > 0) since = Date.now();
    return Date.now() - since > 300;
  });
}

/** Waits until the condition holds, asking again and again. */
export async function until(what, condition, withinMs = SOON_MS) {
  const end = Date.now() + withinMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** A line to the server that can be cut (no connection at all) and frozen (connections stand, nothing passes). */
class TestLine {
  #pairs = new Set();
  #server;
  cutOff = false;
  frozen = false;

  static async to(port) {
    const line = new TestLine();
    line.#server = createServer({ allowHalfOpen: true }, (near) => line.#join(near, port));
    await new Promise((resolve) => line.#server.listen(0, "127.0.0.1", resolve));
    line.port = line.#server.address().port;
    return line;
  }

  #join(near, port) {
    if (this.cutOff) return near.destroy();
    const far = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    const pair = [near, far];
    this.#pairs.add(pair);
    for (const [from, to] of [[near, far], [far, near]]) {
      from.on("data", (bytes) => to.write(bytes));
      from.on("end", () => to.end());
      from.on("error", () => to.destroy());
      from.on("close", () => (to.destroy(), this.#pairs.delete(pair)));
      if (this.frozen) from.pause();
    }
  }

  cut() {
    this.cutOff = true;
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
  }

  freeze() {
    this.frozen = true;
    for (const pair of this.#pairs) for (const socket of pair) socket.pause();
  }

  /** Lets the requests through and keeps the answers back. */
  swallowAnswers() {
    this.frozen = false;
    for (const [, far] of this.#pairs) far.pause();
  }

  mend() {
    this.cutOff = false;
    this.frozen = false;
    for (const pair of this.#pairs) for (const socket of pair) socket.resume();
  }

  close() {
    this.cut();
    this.#server.close();
  }
}

class Server {
  /** Joins a setup that runs already; its scenes make a store and accounts of their own. */
  static async at(url) {
    const server = new Server();
    server.port = Number(url.port);
    server.line = await TestLine.to(server.port);
    server.url = `http://127.0.0.1:${server.line.port}`;
    server.direct = url.origin;
    server.operator = (await server.ask("POST", "/token", { username: url.username, password: decodeURIComponent(url.password) }, null)).access;
    return server;
  }

  /** Starts the program on SQLite, with one operator. */
  static async start({ demo }) {
    const server = new Server();
    server.folder = mkdtempSync(join(tmpdir(), "expediter-pages-"));
    const data = join(server.folder, "data");
    server.port = await freePort();
    server.line = await TestLine.to(server.port);
    server.url = `http://127.0.0.1:${server.line.port}`;
    server.direct = `http://127.0.0.1:${server.port}`;
    const settings = [
      `demo.enabled=${demo}`,
      // Outside systems of a test listen on loopback.
      "worker.allow_http=true",
      'worker.allow_networks=["127.0.0.0/8"]',
      `http.api_listen="127.0.0.1:${server.port}"`,
      `http.public_url="${server.url}"`,
      `secrets.data_dir="${data}"`,
      `database.url="sqlite://${join(data, "expediter.db")}"`,
    ].flatMap((setting) => ["--set", setting]);
    const make = ["create-user", "olga", "--role", "operator", "--password-stdin", ...settings];
    execFileSync(program, make, { input: `${PASSWORD}\n`, cwd: server.folder, stdio: ["pipe", "pipe", "inherit"] });
    server.settings = settings;
    await server.run();
    server.operator = await server.signIn("olga");
    return server;
  }

  /** Runs the program on its data and port, until it is ready. */
  async run() {
    this.process = spawn(program, this.settings, { cwd: this.folder, stdio: ["ignore", "ignore", "pipe"] });
    let log = "";
    this.process.stderr.on("data", (bytes) => (log = (log + bytes).slice(-20_000)));
    const ready = async () => {
      if (this.process.exitCode !== null) throw new Error(`expediter has ended: ${log}`);
      return fetch(`${this.direct}/readyz`).then((answer) => answer.ok, () => false);
    };
    await until("expediter is ready", ready);
  }

  /** Ends it as a power cut does: kill -9. */
  async crash() {
    const ended = new Promise((resolve) => this.process.once("exit", resolve));
    this.process.kill("SIGKILL");
    await ended;
  }

  async stop() {
    if (!this.process) return this.line.close();
    if (this.process.exitCode === null && this.process.signalCode === null) {
      const ended = new Promise((resolve) => this.process.once("exit", resolve));
      this.process.kill("SIGINT");
      const late = setTimeout(() => this.process.kill("SIGKILL"), 20_000);
      await ended;
      clearTimeout(late);
    }
    this.line.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Fails if a promise is broken in the database; of a setup that runs elsewhere nothing is known. */
  audit() {
    if (this.process) execFileSync(program, ["audit", ...this.settings], { cwd: this.folder, stdio: ["ignore", "ignore", "inherit"] });
  }

  async signIn(username) {
    const { access } = await this.ask("POST", "/token", { username, password: PASSWORD });
    return access;
  }

  /** Calls the API past the line, as the operator or with another token; throws unless it succeeds. */
  async ask(method, path, body, token = this.operator, more = {}) {
    const headers = { ...more };
    if (token) headers.authorization = `Bearer ${token}`;
    if (body !== undefined) headers["content-type"] = "application/json";
    const answer = await fetch(`${this.direct}/api/v1${path}`, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
    const text = await answer.text();
    if (!answer.ok) throw Object.assign(new Error(`${method} ${path}: ${answer.status} ${text}`), { status: answer.status });
    return text === "" ? null : JSON.parse(text);
  }

  /** Makes an account for a store; its password is `server.password`. */
  async account(username, role, stores) {
    await this.ask("POST", "/users", { username, password: PASSWORD, role, stores });
    return this.signIn(username);
  }

  get password() {
    return PASSWORD;
  }

  /** Makes a store with a menu and an open table: `{store, products, session}`; products by their names. */
  async table(name = "Table 1", { store: fields = {}, menu = MENU } = {}) {
    const store = await this.ask("POST", "/stores", { name: "Trattoria Ärger & Söhne", currency: "EUR", timezone: "Europe/Berlin", ...fields });
    const products = {};
    for (const product of menu) {
      const made = await this.ask("POST", "/products", { store_id: store.id, ...product });
      products[made.name] = made;
    }
    const session = await this.ask("POST", "/sessions", { store_id: store.id, name });
    return { store, products, session };
  }
}

const euro = (amount) => ({ amount, currency: "EUR" });
export const MENU = [
  { name: "Espresso", price: euro(250) },
  { name: "Pizza Margherita", price: euro(950) },
  { name: "Tiramisù", price: euro(600), stock: 3 },
];

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
