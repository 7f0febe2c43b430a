//! The start of a process with several hosts: it waits for one that takes writes, and refuses those that contradict.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::time::sleep;

use super::{
    choice::{View, strangers},
    fitness::{Fit, Prober, Unfit},
};
use crate::error::{Result, StoreError};

/// Shortest pause between two questions to a host, however many statements doubt it, and between two tries to begin.
pub(super) const MIN_PAUSE: Duration = Duration::from_millis(100);

/// Asks all hosts until one of them takes writes, or the time is over.
pub(super) async fn first_answers(
    probers: &mut [Prober],
    within: Duration,
) -> Vec<Result<Fit, Unfit>> {
    let began = Instant::now();
    loop {
        let answers = join_all(probers.iter_mut().map(Prober::ask)).await;
        if answers.iter().any(Result::is_ok) || began.elapsed() >= within {
            return answers;
        }
        sleep(MIN_PAUSE).await;
    }
}

/// Returns the first view of a host: it has taken writes since its server was started, as far as anybody can know.
pub(super) fn first_view(answer: &Result<Fit, Unfit>, now: Instant) -> View {
    let Ok(fit) = answer else {
        return View::default();
    };
    View {
        fit_since: Some(now.checked_sub(fit.uptime).unwrap_or(now)),
        set: Some(fit.set.clone()),
        is_silent: false,
    }
}

pub(super) fn none_takes_writes(names: &[&str], answers: &[Result<Fit, Unfit>]) -> StoreError {
    let reasons = names.iter().zip(answers).filter_map(|(name, answer)| {
        let unfit = answer.as_ref().err()?;
        Some(format!("{name}: {}", unfit.why))
    });
    let reasons = reasons.collect::<Vec<_>>().join("; ");
    StoreError::Unavailable(format!("no host of database.url takes writes ({reasons})"))
}

/// Refuses to start if two servers take writes and are in no cluster with each other: others may use the other one.
pub(super) fn refuse_strangers(
    views: &[View],
    names: &[&str],
    weak_is_allowed: bool,
) -> Result<()> {
    let Some((one, other)) = strangers(views) else {
        return Ok(());
    };
    let strange = strange(names[one], names[other]);
    if weak_is_allowed {
        tracing::warn!("{strange}");
        return Ok(());
    }
    let refused = format!("{strange}, or set database.allow_weak_durability");
    Err(StoreError::Other(sqlx::Error::Configuration(
        refused.into(),
    )))
}

pub(super) fn strange(one: &str, other: &str) -> String {
    format!(
        "{one} and {other} of database.url both take writes and are in no cluster with each other: an order on one is \
         missing on the other; set read_only = ON on the one that follows"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(set: &str, uptime_s: u64) -> Result<Fit, Unfit> {
        Ok(Fit {
            set: set.to_owned(),
            is_galera: false,
            uptime: Duration::from_secs(uptime_s),
        })
    }

    #[test]
    fn a_host_has_taken_writes_for_as_long_as_its_server_runs() {
        let now = Instant::now() + Duration::from_secs(1000);
        let view = first_view(&fit("one", 90), now);
        let since = view.fit_since.unwrap();
        assert_eq!(now - since, Duration::from_secs(90));
        let unfit = Err(Unfit {
            why: "read_only is on".to_owned(),
            is_silent: false,
        });
        assert_eq!(first_view(&unfit, now), View::default());
        let refused = none_takes_writes(&["a:3306"], &[unfit]).to_string();
        assert!(refused.contains("a:3306: read_only is on"), "{refused}");
    }

    #[test]
    fn servers_that_contradict_each_other_refuse_the_start_unless_that_is_allowed() {
        let now = Instant::now();
        let views = [fit("one", 1), fit("another", 1)].map(|answer| first_view(&answer, now));
        let names = ["a:3306", "b:3306"];
        let refused = refuse_strangers(&views, &names, false).unwrap_err();
        let refused = refused.to_string();
        assert!(refused.contains("a:3306 and b:3306"), "{refused}");
        assert!(refuse_strangers(&views, &names, true).is_ok());
        assert!(refuse_strangers(&views[..1], &names, false).is_ok());
    }
}
