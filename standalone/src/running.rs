//! Text printed once everything runs: addresses, example commands, and the demonstration's logins.

use std::fmt;

use runtime::config::program;

use crate::demo::{Demo, Login};

/// Text for people on standard output; logs go to standard error.
pub(crate) struct Running<'a> {
    pub(crate) url: &'a str,
    pub(crate) database: String,
    pub(crate) demo_text: Option<DemoText<'a>>,
}

/// Part of the text about the demonstration.
pub(crate) struct DemoText<'a> {
    /// Session code of the demonstration's table.
    code: String,
    body: String,
    /// Command that starts this program from another terminal in this directory.
    program: String,
    logins: &'a [Login],
}

impl<'a> DemoText<'a> {
    pub(crate) async fn of(demo: &'a Demo) -> anyhow::Result<Self> {
        let (code, product) = demo.first_order().await?;
        let product = product.map_or_else(|| "…".to_owned(), |product| product.to_string());
        Ok(Self {
            code,
            body: format!(r#"{{"items":[{{"product_id":"{product}","quantity":1}}]}}"#),
            program: program("expediter"),
            logins: demo.logins(),
        })
    }
}

impl fmt::Display for Running<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url;
        writeln!(f, "Expediter {} is running.", env!("CARGO_PKG_VERSION"))?;
        if self.demo_text.is_some() {
            writeln!(f, "  watch       {url}/")?;
        }
        writeln!(f, "  API docs    {url}/docs")?;
        writeln!(f, "  readiness   {url}/readyz")?;
        writeln!(f, "  metrics     {url}/metrics")?;
        writeln!(f, "  database    {}", self.database)?;
        if let Some(demo_text) = &self.demo_text {
            demo_text.write(url, f)?;
        }
        write!(f, "Ctrl-C stops it; accepted orders are kept.")
    }
}

impl DemoText<'_> {
    fn write(&self, url: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nPlace an order and watch it:")?;
        writeln!(
            f,
            "  curl -s {url}/api/v1/sessions/{}/orders -H 'content-type: application/json' -d '{}'",
            self.code, self.body
        )?;
        writeln!(
            f,
            "Or, in another terminal, with every step printed: {} demo-order --url {url}",
            self.program
        )?;
        writeln!(
            f,
            "\nSign in at {url}/api/v1 with Basic or a token (printed at every start, valid only here):"
        )?;
        for login in self.logins {
            writeln!(f, "  {:<10}  {}", login.username, login.password)?;
        }
        writeln!(f)
    }
}
