//! `#[each_database]`: makes one test per database out of one body.

use proc_macro::{Delimiter, TokenStream, TokenTree};

/// Turns `async fn name(house: TestLedger) { … }` into the tests `name::sqlite` and `name::mysql`.
///
/// The argument's type is anything that can be made from a reference to what `ledger::testing::on_sqlite` hands over:
/// the `TestLedger`, its `Ledger` or its `Db`. `#[each_database(store)]` takes `store::testing` in place of
/// `ledger::testing`. `#[each_database(mysql)]` makes `name::mysql` only, for what SQLite with its one writer cannot show.
///
/// ```ignore
/// #[each_database]
/// async fn a_name_is_unique_among_open_sessions(house: TestLedger) { … }
/// ```
#[proc_macro_attribute]
pub fn each_database(argument: TokenStream, item: TokenStream) -> TokenStream {
    let (support, databases) = match argument.to_string().as_str() {
        "" => ("ledger".to_owned(), BOTH),
        "mysql" => ("ledger".to_owned(), &BOTH[1..]),
        support => (support.to_owned(), BOTH),
    };
    match expand(&support, databases, item) {
        Some(tests) => tests,
        None => "compile_error!(\"#[each_database] takes an async fn with one argument\");"
            .parse()
            .expect("it is Rust"),
    }
}

const BOTH: &[&str] = &["sqlite", "mysql"];

fn expand(support: &str, databases: &[&str], item: TokenStream) -> Option<TokenStream> {
    let tokens: Vec<TokenTree> = item.into_iter().collect();
    // What stands before `async` are attributes: they are the tests', such as `#[ignore]`.
    let begin = tokens
        .iter()
        .position(|token| token.to_string() == "async")?;
    let (attributes, tokens) = tokens.split_at(begin);
    let attributes = TokenStream::from_iter(attributes.iter().cloned());
    let at = tokens.iter().position(|token| token.to_string() == "fn")?;
    let TokenTree::Ident(name) = tokens.get(at + 1)? else {
        return None;
    };
    let TokenTree::Group(arguments) = tokens.get(at + 2)? else {
        return None;
    };
    let mut argument = arguments.stream().into_iter();
    argument.find(|token| token.to_string() == ":")?;
    let mut asked: Vec<TokenTree> = argument.collect();
    asked.pop_if(|token| token.to_string() == ","); // rustfmt's, where the line is long
    let asked = TokenStream::from_iter(asked);
    let is_body = |token: &TokenTree| matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
    tokens.last().filter(|token| is_body(token))?;

    let test = |database: &&str| {
        format!(
            "{attributes} #[::tokio::test(flavor = \"multi_thread\", worker_threads = 2)]
            async fn {database}() {{
                ::{support}::testing::on_{database}(|given| async move {{
                    {name}(<{asked}>::from(&given)).await;
                }})
                .await;
            }}"
        )
    };
    let tests: String = databases.iter().map(test).collect();
    let mut tests: TokenStream = format!("mod {name} {{ use super::*; {tests} }}")
        .parse()
        .ok()?;
    tests.extend(tokens.iter().cloned());
    Some(tests)
}
