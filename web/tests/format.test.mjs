// Tests of money, times and durations as pages write them.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { clock, digitsOf, duration, money, time, when } from "../shared/format.js";
import { LANGUAGES, setLanguage, t } from "../shared/messages.js";
import { priceOf, priceText } from "../board/menu-product.js";

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

/** All currencies of ISO 4217 (list one of 2026) that have minor units, by their number of decimals. */
const ISO_4217 = {
  0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
  2: `AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY COP
    COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR
    JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN
    NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL
    THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG`,
  3: "BHD IQD JOD KWD LYD OMR TND",
  4: "CLF UYW",
};
const currencies = Object.entries(ISO_4217).flatMap(([digits, codes]) => codes.split(/\s+/).map((currency) => ({ currency, digits: Number(digits) })));

test("every currency of ISO 4217 is written with its own decimals in both languages", () => {
  assert.ok(currencies.length > 160 && new Set(currencies.map(({ currency }) => currency)).size === currencies.length);
  for (const code of Object.keys(LANGUAGES)) {
    setLanguage(code);
    const point = code === "de" ? "," : ".";
    for (const { currency, digits } of currencies) {
      for (const amount of [12_345_678, 5, 0, 1_000_000_000_000]) {
        const written = money({ amount, currency });
        const number = written.slice(written.search(/\d/)).match(/^[\d.,]*\d/)[0];
        const [whole, part] = number.split(point);
        assert.equal([whole.replace(/[.,]/g, ""), part].filter(Boolean).join("."), exactly(amount, digits), `${written} in ${code}`);
      }
    }
  }
});

test("a price of every currency of ISO 4217 that the board writes is read as the same amount", () => {
  for (const code of Object.keys(LANGUAGES)) {
    setLanguage(code);
    for (const { currency } of currencies) {
      for (const amount of [0, 5, 12_345, 12_345_678]) assert.equal(priceOf(priceText({ amount, currency }), currency), amount, `${currency} in ${code}`);
    }
  }
});

test("no page takes a currency's decimals from the browser", () => {
  const web = new URL("..", import.meta.url);
  const scripts = readdirSync(web, { recursive: true }).filter((name) => name.endsWith(".js") && !/^(vendor|tests)\//.test(name));
  assert.ok(scripts.length > 40);
  for (const name of scripts.filter((name) => name !== "shared/format.js")) {
    const script = readFileSync(new URL(name, web), "utf8");
    assert.doesNotMatch(script, /style: "currency"|amount\S* \/ 100\b|toFixed\(/, `${name}: money is written by shared/format.js`);
  }
});

/** Writes minor units as digits with a point, without any arithmetic. */
function exactly(amount, digits) {
  const text = String(amount).padStart(digits + 1, "0");
  return digits === 0 ? text : `${text.slice(0, -digits)}.${text.slice(-digits)}`;
}

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
