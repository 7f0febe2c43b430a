// Formats money, times and durations in the page's language; times in the store's zone.

import { language } from "./messages.js";

// Decimals by ISO 4217 where they are not two. Browsers take theirs from elsewhere and differ.
const DIGITS = {
  0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
  3: "BHD IQD JOD KWD LYD OMR TND",
  4: "CLF UYW",
};
const digitsByCurrency = new Map(Object.entries(DIGITS).flatMap(([digits, codes]) => codes.split(" ").map((code) => [code, Number(digits)])));
const formats = new Map();

export const digitsOf = (currency) => digitsByCurrency.get(currency) ?? 2;

/**
 * Formats minor units: `{amount: 250, currency: "EUR"}` is €2.50. `exponent` are the decimals, if the API says them.
 * `sign` writes a plus before additions.
 */
export function money({ amount, currency, exponent }, { sign = false } = {}) {
  const digits = exponent ?? digitsOf(currency);
  const options = {
    style: "currency",
    currency,
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
    signDisplay: sign ? "exceptZero" : "auto",
  };
  return format("NumberFormat", options).format(amount / 10 ** digits);
}

/** Formats the time of the day; `zone` is the store's, or the browser's if it is not known. */
export const time = (at, zone) => date(at, { timeStyle: "short" }, zone);
export const dateTime = (at, zone) => date(at, { dateStyle: "medium", timeStyle: "short" }, zone);
export const exact = (at, zone) => date(at, { dateStyle: "short", timeStyle: "medium" }, zone);
export const day = (at, zone) => date(at, { weekday: "long", day: "numeric", month: "long" }, zone);

/** Formats a time for people who read it now: the time alone today, with the day on other days. */
export function when(at, zone, now = Date.now()) {
  const dayOf = (moment) => date(moment, { year: "numeric", month: "numeric", day: "numeric" }, zone);
  if (dayOf(at) === dayOf(now)) return time(at, zone);
  return date(at, { weekday: "short", day: "numeric", month: "short", hour: "numeric", minute: "2-digit" }, zone);
}

/** Formats a length of time in its two largest units: "3 min", "1 h 5 min". */
export function duration(ms) {
  const minutes = Math.max(0, Math.round(ms / 60_000));
  const parts = [[Math.floor(minutes / 1440), "day"], [Math.floor((minutes % 1440) / 60), "hour"], [minutes % 60, "minute"]];
  const from = parts.findIndex(([count]) => count > 0);
  const shown = from < 0 ? [parts[2]] : parts.slice(from, from + 2).filter(([count]) => count > 0);
  return shown.map(([count, unit]) => format("NumberFormat", { style: "unit", unit, unitDisplay: "short" }).format(count)).join(" ");
}

/** Formats elapsed time as a clock: 3:07, 1:02:03. */
export function clock(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const rest = `${hours > 0 ? two(Math.floor((seconds % 3600) / 60)) : Math.floor(seconds / 60)}:${two(seconds % 60)}`;
  return hours > 0 ? `${hours}:${rest}` : rest;
}

export const seconds = (ms) =>
  format("NumberFormat", { style: "unit", unit: "second", unitDisplay: "short" }).format(Math.max(0, Math.round(ms / 1000)));

function date(at, options, zone) {
  const moment = new Date(at);
  if (Number.isNaN(moment.getTime())) return "";
  try {
    return format("DateTimeFormat", { ...options, timeZone: zone ?? undefined }).format(moment);
  } catch {
    return format("DateTimeFormat", options).format(moment); // a zone that this browser does not know
  }
}

function format(kind, options) {
  const key = `${kind} ${language()} ${JSON.stringify(options)}`;
  let made = formats.get(key);
  if (!made) {
    made = new Intl[kind](language(), options);
    formats.set(key, made);
  }
  return made;
}
