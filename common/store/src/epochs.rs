//! The ledger's epoch: one row that is replaced when the ledger lost commits, or may have lost some.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::{
    error::Result, events::push_names, execute, fetch_optional, for_update, statements::Statement,
    tx::Tx,
};
use domain::ids::{EpochId, StreamId};

/// The epoch and where it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    pub id: EpochId,
    /// The server, or the cluster, on which it began: see [`home`].
    pub home: Vec<u8>,
}

/// Returns the epoch; `None` before any process has begun one.
pub async fn get(tx: &mut Tx) -> Result<Option<Epoch>> {
    let row: Option<(EpochId, Vec<u8>)> = fetch_optional!(tx, SELECT);
    Ok(row.map(|(id, home)| Epoch { id, home }))
}

/// Locks the row and returns the epoch.
pub async fn lock(tx: &mut Tx) -> Result<Option<Epoch>> {
    let sql = for_update!(tx, "SELECT epoch, home FROM ledger_epoch WHERE id = 1");
    let row: Option<(EpochId, Vec<u8>)> = fetch_optional!(tx, sql);
    Ok(row.map(|(id, home)| Epoch { id, home }))
}

const SELECT: &str = "SELECT epoch, home FROM ledger_epoch WHERE id = 1";

pub async fn insert(tx: &mut Tx, epoch: &Epoch, now: DateTime<Utc>) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO ledger_epoch (id, epoch, home, began_at) VALUES (1, ?, ?, ?)",
        epoch.id,
        &epoch.home[..],
        now
    );
    Ok(())
}

/// Replaces the epoch, whose row is locked.
pub async fn replace(tx: &mut Tx, epoch: &Epoch, now: DateTime<Utc>) -> Result<()> {
    execute!(
        tx,
        "UPDATE ledger_epoch SET epoch = ?, home = ?, began_at = ? WHERE id = 1",
        epoch.id,
        &epoch.home[..],
        now
    );
    Ok(())
}

/// Returns the times of those of these events that exist.
pub async fn times_of(
    tx: &mut Tx,
    events: &[(StreamId, i64)],
) -> Result<HashMap<(StreamId, i64), DateTime<Utc>>> {
    if events.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(StreamId, i64, DateTime<Utc>)> = {
        let mut query = Statement::new(tx, "SELECT stream_id, seq, at FROM events WHERE ");
        push_names(&mut query, events);
        query.fetch_all(tx).await?
    };
    let times = rows.into_iter();
    Ok(times.map(|(stream, seq, at)| ((stream, seq), at)).collect())
}

/// Returns the identity of the server on which this transaction runs, or of its cluster if no member of that loses
/// commits which another one has confirmed. `None` on SQLite: a file that was restored looks like any other.
pub async fn home(tx: &mut Tx) -> Result<Option<Vec<u8>>> {
    let Tx::MySql(tx, policy) = tx else {
        return Ok(None);
    };
    let asked = async {
        let named: Vec<(String, String)> = sqlx::query_as(
            "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('server_uuid', 'server_uid', 'server_id', 'hostname', \
             'port', 'wsrep_on', 'group_replication_group_name')",
        )
        .fetch_all(&mut **tx)
        .await?;
        let mut named: HashMap<String, String> = named.into_iter().collect();
        if named.get("wsrep_on").is_some_and(|on| on == "ON") {
            let cluster: Vec<(String, String)> = sqlx::query_as(
                "SHOW GLOBAL STATUS WHERE Variable_name = 'wsrep_cluster_state_uuid'",
            )
            .fetch_all(&mut **tx)
            .await?;
            named.extend(cluster);
        }
        Ok(named)
    };
    let named = policy.ask(asked).await?;
    Ok(Some(home_of(&named).into_bytes()))
}

/// Returns the best identity that a server's variables have. The id of a cluster stands before that of its members.
pub(crate) fn home_of(named: &HashMap<String, String>) -> String {
    let value = |name: &str| named.get(name).filter(|value| !value.is_empty());
    let unique = [
        "wsrep_cluster_state_uuid",
        "group_replication_group_name",
        "server_uuid",
        "server_uid",
    ];
    let (name, mut home) = unique
        .into_iter()
        .find_map(|name| Some((name, value(name)?.clone())))
        .unwrap_or_default();
    // MariaDB makes `server_uid` of the machine's network address, and a copied MySQL has the same `server_uuid`.
    if !matches!(
        name,
        "wsrep_cluster_state_uuid" | "group_replication_group_name"
    ) {
        for name in ["server_id", "hostname", "port"] {
            home.push('/');
            home.push_str(value(name).map_or("", String::as_str));
        }
    }
    home.truncate(255);
    home
}

#[cfg(test)]
mod tests {
    use each_database::each_database;
    use uuid::Uuid;

    use super::*;
    use crate::{testing, testing::TestDb};

    #[test]
    fn a_server_is_known_by_itself_and_a_cluster_by_its_own_name() {
        let home = |named: &[(&str, &str)]| {
            let owned = named
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            home_of(&owned.collect())
        };
        let (host, port, id) = (("hostname", "db1"), ("port", "3306"), ("server_id", "7"));
        assert_eq!(home(&[host, port, id]), "/7/db1/3306");
        assert_eq!(
            home(&[("server_uuid", "u"), host, port, id]),
            "u/7/db1/3306"
        );
        assert_eq!(home(&[("server_uid", "m"), host, port, id]), "m/7/db1/3306");
        let group = ("group_replication_group_name", "g");
        assert_eq!(home(&[("server_uuid", "u"), group, host]), "g");
        let no_group = ("group_replication_group_name", "");
        assert_eq!(home(&[("server_uuid", "u"), no_group, host]), "u//db1/");
        let cluster = ("wsrep_cluster_state_uuid", "c");
        assert_eq!(home(&[("server_uid", "m"), cluster, host]), "c");
    }

    #[each_database(store)]
    async fn an_epoch_is_kept_and_replaced_and_a_server_stays_the_same(house: TestDb) {
        let now = house.clock.now();
        let epoch = |n: u128, home: &str| Epoch {
            id: Uuid::from_u128(n).into(),
            home: home.as_bytes().to_vec(),
        };
        let mut tx = house.db.begin().await.unwrap();
        assert_eq!(get(&mut tx).await.unwrap(), None);
        assert_eq!(lock(&mut tx).await.unwrap(), None);
        insert(&mut tx, &epoch(1, "a"), now).await.unwrap();
        assert_eq!(lock(&mut tx).await.unwrap(), Some(epoch(1, "a")));
        replace(&mut tx, &epoch(2, "b"), now).await.unwrap();
        assert_eq!(get(&mut tx).await.unwrap(), Some(epoch(2, "b")));
        let here = home(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
        let mut again = house.db.read().await.unwrap();
        assert_eq!(home(&mut again).await.unwrap(), here);
        assert_eq!(here.is_some(), matches!(again, Tx::MySql(..)));
        assert!(here.is_none_or(|here| here.len() > 10));
    }

    #[each_database(store)]
    async fn the_times_of_events_are_those_that_were_written(house: TestDb) {
        let mut tx = house.db.begin().await.unwrap();
        let statement = "INSERT INTO events (stream_id, seq, store_id, order_id, kind, at, data) VALUES \
             (x'00000000000000000000000000000001', 3, x'00000000000000000000000000000002', NULL, 'store.paused', \
              '2026-11-20T12:00:00.123456+00:00', '{}')";
        let mysql = "INSERT INTO events (stream_id, seq, store_id, order_id, kind, at, data) VALUES \
             (x'00000000000000000000000000000001', 3, x'00000000000000000000000000000002', NULL, 'store.paused', \
              '2026-11-20 12:00:00.123456', '{}')";
        let statement = tx.pick(mysql, statement);
        testing::run(&mut tx, statement).await.unwrap();
        let stream: StreamId = Uuid::from_u128(1).into();
        let asked = [(stream, 2), (stream, 3), (stream, 4)];
        let times = times_of(&mut tx, &asked).await.unwrap();
        let at = "2026-11-20T12:00:00.123456Z".parse().unwrap();
        assert_eq!(times, HashMap::from([((stream, 3), at)]));
        assert!(times_of(&mut tx, &[]).await.unwrap().is_empty());
    }
}
