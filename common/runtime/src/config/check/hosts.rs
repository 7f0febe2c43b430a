//! Checks of the settings for several hosts in `database.url`.

use std::time::Duration;

use super::Check;
use crate::config::Database;

/// Time within which a process leaves a host that hangs.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

pub(super) fn check(check: &mut Check, database: &Database) {
    let (interval, timeout) = (database.host_check_interval, database.host_check_timeout);
    check.milliseconds("database.host_check_interval_ms", interval, 100..=3000);
    check.milliseconds("database.host_check_timeout_ms", timeout, 100..=2000);
    if interval + 2 * timeout > LEAVE_WITHIN {
        let what = "and twice database.host_check_timeout_ms are together more than 5000, and a host that hangs \
                    would be used for longer than 5 s";
        check.problem("database.host_check_interval_ms", what);
    }
    check.seconds(
        "database.host_return_after_s",
        database.host_return_after,
        1..=3600,
    );
}
