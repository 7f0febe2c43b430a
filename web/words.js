// How things are said to people: money, times, statuses, reasons.

const REASONS = {
  integrator_unreachable: "the kitchen could not be reached",
  not_accepted_in_time: "nobody accepted it in time",
  deadline: "time ran out",
  withdrawn: "withdrawn",
};

const clockFormat = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

/** Minor units to text: `{amount: 250, currency: "EUR"}` is €2.50. */
export function money({ amount, currency }) {
  const format = new Intl.NumberFormat(undefined, { style: "currency", currency });
  return format.format(amount / 10 ** format.resolvedOptions().maximumFractionDigits);
}

/** hh:mm:ss here, of an RFC 3339 text or of milliseconds. */
export function clockTime(moment) {
  return clockFormat.format(new Date(moment));
}

export function seconds(ms) {
  return `${Math.max(0, Math.round(ms / 1000))} s`;
}

/** `integrator_unreachable` as a person would say it. */
export function plainly(word) {
  return REASONS[word] ?? String(word).replaceAll("_", " ");
}
