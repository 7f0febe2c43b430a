// The demo page: shows the live channel, the orders, the handoffs and the kitchen on one screen.

import { onLanguage, t } from "../shared/messages.js";
import { LanguageChoice } from "../shared/parts.js";
import { html, render } from "../shared/ui.js";
import { el } from "./elements.js";
import { handoffsBeneath } from "./handoffs.js";
import { drawBoard, drawModes, markMode } from "./kitchen.js";
import { showLine } from "./line.js";
import { drawOrders, Orders } from "./orders.js";
import { placeOrder, startingOptions } from "./ordering.js";
import { Poll } from "./poll.js";
import { Line } from "../shared/line.js";
import "../shared/offline.js";
import { clockTime, money, plainly } from "./words.js";

const LOG_LINES_MAX = 200;

const at = (id) => document.getElementById(id);
const orders = new Orders();
const handoffPoll = new Poll({
  url: "/demo/handoffs.json",
  onAnswer: (answer) => {
    handoffs = answer.handoffs;
    draw();
  },
  onTrouble: (since) => trouble("handoffs-trouble", since, "demo.trouble.handoffs"),
});
let handoffs = [];
let session = {};

start();

async function start() {
  for (const element of document.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  render(html`<${LanguageChoice} />`, at("language"));
  // All that is shown comes from the server again.
  onLanguage(() => location.reload());
  const demo = await readDemo();
  if (!demo) {
    at("start").hidden = false;
    return;
  }
  const code = demo.session_code;
  at("demo").hidden = false;
  at("line").hidden = false;
  followTable(code);
  showDemo(demo, code);
}

/** Reads the demo's data; null if there is no demo, which is not an error. */
async function readDemo() {
  try {
    const answer = await fetch("/demo.json", { cache: "no-store" });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

function followTable(code) {
  const line = new Line({ address: () => `/ws/sessions/${encodeURIComponent(code)}`, onSnapshot, onEvent, onNote });
  const show = () => showLine(line.channel);
  line.state.subscribe(show);
  at("line-retry").addEventListener("click", () => line.retryNow());
  setInterval(show, 1000);
  line.start();
}

function onSnapshot(hello) {
  orders.restart(hello.orders);
  showSession(hello.session);
  draw();
}

function onEvent(event) {
  let saying = event.type;
  if (event.data?.order) {
    const order = event.data.order;
    const move = orders.take(order);
    saying = `${t("demo.order", { number: order.number })} → ${plainly(order.status)}${order.reason ? ` (${plainly(order.reason)})` : ""}`;
    if (move) at("announcer").textContent = saying.replace(" →", ":");
  } else if (event.type === "session.closed") {
    showSession({ ...session, state: "CLOSED" });
  }
  log(`#${event.seq}`, saying, event.at, event.type);
  draw();
}

function onNote(note) {
  const words = {
    snapshot: () => t(note.again ? "demo.log.snapshot.again" : "demo.log.snapshot", { seq: note.seq }),
    resumed: () => t("demo.log.resumed", { after: note.after }),
    gap: () =>
      note.expected === undefined
        ? t("demo.log.gap", { why: note.why })
        : t("demo.log.gap", { why: `${note.why} (#${note.expected ?? "–"} ≠ #${note.got ?? "–"})` }),
    down: () => t("demo.log.down", { why: note.why }),
    ended: () => t("demo.log.ended", { why: note.why }),
  };
  log("·", words[note.kind](), Date.now(), t("demo.log.page"), note.kind);
}

function showSession(told) {
  session = told ?? {};
  const closed = session.state === "CLOSED";
  at("title").textContent = session.name ?? t("demo.table");
  document.title = `${session.name ?? t("demo.table")} – Expediter`;
  at("orders-title").textContent = t(closed ? "demo.orders.closed" : "demo.orders");
  for (const button of at("menu").children) button.disabled = closed;
}

function log(number, saying, moment, type, kind = "event") {
  const list = at("log");
  list.prepend(
    el(
      "li",
      { class: `log-line ${kind}` },
      el("span", { class: "log-number" }, number),
      el("span", { class: "log-saying" }, saying, el("small", {}, type)),
      el("span", { class: "log-time" }, clockTime(moment)),
    ),
  );
  while (list.children.length > LOG_LINES_MAX) list.lastElementChild.remove();
}

function draw() {
  const { shown, earlier } = orders.shownAndEarlier;
  const beneath = (order) => handoffsBeneath(order, handoffs, handoffPoll.serverNow());
  at("no-orders").hidden = shown.length > 0;
  drawOrders(at("orders"), shown, beneath);
  at("earlier").hidden = earlier.length === 0;
  at("earlier-title").textContent = t("demo.orders.earlier", { count: earlier.length });
  drawOrders(at("earlier-orders"), earlier, beneath);
}

// The demo's own parts: the menu, the kitchen, the handoffs.

function showDemo(demo, code) {
  at("subtitle").textContent = `${demo.store_name}: ${t("demo.subtitle")}`;
  at("left").hidden = false;
  at("right").hidden = false;
  at("foot").hidden = false;
  at("as-guest").href = `/s/${encodeURIComponent(code)}`;
  const options = startingOptions(code);
  at("menu").replaceChildren(...demo.menu.map((product) => menuButton(product, code, options)));
  drawModes(at("modes"), (mode) => setMode(demo.kitchen, mode));

  const boardPoll = new Poll({
    url: `${demo.kitchen}/board`,
    onAnswer: (board) => {
      markMode(at("modes"), board);
      drawBoard({ tickets: at("tickets"), attempts: at("sightings"), duplicates: at("duplicates") }, board);
    },
    onTrouble: (since) => trouble("kitchen-trouble", since, "demo.trouble.kitchen"),
  });
  setMode.done = () => boardPoll.now();
  let tick = 0;
  const look = () => {
    if (document.hidden) return;
    // Every second while an order may still change, else every fifth second.
    if (orders.someUnfinished || tick % 5 === 0) {
      handoffPoll.now();
      boardPoll.now();
    }
    tick += 1;
    draw(); // the countdowns
  };
  setInterval(look, 1000);
  look();
}

function menuButton(product, code, options) {
  const order = async (event) => {
    const button = event.currentTarget;
    // A second tap while the first one is on its way is the same wish.
    if (button.getAttribute("aria-busy") === "true") return;
    const answer = at("order-answer");
    button.setAttribute("aria-busy", "true");
    answer.textContent = t("demo.ordering", { name: product.name });
    const item = { product_id: product.product_id, quantity: 1 };
    const chosen = (await options).get(product.product_id) ?? [];
    if (chosen.length > 0) item.options = chosen;
    const onUnknown = () => {
      answer.textContent = `${product.name}: ${t("demo.not_known")}`;
    };
    const { ok, order: placed, why } = await placeOrder({ code, items: [item], onUnknown });
    button.removeAttribute("aria-busy");
    answer.classList.toggle("bad", !ok);
    answer.textContent = `${product.name}: ${ok ? t("demo.placed", { number: placed.number }) : t("demo.refused", { why })}`;
    handoffPoll.now();
  };
  return el(
    "button",
    { type: "button", class: "dish", onclick: order },
    el("span", {}, product.name),
    el("span", { class: "price" }, money(product.price)),
  );
}

async function setMode(kitchen, { mode, for_requests }) {
  const answer = at("mode-answer");
  try {
    const request = { method: "PUT", headers: { "content-type": "application/json" }, body: JSON.stringify({ mode, for_requests }) };
    const { ok, status } = await fetch(`${kitchen}/mode`, request);
    answer.textContent = ok ? "" : t("demo.mode.refused", { status });
  } catch {
    answer.textContent = t("demo.mode.silent");
  }
  answer.classList.toggle("bad", answer.textContent !== "");
  setMode.done?.();
}

function trouble(id, since, what) {
  at(id).hidden = since === null;
  at(id).textContent = since === null ? "" : t(what, { since: clockTime(since) });
}
