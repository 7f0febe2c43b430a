//! Orders as CSV (RFC 4180), streamed in batches: memory never holds more than one batch of orders.

use std::{borrow::Cow, io, iter};

use domain::{
    ids::OrderId,
    options::ChosenOption,
    order::{Item, Order, rfc3339},
};
use futures_util::{StreamExt, stream};
use ledger::Ledger;
use poem::Body;

/// Maximum number of orders in one file; a cursor leads to the rest.
pub(super) const MAX_ORDERS: u32 = 100_000;
/// Number of orders read in one batch.
const BATCH_SIZE: usize = 256;

const COLUMNS: [&str; 22] = [
    "id",
    "number",
    "store_id",
    "session",
    "reference",
    "fulfilment",
    "status",
    "reason",
    "created_at",
    "placed_at",
    "accepted_at",
    "ended_at",
    "total_amount",
    "currency",
    "items",
    "customer_name",
    "customer_phone",
    "customer_email",
    "customer_address",
    "user_note",
    "wanted_at",
    "ready_at",
];

/// Tells Excel that a file is UTF-8; it takes one without for the computer's own code page.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Streams the orders as CSV, after a byte-order mark if `bom` is true. A read error aborts the stream, so that nobody takes a partial file for a complete one.
pub(super) fn table(ledger: Ledger, orders: Vec<OrderId>, bom: bool) -> Body {
    let mark = stream::iter(bom.then(|| Ok(BYTE_ORDER_MARK.to_vec())));
    let pieces: Vec<Vec<OrderId>> = orders.chunks(BATCH_SIZE).map(<[OrderId]>::to_vec).collect();
    let names = stream::iter([lines([COLUMNS.map(Cow::Borrowed)])]);
    let lines = stream::iter(pieces).then(move |ids| {
        let ledger = ledger.clone();
        async move {
            let orders = ledger.orders_by_id(&ids).await.map_err(|error| {
                tracing::error!(%error, "CSV export of orders aborted: {error}");
                io::Error::other("reading the orders failed")
            })?;
            lines(orders.iter().map(fields))
        }
    });
    Body::from_bytes_stream(mark.chain(names).chain(lines))
}

fn fields(order: &Order) -> [Cow<'_, str>; 22] {
    fn text(text: Option<&String>) -> Cow<'_, str> {
        text.map_or(Cow::Borrowed(""), |text| Cow::Borrowed(text))
    }
    let at = |at: Option<_>| Cow::Owned(at.map(rfc3339).unwrap_or_default());
    let customer = &order.customer;
    [
        order.id.to_string().into(),
        order
            .number
            .map_or_else(String::new, |number| number.to_string())
            .into(),
        order.store_id.to_string().into(),
        text(order.session.as_ref().map(|session| &session.name)),
        text(order.reference.as_ref()),
        order.fulfilment.as_str().into(),
        order.status.as_str().into(),
        text(order.reason.as_ref()),
        at(Some(order.created_at)),
        at(order.placed_at),
        at(order.accepted_at),
        at(order.ended_at),
        order.total.amount.to_string().into(),
        order.total.currency.to_string().into(),
        items(&order.items).into(),
        text(customer.name.as_ref()),
        text(customer.phone.as_ref()),
        text(customer.email.as_ref()),
        text(customer.address.as_ref()),
        text(order.user_note.as_ref()),
        at(order.timing.wanted_at),
        at(order.timing.ready_at),
    ]
}

fn items(items: &[Item]) -> String {
    let texts: Vec<String> = items
        .iter()
        .map(|item| {
            let one = format!("{} x {}", item.quantity, item.name);
            if item.options.is_empty() {
                return one;
            }
            let options: Vec<String> = item.options.iter().map(option).collect();
            format!("{one} ({})", options.join(", "))
        })
        .collect();
    texts.join("; ")
}

fn option(option: &ChosenOption) -> String {
    match option.quantity {
        1 => option.name.clone(),
        more => format!("{more} x {}", option.name),
    }
}

fn lines<'o, const N: usize>(
    records: impl IntoIterator<Item = [Cow<'o, str>; N]>,
) -> io::Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    for record in records {
        writer.write_record(record.map(|field| escape_formulas(&field).into_owned()))?;
    }
    writer.into_inner().map_err(csv::IntoInnerError::into_error)
}

/// Characters that start a formula, including the full-width forms that some keyboards write.
const FORMULA_STARTS: [char; 8] = [
    '=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
];
/// Leading characters that are skipped before a formula.
const LEADING_BLANKS: [char; 3] = ['\t', '\r', '\n'];
/// Characters that start a new cell in the middle of a text if a spreadsheet splits by semicolons or tabs, and so
/// ignores our quotes. It does so where a comma is the decimal separator.
const CELL_SEPARATORS: [char; 4] = [';', '\t', '\r', '\n'];

/// Escapes text written by guests and clients, so that a spreadsheet does not run it (OWASP, CSV injection).
fn escape_formulas(field: &str) -> Cow<'_, str> {
    let mut written = String::new();
    let mut from = 0;
    for at in cell_starts(field) {
        let cell = field[at..].trim_start_matches('"');
        let is_formula = cell.starts_with(FORMULA_STARTS) && !is_phone(cell);
        if is_formula || (at == 0 && cell.starts_with(LEADING_BLANKS)) {
            written.push_str(&field[from..at]);
            written.push('\'');
            from = at;
        }
    }
    if written.is_empty() {
        return field.into();
    }
    written.push_str(&field[from..]);
    written.into()
}

/// Returns true for `+49 40 123`: a number at most, which runs nothing.
fn is_phone(cell: &str) -> bool {
    let cell = cell.split(CELL_SEPARATORS).next().unwrap_or_default();
    cell.strip_prefix('+').is_some_and(|digits| {
        digits.starts_with(|c: char| c.is_ascii_digit())
            && digits.chars().all(|c| c.is_ascii_digit() || c == ' ')
    })
}

/// Returns the positions where a spreadsheet may see a cell begin.
fn cell_starts(field: &str) -> impl Iterator<Item = usize> {
    let splits = field.match_indices(CELL_SEPARATORS);
    iter::once(0).chain(splits.map(|(at, split)| at + split.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line<const N: usize>(fields: [&str; N]) -> String {
        String::from_utf8(lines([fields.map(Cow::Borrowed)]).unwrap()).unwrap()
    }

    #[test]
    fn a_field_with_commas_quotes_or_line_breaks_is_quoted() {
        let fields = ["plain", "a,b", "a \"b\"", "two\r\nlines", ""];
        let expected = "plain,\"a,b\",\"a \"\"b\"\"\",\"two\r\nlines\",\r\n";
        assert_eq!(line(fields), expected);
    }

    #[test]
    fn what_would_run_where_semicolons_part_cells_is_only_a_text() {
        for (written, harmless_one) in [
            ("a;=1", "a;'=1"),
            ("a;b;\"=1", "a;b;'\"=1"),
            ("a\t@b", "a\t'@b"),
            ("first\r\n=1", "first\r\n'=1"),
            ("é;＝1;-2", "é;'＝1;'-2"),
            ("\"=1", "'\"=1"),
            (";;=1", ";;'=1"),
        ] {
            assert_eq!(escape_formulas(written), harmless_one, "{written:?}");
        }
    }

    #[test]
    fn what_a_spreadsheet_would_run_is_only_a_text() {
        for begin in ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"] {
            let field = format!("{begin}HYPERLINK(1)");
            assert_eq!(escape_formulas(&field), format!("'{field}"));
        }
        for (sum, harmless) in [
            ("+49-40-1", "'+49-40-1"),
            ("+49 40/1", "'+49 40/1"),
            ("+1+2", "'+1+2"),
            ("+ 1", "'+ 1"),
            ("+", "'+"),
            ("+49 (0)40", "'+49 (0)40"),
            ("+49 40;=1", "+49 40;'=1"),
            ("-49 40", "'-49 40"),
        ] {
            assert_eq!(escape_formulas(sum), harmless, "{sum:?}");
        }
        for fine in [
            "+49 40 123456",
            "+14155550123",
            "call me;+49 40 1",
            "2 x Tea; 1 x Cake",
            "'=1",
            " =1",
            "Anna-Lena",
            "a;b",
            "two\r\nlines",
            ";",
            "\"",
            "",
        ] {
            assert_eq!(escape_formulas(fine), fine);
        }
        assert_eq!(line(["=1,2"]), "\"'=1,2\"\r\n");
    }
}
