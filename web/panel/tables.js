// The tables: open ones with what they need, closed ones beside them, and the field that opens one.

import { language, t, useLanguage } from "../shared/messages.js";
import { time } from "../shared/format.js";
import { Icon } from "../shared/parts.js";
import { html, useGrowing, useKept, useState, useValue } from "../shared/ui.js";
import { arrows } from "./keys.js";
import { printCodes } from "./paper.js";
import { OtherList } from "./orders.js";
import { useSettled } from "./settled.js";
import { TableDialog } from "./table-dialog.js";

const CLOSED_SHOWN = 30;
/** So many open tables are there at once; the others follow. */
const ROWS_AT_ONCE = 30;

export function Tables({ desk }) {
  useLanguage();
  useValue(desk.changed);
  const [name, write] = useState("");
  const [busy, work] = useState(false);
  const [opened, open] = useState(null); // {stream} of an open table, or {code} of a closed one
  const all = desk.model.openTables;
  const wanted = name.trim().toLocaleLowerCase();
  const found = wanted ? all.filter((table) => table.name.toLocaleLowerCase().includes(wanted)) : all;
  const rows = useSettled(found, (table) => table.stream);
  const grown = useGrowing(rows.items.length, { first: ROWS_AT_ONCE });
  const keep = useKept();
  const row = (table) => html`<${Row} key=${table.stream} table=${table} onOpen=${() => open({ stream: table.stream })} />`;
  const add = async (event) => {
    event.preventDefault();
    if (!wanted || busy) return;
    const same = all.find((table) => table.name.toLocaleLowerCase() === wanted);
    if (same) return open({ stream: same.stream });
    work(true);
    const session = await desk.openTable(name.trim());
    work(false);
    if (!session) return;
    write("");
    open({ code: session.code });
  };
  const printable = all.filter((table) => table.code);
  return html`<div class="columns">
    <section class="column open-tables" aria-labelledby="open-title">
      <header class="column-top">
        <h2 id="open-title">${t("panel.open")} <span class="quiet number">${all.length}</span></h2>
        ${printable.length > 0 && html`<button type="button" class="button small" onClick=${() => printCodes(desk, printable)}>${t("panel.code.print_all")}</button>`}
      </header>
      <form class="add" onSubmit=${add}>
        <label><span class="unseen">${t("panel.table.name")}</span>
          <input id="new-table" type="text" maxlength="100" autocomplete="off" placeholder=${t("panel.table.name")} value=${name} onInput=${(event) => write(event.currentTarget.value)} /></label>
        <button class="button primary round" aria-label=${t("panel.table.open")} aria-busy=${busy} disabled=${!wanted}><${Icon} name="plus" /></button>
      </form>
      <ul class="rows" ...${rows.watch} onKeyDown=${arrows(".row")}>
        ${rows.items.slice(0, grown).map((table) => keep(table.stream, [table.name, table.urgency, table.unseen, table.waiting, table.ready, table.open, language()], () => row(table)))}
      </ul>
      ${all.length === 0 && html`<p class="empty quiet">${t("panel.open.none")}</p>`}
      ${all.length > 0 && found.length === 0 && html`<p class="empty quiet">${t("panel.open.new", { name: name.trim() })}</p>`}
    </section>
    <section class="column other-column" aria-labelledby="other-title">
      <header class="column-top"><h2 id="other-title">${t("panel.others")}</h2></header>
      <${OtherList} desk=${desk} />
    </section>
    <${Closed} desk=${desk} onOpen=${(session) => open({ code: session.code })} />
    ${opened && html`<${TableDialog} key=${opened.stream ?? opened.code} desk=${desk} which=${opened} onClose=${() => open(null)} />`}
  </div>`;
}

/** A table as a row: its name, what it needs in words, and how many orders nobody has looked at. */
function Row({ table, onOpen }) {
  const says = [];
  if (table.waiting > 0) says.push(t("panel.row.waiting", { count: table.waiting }));
  if (table.ready > 0) says.push(t("panel.row.ready", { count: table.ready }));
  if (says.length === 0 && table.open > 0) says.push(t("panel.row.open", { count: table.open }));
  return html`<li>
    <button type="button" class="row" data-urgency=${table.urgency} onClick=${onOpen}>
      <span class="row-name"><bdi>${table.name}</bdi></span>
      <span class="row-says quiet">${says.join(" · ") || t("panel.row.nothing")}</span>
      ${table.unseen > 0 && html`<span class="count">${table.unseen}<span class="unseen"> ${t("panel.unseen")}</span></span>`}
    </button>
  </li>`;
}

function Closed({ desk, onOpen }) {
  const { items, cursor, loaded } = useValue(desk.closed);
  const [shown, show] = useState(CLOSED_SHOWN);
  const more = async () => {
    if (shown >= items.length && cursor) await desk.loadClosed(true);
    show(shown + CLOSED_SHOWN);
  };
  return html`<section class="column closed-tables" aria-labelledby="closed-title">
    <header class="column-top"><h2 id="closed-title">${t("panel.closed")}</h2></header>
    <ul class="rows" onKeyDown=${arrows(".row")}>
      ${items.slice(0, shown).map((session) => html`<li key=${`${session.code}${session.opened_at}`}>
        <button type="button" class="row" disabled=${!session.code} onClick=${() => onOpen(session)}>
          <span class="row-name"><bdi>${session.name}</bdi></span>
          <span class="row-says quiet">${t("panel.closed.at", { at: time(session.closed_at, desk.zone) })}</span>
        </button></li>`)}
    </ul>
    ${loaded && items.length === 0 && html`<p class="empty quiet">${t("panel.closed.none")}</p>`}
    ${(shown < items.length || cursor) && html`<button type="button" class="button small" onClick=${more}>${t("panel.more")}</button>`}
  </section>`;
}
