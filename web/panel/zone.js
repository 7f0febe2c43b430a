// Times of the day in a store's zone.

/** Returns the difference of a zone to UTC at a moment, in milliseconds. */
function offset(moment, zone) {
  const parts = new Intl.DateTimeFormat("en-US", { timeZone: zone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric" }).formatToParts(moment);
  const { year, month, day, hour, minute, second } = Object.fromEntries(parts.map(({ type, value }) => [type, Number(value)]));
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(moment / 1000) * 1000;
}

/** Returns the moment at which it is `hour` o'clock on the next day in the zone, also if clocks change meanwhile. */
export function tomorrowAt(hour, zone, now = Date.now()) {
  const local = new Date(now + offset(now, zone));
  const wanted = Date.UTC(local.getUTCFullYear(), local.getUTCMonth(), local.getUTCDate() + 1, hour);
  const guess = wanted - offset(wanted, zone);
  return wanted - offset(guess, zone);
}
