// Times of the day in a store's zone.

const formats = new Map();

function formatOf(zone) {
  if (!formats.has(zone)) {
    formats.set(zone, new Intl.DateTimeFormat("en-US", { timeZone: zone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric" }));
  }
  return formats.get(zone);
}

/** Returns the difference of a zone to UTC at a moment, in milliseconds. */
function offset(moment, zone) {
  const parts = formatOf(zone).formatToParts(moment);
  const { year, month, day, hour, minute, second } = Object.fromEntries(parts.map(({ type, value }) => [type, Number(value)]));
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(moment / 1000) * 1000;
}

const DAY_MS = 86_400_000;
/** A time of the day that has passed by less is today's: a mistake, and not the next day's. */
const PAST_MS = DAY_MS / 2;

/** Returns the moment of a time of the day so many days after today in the zone, also if clocks change meanwhile. */
function at({ days = 0, hours, minutes = 0 }, zone, now) {
  const local = new Date(now + offset(now, zone));
  const wanted = Date.UTC(local.getUTCFullYear(), local.getUTCMonth(), local.getUTCDate() + days, hours, minutes);
  const guess = wanted - offset(wanted, zone);
  return wanted - offset(guess, zone);
}

/** Returns the moment at which it is `hours` o'clock on the next day in the zone. */
export const tomorrowAt = (hours, zone, now = Date.now()) => at({ days: 1, hours }, zone, now);

/**
 * Returns the moment that a person means by a time of the day such as "00:15": today's, or the next day's if today's
 * has long passed. Null for anything else.
 */
export function momentOf(text, zone, now = Date.now()) {
  const [, hours, minutes] = (/^(\d{1,2}):(\d{2})/.exec(text) ?? []).map(Number);
  if (!(hours < 24 && minutes < 60)) return null;
  const today = at({ hours, minutes }, zone, now);
  return today < now - PAST_MS ? at({ days: 1, hours, minutes }, zone, now) : today;
}

/** Returns the time of the day in the zone as fields of a form write it: "09:05". */
export const clockTime = (moment, zone) => new Date(moment + offset(moment, zone)).toISOString().slice(11, 16);
