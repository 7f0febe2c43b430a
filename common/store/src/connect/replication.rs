//! Warnings at startup about a set of servers of which one may take over without the last commits, or may be read
//! before it has them.

use std::collections::HashMap;

use sqlx::{Executor, MySqlPool};

/// A source that waits shorter than this for a replica goes on without one soon.
const SHORT_TIMEOUT_MS: u64 = 3_600_000;

/// Warns of everything that [`dangers`] finds, as far as our rights allow us to see it. `hosts` is the number of hosts in
/// `database.url`: the others follow this one, in whichever way.
pub(super) async fn warn_of_lost_commits(pool: &MySqlPool, hosts: usize) {
    let variables = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('gtid_mode', 'wsrep_on', 'wsrep_sync_wait', \
         'group_replication_group_name', 'group_replication_consistency', 'group_replication_single_primary_mode') \
         OR Variable_name LIKE 'rpl\\_semi\\_sync\\_%'";
    let status = "SHOW GLOBAL STATUS WHERE Variable_name IN ('Slaves_connected', 'Rpl_semi_sync_source_status', \
         'Rpl_semi_sync_master_status', 'wsrep_cluster_size')";
    let mut named: HashMap<String, String> = HashMap::new();
    for shown in [variables, status] {
        let rows: sqlx::Result<Vec<(String, String)>> = sqlx::query_as(shown).fetch_all(pool).await;
        let rows = rows.unwrap_or_default().into_iter();
        // The same setting was named after masters and slaves before.
        named.extend(rows.map(|(name, value)| (current_name(&name), value)));
    }
    // MySQL tells it only to who may replicate; MariaDB does not know this statement, and tells everybody by a status.
    let listed = pool.fetch_all("SHOW REPLICAS").await;
    let listed = listed.ok().map(|replicas| replicas.len() as u64);
    let connected = named
        .get("replicas_connected")
        .and_then(|count| count.parse().ok());
    let replicas = followers(listed.or(connected), hosts);
    for danger in dangers(&named, replicas, hosts > 1) {
        tracing::warn!("{danger} (docs/operations.md, \"After a takeover or a restore\")");
    }
}

/// Returns the number of servers that may take over: those that the server knows, and the other hosts of the list.
fn followers(replicas: Option<u64>, hosts: usize) -> Option<u64> {
    let others = u64::try_from(hosts).unwrap_or(u64::MAX).saturating_sub(1);
    if others == 0 {
        return replicas;
    }
    Some(replicas.unwrap_or(0).max(others))
}

fn current_name(name: &str) -> String {
    let name = name
        .to_ascii_lowercase()
        .replace("slaves_", "replicas_")
        .replace("_master_", "_source_")
        .replace("_slave_", "_replica_");
    match name.strip_suffix("_slave") {
        Some(before) => format!("{before}_replica"),
        None => name,
    }
}

/// Returns what could lose commits, or show a ledger without the last ones. `replicas` is the number of replicas of this
/// server, if it can be known. With `is_list`, `database.url` names the hosts, so that all processes use the same one.
pub(super) fn dangers(
    named: &HashMap<String, String>,
    replicas: Option<u64>,
    is_list: bool,
) -> Vec<String> {
    let value = |name: &str| named.get(name).map_or("", String::as_str);
    let is_on = |name: &str| matches!(value(name), "ON" | "1");
    let mut dangers = Vec::new();
    if is_on("wsrep_on") {
        let waits: u32 = value("wsrep_sync_wait").parse().unwrap_or(0);
        if waits & 1 == 0 && !is_list {
            dangers.push(format!(
                "wsrep_sync_wait is {waits}: another node of the cluster may be read before it has the last commits, and \
                 that looks like a database that lost them; set it to 1, or let all processes use one node"
            ));
        }
        if value("wsrep_cluster_size") == "1" {
            dangers.push(
                "wsrep_cluster_size is 1: a commit is on no other machine until another node joins"
                    .to_owned(),
            );
        }
        return dangers;
    }
    if !value("group_replication_group_name").is_empty() {
        if value("group_replication_consistency") == "EVENTUAL" {
            dangers.push(
                "group_replication_consistency is EVENTUAL: a new primary may be read before it has the last commits; set \
                 it to BEFORE_ON_PRIMARY_FAILOVER"
                    .to_owned(),
            );
        }
        if value("group_replication_single_primary_mode") == "OFF" && !is_list {
            dangers.push(
                "group_replication_single_primary_mode is OFF: row locks hold within one server only; let all processes \
                 use one server"
                    .to_owned(),
            );
        }
        return dangers;
    }
    let set = match replicas {
        Some(0) => return dangers,
        Some(1) => "one replica follows this server".to_owned(),
        Some(count) => format!("{count} replicas follow this server"),
        None if is_on("gtid_mode") => {
            "this server may have replicas (only an account with REPLICATION SLAVE can see them)"
                .to_owned()
        }
        None => return dangers,
    };
    if !is_on("rpl_semi_sync_source_enabled") {
        dangers.push(format!(
            "{set} and semi-synchronous replication is off: one that takes over may lack the last commits"
        ));
        return dangers;
    }
    if value("rpl_semi_sync_source_status") == "OFF" {
        dangers.push(format!(
            "{set} and semi-synchronous replication is but waits for none of them now: one that takes over may lack \
             the last commits"
        ));
    }
    let timeout_ms: u64 = value("rpl_semi_sync_source_timeout")
        .parse()
        .unwrap_or(u64::MAX);
    if timeout_ms < SHORT_TIMEOUT_MS {
        dangers.push(format!(
            "rpl_semi_sync_source_timeout is {timeout_ms} ms: after that a commit is confirmed although no replica has it"
        ));
    }
    if value("rpl_semi_sync_source_wait_no_replica") == "OFF" {
        dangers.push(
            "rpl_semi_sync_source_wait_no_replica is OFF: without enough replicas a commit is confirmed although none has \
             it; set it to ON"
                .to_owned(),
        );
    }
    if value("rpl_semi_sync_source_wait_point") == "AFTER_COMMIT" {
        dangers.push(
            "rpl_semi_sync_source_wait_point is AFTER_COMMIT: others read a commit before a replica has it; set it to \
             AFTER_SYNC"
                .to_owned(),
        );
    }
    dangers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fresh_mysql;

    fn found(named: &[(&str, &str)], replicas: Option<u64>) -> Vec<String> {
        found_in(named, replicas, false)
    }

    fn found_in(named: &[(&str, &str)], replicas: Option<u64>, is_list: bool) -> Vec<String> {
        let owned = named
            .iter()
            .map(|(name, value)| (current_name(name), (*value).to_owned()));
        let dangers = dangers(&owned.collect(), replicas, is_list).into_iter();
        // Up to the first colon, or the whole.
        dangers
            .map(|danger| danger.split(':').next().unwrap_or_default().to_owned())
            .collect()
    }

    #[test]
    fn a_server_alone_is_no_danger() {
        assert_eq!(found(&[], None), [""; 0]);
        assert_eq!(
            found(&[("gtid_mode", "OFF"), ("wsrep_on", "OFF")], None),
            [""; 0]
        );
        assert_eq!(found(&[("gtid_mode", "ON")], Some(0)), [""; 0]);
        assert_eq!(
            found(&[("group_replication_group_name", "")], Some(0)),
            [""; 0]
        );
    }

    #[test]
    fn replicas_that_nobody_waits_for_are_one() {
        let off = "one replica follows this server and semi-synchronous replication is off";
        assert_eq!(
            found(&[("rpl_semi_sync_master_enabled", "OFF")], Some(1)),
            [off]
        );
        let off = "2 replicas follow this server and semi-synchronous replication is off";
        assert_eq!(found(&[], Some(2)), [off]);
        let off = "this server may have replicas (only an account with REPLICATION SLAVE can see them) and semi-synchronous replication is off";
        assert_eq!(found(&[("gtid_mode", "ON")], None), [off]);
    }

    #[test]
    fn a_wait_that_ends_or_comes_too_late_is_one() {
        let on = ("rpl_semi_sync_source_enabled", "ON");
        let long = ("rpl_semi_sync_source_timeout", "1000000000000000000");
        assert_eq!(
            found(&[on, long, ("Rpl_semi_sync_source_status", "ON")], Some(1)),
            [""; 0]
        );
        assert_eq!(
            found(&[on, ("rpl_semi_sync_source_timeout", "10000")], Some(1)),
            ["rpl_semi_sync_source_timeout is 10000 ms"]
        );
        let old_names = [
            ("rpl_semi_sync_master_enabled", "ON"),
            ("rpl_semi_sync_master_timeout", "1000000000000000000"),
            ("rpl_semi_sync_master_wait_point", "AFTER_COMMIT"),
            ("Rpl_semi_sync_master_status", "OFF"),
        ];
        assert_eq!(
            found(&old_names, Some(1)),
            [
                "one replica follows this server and semi-synchronous replication is but waits for none of them now",
                "rpl_semi_sync_source_wait_point is AFTER_COMMIT",
            ]
        );
    }

    #[test]
    fn a_cluster_that_is_read_too_early_is_one() {
        let cluster = ("wsrep_on", "ON");
        for (waits, danger) in [("0", true), ("2", true), ("1", false), ("7", false)] {
            let found = found(&[cluster, ("wsrep_sync_wait", waits)], Some(2));
            assert_eq!(found.len(), usize::from(danger), "{waits}: {found:?}");
        }
        let group = ("group_replication_group_name", "g");
        let eventual = ("group_replication_consistency", "EVENTUAL");
        let many = ("group_replication_single_primary_mode", "OFF");
        assert_eq!(found(&[group, eventual, many], None).len(), 2);
        let before = (
            "group_replication_consistency",
            "BEFORE_ON_PRIMARY_FAILOVER",
        );
        assert_eq!(found(&[group, before], Some(2)), [""; 0]);
    }

    #[test]
    fn a_list_of_hosts_has_followers_and_one_node_that_all_use() {
        assert_eq!(followers(None, 1), None);
        assert_eq!(followers(Some(0), 1), Some(0));
        assert_eq!(followers(Some(0), 3), Some(2));
        assert_eq!(followers(Some(5), 3), Some(5));
        let off = "2 replicas follow this server and semi-synchronous replication is off";
        assert_eq!(found_in(&[], followers(None, 3), true), [off]);
        let cluster = [("wsrep_on", "ON"), ("wsrep_sync_wait", "0")];
        let sized = |size| [cluster[0], cluster[1], ("wsrep_cluster_size", size)];
        assert_eq!(found_in(&sized("3"), Some(2), true), [""; 0]);
        assert_eq!(
            found_in(&sized("1"), Some(2), true),
            ["wsrep_cluster_size is 1"]
        );
    }

    #[test]
    fn a_semi_synchronous_server_that_goes_on_without_replicas_is_a_danger() {
        let on = ("rpl_semi_sync_master_enabled", "ON");
        let long = ("rpl_semi_sync_master_timeout", "1000000000000000000");
        let old = ("rpl_semi_sync_master_wait_no_slave", "OFF");
        let new = ("rpl_semi_sync_source_wait_no_replica", "OFF");
        for off in [old, new] {
            assert_eq!(
                found(&[on, long, off], Some(1)),
                ["rpl_semi_sync_source_wait_no_replica is OFF"]
            );
        }
    }

    /// Covers that a server's names are the ones that are asked for, and that ours are enough rights.
    #[tokio::test]
    async fn a_server_is_asked_without_an_error() {
        let Some(fresh) = fresh_mysql().await else {
            return;
        };
        let crate::Db::MySql(hosts) = &fresh.db else {
            unreachable!("it was asked for");
        };
        let writers = hosts.writers();
        warn_of_lost_commits(writers, 3).await;
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SHOW GLOBAL STATUS WHERE Variable_name IN ('Slaves_connected', 'Uptime')",
        )
        .fetch_all(writers)
        .await
        .unwrap();
        assert!(!rows.is_empty());
        fresh.end().await;
    }
}
