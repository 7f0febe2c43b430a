// A chart of bars over time, drawn as SVG: some dozen bars need no library.

import { time } from "../shared/format.js";
import { t } from "../shared/messages.js";
import { html } from "../shared/ui.js";

const WIDTH = 340;
const HEIGHT = 130;
/** Room for the numbers at the left and above. */
const LEFT = 34;
const ABOVE = 12;

const ROUND = [2, 4, 6, 8, 10, 12, 16, 20];

/** Returns a round number at or above the largest value, whose half is whole too, as the top of a scale. */
export function roundTop(largest) {
  let ten = 1;
  while (largest > 20 * ten) ten *= 10;
  return ROUND.find((one) => one * ten >= largest) * ten;
}

/**
 * Bars with a scale, and in words the highest and the last number. `value(column)` is null where there is none; `unit` is
 * what the scale counts in.
 */
export function Chart({ title, columns, value, text, zone, unit = 1 }) {
  const values = columns.map(value);
  const largest = Math.max(0, ...values.map((one) => one ?? 0));
  const top = roundTop(largest / unit) * unit;
  const step = (WIDTH - LEFT) / Math.max(1, columns.length);
  const y = (one) => ABOVE + (HEIGHT - ABOVE) * (1 - one / top);
  const last = values.findLast((one) => one !== null) ?? 0;
  return html`<figure class="panel chart">
    <figcaption><strong>${title}</strong> <span class="quiet">${t("board.today.most", { top: text(largest) })}</span></figcaption>
    <svg viewBox=${`0 0 ${WIDTH} ${HEIGHT + 1}`} role="img" aria-label=${t("board.today.says", { title, top: text(largest), last: text(last) })}>
      ${[top, top / 2, 0].map((one) => html`<g key=${one} class="chart-scale"><line x1=${LEFT} x2=${WIDTH} y1=${y(one)} y2=${y(one)} />${one > 0 && html`<text x=${LEFT - 4} y=${y(one) + 4} text-anchor="end">${text(one)}</text>`}</g>`)}
      ${values.map((one, at) => one > 0 && html`<rect key=${columns[at].at} x=${LEFT + at * step + 1} y=${y(one)} width=${Math.max(1, step - 2)} height=${HEIGHT - y(one)}><title>${`${time(columns[at].at, zone)}: ${text(one)}`}</title></rect>`)}
    </svg>
    <p class="quiet chart-times"><span>${columns.length > 0 && time(columns[0].at, zone)}</span><span>${time(Date.now(), zone)}</span></p>
  </figure>`;
}
