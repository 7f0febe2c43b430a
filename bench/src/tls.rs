//! Section 7: large statements over TLS, measured in turns with the same ones in the clear, on one MySQL server.

use std::{
    str::FromStr,
    time::{Duration, Instant},
};

use sqlx::{
    ConnectOptions, MySqlConnection,
    mysql::{MySqlConnectOptions, MySqlSslMode},
};
use store::testing::environment;

use crate::{
    effort::Effort,
    report::{Measured, Section, rate},
    samples::{Caller, closed_loop},
};

/// Lengths of the statements' argument. A TLS record has 16 KiB.
const KIB: [usize; 4] = [1, 20, 100, 1000];

/// Sends a text, of which the server answers the length.
#[derive(Debug)]
struct Asker {
    connection: MySqlConnection,
    text: String,
}

impl Caller for Asker {
    type Took = Duration;

    async fn once(&mut self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let length: i64 = sqlx::query_scalar("SELECT CAST(LENGTH(?) AS SIGNED)")
            .bind(&self.text)
            .fetch_one(&mut self.connection)
            .await?;
        anyhow::ensure!(usize::try_from(length)? == self.text.len());
        Ok(began.elapsed())
    }
}

/// Measures; returns nothing without a server that offers TLS, such as Debian's MariaDB.
pub(crate) async fn measure(effort: &Effort) -> anyhow::Result<Option<Section>> {
    let Some(url) = environment::test_mysql_url() else {
        return Ok(None);
    };
    let options = MySqlConnectOptions::from_str(&url)?;
    let secured = options.clone().ssl_mode(MySqlSslMode::Required);
    let clear = options.ssl_mode(MySqlSslMode::Disabled);
    if let Err(sqlx::Error::Tls(_)) = secured.connect().await {
        return Ok(None);
    }
    let mut rows = Vec::new();
    for kib in KIB {
        let (mut without, mut over) = (Measured::default(), Measured::default());
        for _ in 0..effort.rounds {
            for (measured, options) in [(&mut without, &clear), (&mut over, &secured)] {
                let asker = || async {
                    anyhow::Ok(Asker {
                        connection: options.connect().await?,
                        text: "x".repeat(kib * 1024),
                    })
                };
                closed_loop(vec![asker().await?], effort.warm_up).await?;
                measured.add(closed_loop(vec![asker().await?], effort.length).await?);
            }
        }
        let mut row = vec![format!("{kib} KiB")];
        for measured in [&without, &over] {
            row.push(rate(measured.rate_per_s()));
            row.extend(measured.spread());
        }
        row.push(over.ratio_to(&without));
        rows.push(row);
    }
    Ok(Some(Section {
        number: 7,
        title: "Large statements over TLS",
        about: "One connection sends a prepared statement with a text of the given length, whose length the server answers. \
                The limit, measured alternately: the same over a connection without TLS to the same server.",
        columns: vec![
            "argument",
            "in the clear, statements/s",
            "p50 ms",
            "p99 ms",
            "max ms",
            "over TLS, statements/s",
            "p50 ms",
            "p99 ms",
            "max ms",
            "÷ in the clear",
        ],
        rows,
        figures: Vec::new(),
        limiting_factor: "Encryption, in this process and in the server. A socket without TCP_NODELAY would show here: the \
                          last record of each statement would wait up to 40 ms for a delayed acknowledgement.",
    }))
}
