//! Crash points: named places where a debug build can be made to abort, as if by `kill -9`; release builds have none.

/// All crash points. `point` panics on a name that is not listed, so that tests can iterate over the list.
pub const POINTS: &[&str] = &[
    "intake.before_begin",
    "intake.after_locks",
    "intake.after_writes",
    "intake.before_commit",
    "intake.after_commit",
    "relay.before_publish",
    "relay.after_publish",
    "relay.after_delete",
    "work.after_receive",
    "work.after_note",
    "claim.after_locks",
    "attempt.after_outcome_locks",
    "claim.before_commit",
    "claim.after_commit",
    "attempt.before_send",
    "attempt.after_send",
    "attempt.before_outcome_commit",
    "attempt.after_outcome_commit",
    "callback.before_store",
    "callback.before_store_commit",
    "callback.after_store",
    "callback.before_apply",
    "callback.after_locks",
    "callback.before_apply_commit",
    "callback.after_apply",
    "feed.after_receive",
    "feed.before_send",
    "sweep.before_commit",
    "sweep.after_commit",
    "orders.before_commit",
    "orders.after_commit",
];

/// Aborts the process, without any output, if this point is armed and its hit has come.
#[inline]
pub fn point(name: &'static str) {
    #[cfg(debug_assertions)]
    armed::hit(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

/// Arms a point: the process aborts at its `nth` hit (1 is the first). Called once at start; a later call replaces the
/// earlier one. A release build only checks the arguments.
pub fn arm(name: &str, nth: u32) -> Result<(), UnknownCrashPoint> {
    let known = POINTS.iter().find(|point| **point == name);
    let Some(name) = known.filter(|_| nth > 0) else {
        return Err(UnknownCrashPoint(format!("{name}:{nth}")));
    };
    #[cfg(debug_assertions)]
    armed::arm(name, nth);
    #[cfg(not(debug_assertions))]
    let _ = name;
    Ok(())
}

/// Parses the setting `testing.crash_at`: `"name"`, or `"name:3"` for the third hit.
pub fn parse(setting: &str) -> Result<(&str, u32), UnknownCrashPoint> {
    let (name, nth) = match setting.split_once(':') {
        Some((name, nth)) => (name, nth.parse().unwrap_or(0)),
        None => (setting, 1),
    };
    if nth == 0 || !POINTS.contains(&name) {
        return Err(UnknownCrashPoint(setting.to_owned()));
    }
    Ok((name, nth))
}

#[derive(Debug, thiserror::Error)]
#[error("unknown crash point {0:?}; expected \"name\" or \"name:nth\", with one of: {list}", list = POINTS.join(", "))]
pub struct UnknownCrashPoint(String);

#[cfg(debug_assertions)]
mod armed {
    use parking_lot::Mutex;

    static ARMED: Mutex<Option<(&'static str, u32)>> = Mutex::new(None);

    pub(super) fn arm(name: &'static str, nth: u32) {
        *ARMED.lock() = Some((name, nth));
    }

    pub(super) fn hit(name: &'static str) {
        assert!(
            super::POINTS.contains(&name),
            "crash point {name} is not declared in crash::POINTS"
        );
        let mut armed = ARMED.lock();
        let Some((_, left)) = armed.as_mut().filter(|(point, _)| *point == name) else {
            return;
        };
        *left -= 1;
        if *left == 0 {
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::process::ExitStatusExt,
        process::{Command, Stdio},
    };

    use super::*;

    #[test]
    fn a_setting_names_a_point_and_which_hit() {
        assert_eq!(
            parse("intake.before_commit").unwrap(),
            ("intake.before_commit", 1)
        );
        assert_eq!(
            parse("sweep.after_commit:3").unwrap(),
            ("sweep.after_commit", 3)
        );
    }

    #[test]
    fn an_unknown_point_is_refused_with_the_list() {
        for wrong in [
            "",
            "intake",
            "intake.before_commit:0",
            "intake.before_commit:x",
        ] {
            let error = parse(wrong).unwrap_err().to_string();
            assert!(error.contains("orders.after_commit"), "{error}");
        }
        assert!(arm("nowhere", 1).is_err());
    }

    #[test]
    fn no_point_is_declared_twice() {
        let mut names = POINTS.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), POINTS.len());
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "not declared")]
    fn an_undeclared_point_fails_where_it_stands() {
        point("intake.somewhere");
    }

    #[test]
    fn an_armed_point_ends_the_process_at_its_hit_and_prints_nothing() {
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "--ignored",
                "--exact",
                "--nocapture",
                "crash::tests::dies_at_its_second_hit",
            ])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(output.status.signal(), Some(6), "{output:?}");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            said.contains("survived the first hit") && !said.contains("survived the second hit"),
            "{said}"
        );
        assert!(output.stderr.is_empty(), "{output:?}");
    }

    #[test]
    #[ignore = "run as a process of its own by the test above"]
    fn dies_at_its_second_hit() {
        arm("feed.before_send", 2).unwrap();
        point("feed.after_receive");
        point("feed.before_send");
        println!("survived the first hit");
        point("feed.before_send");
        println!("survived the second hit");
    }
}
