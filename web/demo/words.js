// Formats money, times, statuses and reasons for people.

const REASONS = {
  integrator_unreachable: "the kitchen could not be reached",
  not_accepted_in_time: "nobody accepted it in time",
  deadline: "deadline exceeded",
  withdrawn: "withdrawn",
};

const clockFormat = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

/** Formats minor units: `{amount: 250, currency: "EUR"}` is €2.50. */
export function money({ amount, currency }) {
  const format = new Intl.NumberFormat(undefined, { style: "currency", currency });
  return format.format(amount / 10 ** format.resolvedOptions().maximumFractionDigits);
}

/** Formats an RFC 3339 text or milliseconds as local hh:mm:ss. */
export function clockTime(moment) {
  return clockFormat.format(new Date(moment));
}

export function seconds(ms) {
  return `${Math.max(0, Math.round(ms / 1000))} s`;
}

/** Returns a status or reason code as readable text. */
export function plainly(word) {
  return REASONS[word] ?? String(word).replaceAll("_", " ");
}
