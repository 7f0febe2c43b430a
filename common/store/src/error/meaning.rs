//! The meaning of a database's error number: the numbers of MySQL, MariaDB, their clusters and proxies, and SQLite.

use sqlx::{error::DatabaseError, mysql::MySqlDatabaseError};

/// Meaning of an error of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The transaction lost against another one and can be tried again.
    LockLost,
    /// The server, its cluster or a proxy can't do it now.
    Unavailable,
    /// This server takes no writes, and another one may: it is read-only or has left its cluster.
    NotThisServer,
    /// The values are at fault: each try would fail the same way.
    RowFault,
    /// The program or the schema is at fault, or the error is one that we do not know.
    Unknown,
}

pub(super) fn meaning(error: &dyn DatabaseError) -> Meaning {
    if let Some(mysql) = error.try_downcast_ref::<MySqlDatabaseError>() {
        return of_mysql(mysql.number(), mysql.code().unwrap_or_default());
    }
    let code = error.code().and_then(|code| code.parse().ok());
    code.map_or(Meaning::Unknown, of_sqlite)
}

/// Numbers first, because most of MySQL's errors share the state HY000; then the class of the SQLSTATE.
fn of_mysql(number: u16, state: &str) -> Meaning {
    match number {
        // Lock timeout (also of a table's metadata), deadlock, NOWAIT (MariaDB says 1205), a row that changed since the
        // snapshot (MariaDB), a table that was altered meanwhile, a certification that another member won.
        1205 | 1213 | 3572 | 1020 | 1412 | 1615 | 1297 | 1613 | 1614 | 3058 | 3101 => {
            Meaning::LockLost
        }
        // `read_only`, a read-only transaction or table, InnoDB's own read-only mode; a Galera node without its
        // cluster; a member that is offline, leaves its group or can't be one of it.
        1036 | 1207 | 1290 | 1792 | 1836 | 1874 | 1047 | 3032 | 3092 | 3796 | 3799 => {
            Meaning::NotThisServer
        }
        // Too many connections or prepared statements, shutting down, killed, no rights any more, host blocked, disconnected for inactivity.
        1040 | 1042 | 1043 | 1044 | 1045 | 1053 | 1077 | 1079 | 1129 | 1130 | 1142 | 1143
        | 1203 | 1226 | 1227 | 1370 | 1461 | 1698 | 1820 | 1862 | 1873 | 1927 | 3118 | 3159
        | 3168 | 3169 | 4031 => Meaning::Unavailable,
        // Disk, memory, lock table or transactions used up, a file or an engine that fails, an interrupted statement, a
        // commit, rollback or binary log that fails, and what a proxy says for want of a better number.
        1015 | 1016 | 1021 | 1023 | 1024 | 1026 | 1030 | 1037 | 1038 | 1041 | 1105 | 1114
        | 1135 | 1180 | 1181 | 1194 | 1195 | 1206 | 1296 | 1317 | 1429 | 1598 | 1637 | 1815
        | 1835 | 1878 | 1969 | 3019 | 3024 | 3100 | 3170 | 3797 | 3798 => Meaning::Unavailable,
        // A statement that is larger than the server takes.
        1153 => Meaning::RowFault,
        // Errors of MySQL's client library, as a proxy that lost its server passes them on; and numbers that proxies
        // made up (ProxySQL, RDS Proxy, Azure, Vitess): no server uses these.
        2000..=2999 | 8000..=9999 => Meaning::Unavailable,
        // Not in a class of its own: no default, a wrong string or JSON value, a check constraint.
        1364 | 1366 | 3156 | 3819 | 4025 => Meaning::RowFault,
        _ => of_state(state),
    }
}

fn of_state(state: &str) -> Meaning {
    match state.get(..2) {
        // Connection exception, invalid authorization, operator intervention.
        Some("08" | "28" | "57" | "70") => Meaning::Unavailable,
        // Transaction rollback.
        Some("40") => Meaning::LockLost,
        // Invalid transaction state: read-only.
        Some("25") => Meaning::NotThisServer,
        // Truncated, too many rows, a data exception, a broken constraint, an error that a trigger raised.
        Some("01" | "21" | "22" | "23" | "44" | "45") => Meaning::RowFault,
        _ => Meaning::Unknown,
    }
}

/// Extended codes of SQLite keep the primary code in the lowest byte.
fn of_sqlite(code: i64) -> Meaning {
    match code & 0xff {
        // Busy, locked.
        5 | 6 => Meaning::LockLost,
        // Out of memory, interrupted, I/O error, disk full, cannot open, protocol, schema changed.
        7 | 9 | 10 | 13 | 14 | 15 | 17 => Meaning::Unavailable,
        8 => Meaning::NotThisServer,
        // Too big, constraint, mismatch.
        18..=20 => Meaning::RowFault,
        _ => Meaning::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_a_cluster_or_a_proxy_is_never_a_rows_fault() {
        for (number, state, meaning) in [
            // Group Replication: a hook that failed, a transaction that lost.
            (3100, "HY000", Meaning::Unavailable),
            (3101, "40000", Meaning::LockLost),
            // Its consistency: not in this state, a wait that failed, a plugin that stops.
            (3796, "HY000", Meaning::NotThisServer),
            (3797, "HY000", Meaning::Unavailable),
            (3798, "HY000", Meaning::Unavailable),
            (3799, "HY000", Meaning::NotThisServer),
            (3092, "HY000", Meaning::NotThisServer),
            // Galera: not prepared, a conflict, a commit that failed.
            (1047, "08S01", Meaning::NotThisServer),
            (1213, "40001", Meaning::LockLost),
            (1180, "HY000", Meaning::Unavailable),
            // Proxies: MaxScale and Vitess, ProxySQL, RDS Proxy, a client library behind a proxy.
            (1105, "HY000", Meaning::Unavailable),
            (9001, "HY000", Meaning::Unavailable),
            (9501, "HY000", Meaning::Unavailable),
            (2013, "HY000", Meaning::Unavailable),
            // A failover.
            (1290, "HY000", Meaning::NotThisServer),
            (1836, "HY000", Meaning::NotThisServer),
            (1792, "25006", Meaning::NotThisServer),
            (1053, "08S01", Meaning::Unavailable),
            (1927, "70100", Meaning::Unavailable),
            (4031, "HY000", Meaning::Unavailable),
            (1317, "70100", Meaning::Unavailable),
            // Limits, and rights that were taken away.
            (1203, "42000", Meaning::Unavailable),
            (1226, "42000", Meaning::Unavailable),
            (1142, "42000", Meaning::Unavailable),
            (1461, "42000", Meaning::Unavailable),
            // Numbers that we do not know, by their class.
            (1999, "08S01", Meaning::Unavailable),
            (1999, "40001", Meaning::LockLost),
            (1999, "70100", Meaning::Unavailable),
        ] {
            assert_eq!(of_mysql(number, state), meaning, "{number} ({state})");
        }
    }

    #[test]
    fn a_value_that_does_not_fit_is_its_rows_fault_and_a_missing_table_is_nobodys() {
        for (number, state) in [
            (1406, "22001"),
            (1264, "22003"),
            (1048, "23000"),
            (3819, "HY000"),
            (1644, "45000"),
            (1153, "08S01"),
        ] {
            assert_eq!(of_mysql(number, state), Meaning::RowFault, "{number}");
        }
        for (number, state) in [(1146, "42S02"), (1054, "42S22"), (1064, "42000")] {
            assert_eq!(of_mysql(number, state), Meaning::Unknown, "{number}");
        }
    }

    #[test]
    fn sqlites_extended_codes_mean_what_their_primary_ones_do() {
        for (code, meaning) in [
            (5, Meaning::LockLost),
            (517, Meaning::LockLost),
            (6, Meaning::LockLost),
            (13, Meaning::Unavailable),
            (778, Meaning::Unavailable),
            (1032, Meaning::NotThisServer),
            (1299, Meaning::RowFault),
            (1, Meaning::Unknown),
        ] {
            assert_eq!(of_sqlite(code), meaning, "{code}");
        }
    }
}
