//! The system's limit of open files, of which each connection needs one.

/// Files that a process opens besides its clients' connections: the database's, the broker's, integrators', logs.
const OTHERS: u64 = 512;

/// Raises the limit as far as the system allows, and warns if the connections do not fit.
pub(super) fn raise_limit(max_connections: usize) {
    let needed = u64::try_from(max_connections)
        .unwrap_or(u64::MAX)
        .saturating_add(OTHERS);
    if let Some(limit) = raised(needed)
        && limit < needed
    {
        tracing::warn!(
            limit,
            needed,
            "the system allows fewer open files than http.max_connections may need: raise its hard limit (ulimit -Hn, LimitNOFILE), or lower the setting"
        );
    }
}

/// Returns the limit that holds then; `None` if there is none, or it can't be known.
#[cfg(unix)]
fn raised(needed: u64) -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let now = getrlimit(Resource::Nofile);
    let soft = now.current?;
    let wanted = needed.max(soft).min(now.maximum.unwrap_or(u64::MAX));
    if wanted == soft {
        return Some(soft);
    }
    let raised = Rlimit {
        current: Some(wanted),
        ..now
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => Some(wanted),
        Err(_) => Some(soft),
    }
}

#[cfg(not(unix))]
fn raised(_: u64) -> Option<u64> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use rustix::process::{Resource, getrlimit};

    use super::*;

    #[test]
    fn the_limit_is_raised_as_far_as_it_is_needed_and_allowed_and_never_lowered() {
        let before = getrlimit(Resource::Nofile);
        let soft = before.current.unwrap();
        assert_eq!(raised(1), Some(soft));
        let hard = before.maximum.unwrap_or(soft + 1);
        let next = (soft + 1).min(hard);
        assert_eq!(raised(next), Some(next));
        assert_eq!(getrlimit(Resource::Nofile).current, Some(next));
        assert!(raised(u64::MAX) <= before.maximum.or(Some(u64::MAX)));
    }
}
