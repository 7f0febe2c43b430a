//! Asks a host of a list if it takes writes, and judges its answer.

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use sqlx::{ConnectOptions, Executor, MySqlConnection, Row, mysql::MySqlConnectOptions};
use tokio::time::timeout;

use super::{checks::weakness, is_on};
use crate::epochs::home_of;

/// Local state of a Galera node that has all commits and gives no other node its data.
const SYNCED: &str = "4";
/// Number of times that a host is asked before it counts as one that does not answer: a connection may have died alone.
const TRIES: usize = 2;
/// Limits how long the server keeps a connection of a machine that vanished. Longer than the interval of the questions.
const SESSION: &str = "SET SESSION wait_timeout = 30";
const VARIABLES: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('read_only', 'super_read_only', 'innodb_read_only', \
     'wsrep_on', 'group_replication_group_name', 'innodb_flush_log_at_trx_commit', 'sync_binlog', 'log_bin', \
     'server_uuid', 'server_uid', 'server_id', 'hostname', 'port')";
/// Variables that may change while the server runs. Each server is asked for those that it has.
const CHANGING: [&str; 6] = [
    "read_only",
    "super_read_only",
    "innodb_read_only",
    "wsrep_on",
    "innodb_flush_log_at_trx_commit",
    "sync_binlog",
];
const MEMBERS: &str = "SELECT CAST(MEMBER_ID = @@server_uuid AS SIGNED), CAST(MEMBER_STATE AS CHAR), \
     CAST(MEMBER_ROLE AS CHAR) FROM performance_schema.replication_group_members";

/// A host that takes writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fit {
    /// Identity of its cluster, or its own if it is in none.
    pub(super) set: String,
    pub(super) is_galera: bool,
    /// Time for which the server has run, as it said when the connection was opened.
    pub(super) uptime: Duration,
}

/// A host that takes no writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unfit {
    pub(super) why: String,
    /// True if it did not answer, so that statements under way may never be answered either.
    pub(super) is_silent: bool,
}

/// Member of a Group Replication, as the asked server sees it.
#[derive(Clone, Debug)]
struct Member {
    is_asked: bool,
    state: String,
    role: String,
}

/// Asks one host, over a connection of its own that is kept. It holds the password.
pub(super) struct Prober {
    options: MySqlConnectOptions,
    /// Timeout of each try.
    timeout: Duration,
    allow_weak_durability: bool,
    kept: Option<Kept>,
}

struct Kept {
    connection: MySqlConnection,
    /// Statement that asks for the variables that may change.
    select: String,
    changing: Vec<&'static str>,
    named: HashMap<String, String>,
    opened_at: Instant,
    uptime: Duration,
}

impl Prober {
    pub(super) fn new(
        options: MySqlConnectOptions,
        timeout: Duration,
        allow_weak_durability: bool,
    ) -> Self {
        Self {
            options,
            timeout,
            allow_weak_durability,
            kept: None,
        }
    }

    /// Asks the host, once more over a new connection if it does not answer.
    pub(super) async fn ask(&mut self) -> Result<Fit, Unfit> {
        let mut unfit = Unfit {
            why: String::new(),
            is_silent: true,
        };
        for _ in 0..TRIES {
            match timeout(self.timeout, self.try_ask()).await {
                Ok(Ok(judged)) => {
                    return judged.map_err(|why| Unfit {
                        why,
                        is_silent: false,
                    });
                }
                Ok(Err(error)) => {
                    unfit.is_silent = !matches!(error, sqlx::Error::Database(_));
                    unfit.why = error.to_string();
                }
                Err(_) => {
                    unfit.is_silent = true;
                    unfit.why = format!("no answer within {} ms", self.timeout.as_millis());
                }
            }
        }
        Err(unfit)
    }

    /// Asks once. A connection that fails, or whose question is given up, is not kept.
    async fn try_ask(&mut self) -> sqlx::Result<Result<Fit, String>> {
        let mut kept = match self.kept.take() {
            Some(kept) => kept,
            None => Kept::open(&self.options).await?,
        };
        let members = kept.refresh().await?;
        let judged = judge(&kept.named, members.as_deref(), self.allow_weak_durability);
        let fit = judged.map(|set| Fit {
            set,
            is_galera: is_named_on(&kept.named, "wsrep_on"),
            uptime: kept.uptime + kept.opened_at.elapsed(),
        });
        self.kept = Some(kept);
        Ok(fit)
    }
}

impl Kept {
    async fn open(options: &MySqlConnectOptions) -> sqlx::Result<Self> {
        let mut connection = options.connect().await?;
        connection.execute(SESSION).await?;
        let named = named(&mut connection, VARIABLES).await?;
        let uptime = self::named(&mut connection, "SHOW GLOBAL STATUS LIKE 'Uptime'").await?;
        let uptime = uptime.values().find_map(|seconds| seconds.parse().ok());
        let changing: Vec<&str> = CHANGING
            .into_iter()
            .filter(|name| named.contains_key(*name))
            .collect();
        let columns = changing
            .iter()
            .map(|name| format!("CAST(@@global.{name} AS CHAR)"));
        Ok(Self {
            select: format!("SELECT {}", columns.collect::<Vec<_>>().join(", ")),
            changing,
            named,
            connection,
            opened_at: Instant::now(),
            uptime: Duration::from_secs(uptime.unwrap_or_default()),
        })
    }

    /// Asks for everything that may have changed; returns the members of its Group Replication, if it is in one.
    async fn refresh(&mut self) -> sqlx::Result<Option<Vec<Member>>> {
        let row = sqlx::query(&self.select)
            .fetch_one(&mut self.connection)
            .await?;
        for (at, name) in self.changing.iter().enumerate() {
            self.named.insert((*name).to_owned(), row.try_get(at)?);
        }
        if is_named_on(&self.named, "wsrep_on") {
            let status = named(&mut self.connection, "SHOW STATUS LIKE 'wsrep\\_%'").await?;
            self.named.extend(status);
        }
        if value(&self.named, "group_replication_group_name").is_empty() {
            return Ok(None);
        }
        let rows: Vec<(i64, String, String)> = sqlx::query_as(MEMBERS)
            .fetch_all(&mut self.connection)
            .await?;
        let members = rows.into_iter().map(|(is_asked, state, role)| Member {
            is_asked: is_asked == 1,
            state,
            role,
        });
        Ok(Some(members.collect()))
    }
}

async fn named(
    connection: &mut MySqlConnection,
    shown: &str,
) -> sqlx::Result<HashMap<String, String>> {
    let rows: Vec<(String, String)> = sqlx::query_as(shown).fetch_all(connection).await?;
    let rows = rows.into_iter();
    Ok(rows
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .collect())
}

fn value<'n>(named: &'n HashMap<String, String>, name: &str) -> &'n str {
    named.get(name).map_or("", String::as_str)
}

fn is_named_on(named: &HashMap<String, String>, name: &str) -> bool {
    named.get(name).is_some_and(|setting| is_on(setting))
}

/// Returns the identity of a host's set if the host takes writes and keeps them, or else the reason why not.
fn judge(
    named: &HashMap<String, String>,
    members: Option<&[Member]>,
    allow_weak_durability: bool,
) -> Result<String, String> {
    if is_named_on(named, "wsrep_on") {
        judge_galera(named)?;
    }
    if let Some(members) = members {
        judge_group(members)?;
    }
    for name in ["read_only", "super_read_only", "innodb_read_only"] {
        if is_named_on(named, name) {
            return Err(format!("{name} is on"));
        }
    }
    let number = |name: &str| value(named, name).parse().unwrap_or(1);
    let weak = weakness(
        number("innodb_flush_log_at_trx_commit"),
        i64::from(is_named_on(named, "log_bin")),
        number("sync_binlog"),
    );
    match weak {
        Some(weak) if !allow_weak_durability => Err(format!(
            "{weak}, and database.allow_weak_durability is not set"
        )),
        _ => Ok(home_of(named)),
    }
}

fn judge_galera(named: &HashMap<String, String>) -> Result<(), String> {
    let ready = value(named, "wsrep_ready");
    if ready != "ON" {
        return Err(format!("wsrep_ready is {ready:?}"));
    }
    let status = value(named, "wsrep_cluster_status");
    if status != "Primary" {
        return Err(format!("wsrep_cluster_status is {status:?}"));
    }
    if value(named, "wsrep_local_state") != SYNCED {
        let state = value(named, "wsrep_local_state_comment");
        return Err(format!("wsrep_local_state is {state:?}"));
    }
    Ok(())
}

/// Checks that a member of a group is its primary, and that the group has a majority: without one, a commit hangs.
fn judge_group(members: &[Member]) -> Result<(), String> {
    let Some(asked) = members.iter().find(|member| member.is_asked) else {
        return Err("it is in no group (performance_schema.replication_group_members)".to_owned());
    };
    let (state, role) = (&asked.state, &asked.role);
    if state != "ONLINE" || role != "PRIMARY" {
        return Err(format!("it is {state} and {role:?} in its group"));
    }
    let reached = members
        .iter()
        .filter(|member| member.state != "UNREACHABLE")
        .count();
    if 2 * reached <= members.len() {
        let count = members.len();
        return Err(format!(
            "it reaches {reached} of {count} members of its group"
        ));
    }
    Ok(())
}
