// Tests of money, times and durations as pages write them.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { clock, digitsOf, duration, money, time, when } from "../shared/format.js";
import { setLanguage, t } from "../shared/messages.js";

globalThis.document ??= { documentElement: {} };
const plain = (text) => text.replace(/[\u00a0\u202f]/g, " ");

test("money has the decimals of the currency, whatever the browser thinks", () => {
  setLanguage("en");
  assert.equal(money({ amount: 250, currency: "EUR" }), "€2.50");
  assert.equal(money({ amount: 250, currency: "JPY" }), "¥250");
  assert.equal(plain(money({ amount: 1234, currency: "IQD" })), "IQD 1.234");
  assert.equal(plain(money({ amount: 500, currency: "UGX" })), "UGX 500");
  assert.equal(money({ amount: 50, currency: "EUR" }, { sign: true }), "+€0.50");
  assert.equal(money({ amount: -50, currency: "EUR" }, { sign: true }), "-€0.50");
  assert.equal(money({ amount: 0, currency: "EUR" }, { sign: true }), "€0.00");
  setLanguage("de");
  assert.equal(plain(money({ amount: 123456, currency: "EUR" })), "1.234,56 €");
});

test("every currency whose smallest unit is no hundredth is written with its own decimals", () => {
  setLanguage("en");
  const exponents = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
  };
  for (const [exponent, codes] of Object.entries(exponents)) {
    for (const currency of codes.split(" ")) {
      const written = money({ amount: 12_345_678, currency }).replace(/[^\d.]/g, "");
      assert.equal(written, (12_345_678 / 10 ** exponent).toFixed(exponent), currency);
    }
  }
});

test("currencies of which browsers hide the hundredths keep them", () => {
  setLanguage("en");
  const currencies = Intl.supportedValuesOf("currency").filter((currency) => digitsOf(currency) === 2);
  const differ = currencies.filter((currency) => new Intl.NumberFormat("en", { style: "currency", currency }).resolvedOptions().maximumFractionDigits !== 2);
  assert.ok(differ.includes("HUF") && differ.includes("PKR"), `a browser's own digits: ${differ}`);
  for (const currency of currencies) assert.match(money({ amount: 12_345, currency }), /123\.45/, currency);
});

test("decimals that the API says count, and nothing else does", () => {
  setLanguage("en");
  assert.equal(money({ amount: 12_345, currency: "HUF", exponent: 2 }).replace(/[^\d.]/g, ""), "123.45");
  assert.equal(money({ amount: 12_345, currency: "EUR", exponent: 0 }), "€12,345");
  assert.equal(money({ amount: -5, currency: "ZZZ", exponent: 3 }).replace(/[^-\d.]/g, ""), "-0.005");
});

test("the pages know the same decimals as the server", () => {
  const rust = readFileSync(new URL("../../common/domain/src/money.rs", import.meta.url), "utf8");
  const table = rust.slice(rust.indexOf("fn decimals"), rust.indexOf("_ => 2"));
  let counted = 0;
  for (const [, codes, digits] of table.matchAll(/((?:b"[A-Z]{3}"[\s|]*)+)=> (\d)/g)) {
    for (const [, code] of codes.matchAll(/b"([A-Z]{3})"/g)) {
      assert.equal(digitsOf(code), Number(digits), code);
      counted += 1;
    }
  }
  assert.ok(counted > 20, "the server's table was not found");
  assert.equal(digitsOf("EUR"), 2);
});

test("times are the store's, on the days when clocks change as well", () => {
  setLanguage("de");
  assert.equal(time("2026-03-29T00:30:00Z", "Europe/Berlin"), "01:30");
  assert.equal(time("2026-03-29T01:30:00Z", "Europe/Berlin"), "03:30");
  assert.equal(time("2026-10-25T00:30:00Z", "Europe/Berlin"), "02:30");
  assert.equal(time("2026-10-25T01:30:00Z", "Europe/Berlin"), "02:30");
  assert.equal(time("2026-06-01T10:00:00Z", "No/Where").length > 0, true);
  assert.equal(time("nonsense", "Europe/Berlin"), "");
});

test("another day is named and today is not", () => {
  setLanguage("en");
  const now = Date.parse("2026-06-01T22:30:00Z"); // half past midnight in Berlin
  assert.equal(plain(when("2026-06-01T23:00:00Z", "Europe/Berlin", now)), "1:00 AM");
  assert.match(plain(when("2026-06-01T12:00:00Z", "Europe/Berlin", now)), /^Mon, Jun 1/);
});

test("durations are short, and never negative", () => {
  setLanguage("en");
  assert.equal(plain(duration(3 * 60_000)), "3 min");
  assert.equal(plain(duration(65 * 60_000)), "1 hr 5 min");
  assert.equal(plain(duration(-5000)), "0 min");
  assert.equal(clock(187_000), "3:07");
  assert.equal(clock(3_723_000), "1:02:03");
  assert.equal(clock(-1), "0:00");
});

test("a text without its values keeps its holes, and one that is missing shows its key", () => {
  assert.equal(t("shared.line.lost", {}, "en"), "Not live since {since}");
  assert.equal(t("no.such.text"), "no.such.text");
});
