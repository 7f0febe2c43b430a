// Formats times, statuses and reasons for people; its words are loaded first.

import de from "../messages/demo/de.js";
import en from "../messages/demo/en.js";
import { addTexts, has, language, t } from "../shared/messages.js";

export { money } from "../shared/format.js";

addTexts({ en, de });
const clockFormat = new Intl.DateTimeFormat(language(), { timeStyle: "medium" });

/** Formats an RFC 3339 text or milliseconds as local hh:mm:ss. */
export function clockTime(moment) {
  return clockFormat.format(new Date(moment));
}

export function seconds(ms) {
  return `${Math.max(0, Math.round(ms / 1000))} s`;
}

/** Returns a status or reason code as readable text. */
export function plainly(word) {
  if (has(`demo.state.${word}`)) return t(`demo.state.${word}`);
  if (has(`demo.why.${word}`)) return t(`demo.why.${word}`);
  return String(word).replaceAll("_", " ");
}
