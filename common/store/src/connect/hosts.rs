//! The MySQL servers of `database.url`, of which one is used at a time: the first that takes writes.
//!
//! With one host, nothing is asked and nothing is watched. With several, a task for each host asks it again and again
//! (`fitness.rs`), and each answer may change the choice (`choice.rs`). A transaction begins on the host of the moment and
//! ends there.

use std::{
    str::FromStr,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use platform::{hosts, metrics::Metrics};
use sqlx::{MySqlPool, mysql::MySqlConnectOptions};
use tokio::{
    sync::{Notify, watch},
    task::AbortHandle,
    time::{sleep, timeout},
};

use super::{
    DbOptions, checks,
    choice::{View, choose, strangers},
    fitness::{Fit, Prober, Unfit},
    pools::{Making, Pools, begin_on_live_connection},
    replication,
    start::{self, MIN_PAUSE},
};
use crate::{
    error::{Result, StoreError},
    mysql_tx::MySqlTx,
    timeouts::{Listed, Renewal, StatementPolicy},
    under_way::UnderWay,
};

/// Purpose of a transaction, which has a pool of its own.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Writing,
    Reading,
}

/// All hosts, and the one in use.
#[derive(Debug)]
pub struct Hosts {
    list: Vec<Host>,
    /// Place of the host in use.
    chosen: watch::Sender<usize>,
    views: Mutex<Vec<View>>,
    /// True while two hosts contradict each other, which was told of.
    is_strange: AtomicBool,
    settled: Duration,
    /// Time within which a transaction begins, or fails.
    begin_within: Duration,
    metrics: Arc<Metrics>,
    /// Tasks that ask the hosts; none for a single one.
    watching: Mutex<Vec<AbortHandle>>,
}

#[derive(Debug)]
struct Host {
    /// Host and port, for logs; empty for a single one.
    name: String,
    pools: Pools,
    terms: StatementPolicy,
    /// Tells the statements under way on it that they are given up; `None` for a single host.
    given_up: Option<watch::Sender<()>>,
    is_galera: Arc<AtomicBool>,
}

impl Hosts {
    /// Connects to the only host, or to the first of several that takes writes, and checks it.
    pub(super) async fn connect(options: &DbOptions) -> Result<Arc<Self>> {
        let refused = |error: hosts::HostsError| {
            StoreError::Other(sqlx::Error::Configuration(
                format!("database.url: {error}").into(),
            ))
        };
        let mut named = Vec::new();
        for host in hosts::split(&options.url).map_err(refused)? {
            let to = MySqlConnectOptions::from_str(&host.url)?
                .statement_cache_capacity(options.statement_cache_capacity)
                .charset("utf8mb4");
            named.push((host.name, to));
        }
        let made = match named.as_slice() {
            [(_, to)] => Self::of_one(options, to).await?,
            _ => Self::of_several(options, named).await?,
        };
        let writers = made.writers();
        if !options.allow_weak_durability {
            checks::check_durability(writers).await?;
        }
        checks::warn_of_host_block(writers).await;
        checks::warn_of_few_statements(writers, options).await;
        replication::warn_of_lost_commits(writers, made.list.len()).await;
        Ok(made)
    }

    async fn of_one(options: &DbOptions, to: &MySqlConnectOptions) -> Result<Arc<Self>> {
        let making = making(options, to);
        let pools = Pools::connect(&making).await?;
        let host = Host::new(String::new(), making, pools, None);
        Ok(Arc::new(Self::new(options, vec![host], vec![], 0)))
    }

    async fn of_several(
        options: &DbOptions,
        named: Vec<(String, MySqlConnectOptions)>,
    ) -> Result<Arc<Self>> {
        let weak = options.allow_weak_durability;
        let prober =
            |to: &MySqlConnectOptions| Prober::new(to.clone(), options.host_check_timeout, weak);
        let mut probers: Vec<Prober> = named.iter().map(|(_, to)| prober(to)).collect();
        let answers = start::first_answers(&mut probers, options.connect_timeout).await;
        let now = Instant::now();
        let views: Vec<View> = answers
            .iter()
            .map(|answer| start::first_view(answer, now))
            .collect();
        for ((name, _), answer) in named.iter().zip(&answers) {
            if let Err(unfit) = answer {
                let why = &unfit.why;
                tracing::info!(host = name, "database host {name} takes no writes: {why}");
            }
        }
        let names: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
        let Some(chosen) = choose(None, &views, options.host_return_after, now) else {
            return Err(start::none_takes_writes(&names, &answers));
        };
        start::refuse_strangers(&views, &names, weak)?;
        let name = names[chosen];
        tracing::info!(host = name, "database host {name} is used");
        let mut list = Vec::new();
        for (place, (name, to)) in named.into_iter().enumerate() {
            let making = making(options, &to);
            let is_galera = answers[place].as_ref().is_ok_and(|fit| fit.is_galera);
            making.is_galera.store(is_galera, Ordering::Relaxed);
            let pools = if place == chosen {
                Pools::connect(&making).await?
            } else {
                Pools::new(&making)
            };
            list.push(Host::new(name, making, pools, Some(watch::Sender::new(()))));
        }
        let made = Arc::new(Self::new(options, list, views, chosen));
        for (place, prober) in probers.into_iter().enumerate() {
            let Some(doubt) = made.list[place].doubt() else {
                continue;
            };
            let asking = ask_again_and_again(
                Arc::downgrade(&made),
                place,
                prober,
                doubt,
                options.host_check_interval,
            );
            let task = tokio::spawn(asking).abort_handle();
            made.watching.lock().push(task);
        }
        Ok(made)
    }

    fn new(options: &DbOptions, list: Vec<Host>, views: Vec<View>, chosen: usize) -> Self {
        Self {
            list,
            chosen: watch::Sender::new(chosen),
            is_strange: AtomicBool::new(strangers(&views).is_some()),
            views: Mutex::new(views),
            settled: options.host_return_after,
            begin_within: options.connect_timeout,
            metrics: options.metrics.clone(),
            watching: Mutex::default(),
        }
    }

    fn in_use(&self) -> &Host {
        &self.list[*self.chosen.borrow()]
    }

    /// Returns the pool for writing of the host in use.
    pub(crate) fn writers(&self) -> &MySqlPool {
        &self.in_use().pools.writers
    }

    #[cfg(test)]
    pub(super) fn readers(&self) -> &MySqlPool {
        &self.in_use().pools.readers
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Returns the name of the host in use.
    #[cfg(test)]
    pub(super) fn name(&self) -> &str {
        &self.in_use().name
    }

    /// Returns the number of tasks that ask hosts.
    #[cfg(test)]
    pub(super) fn watches(&self) -> usize {
        self.watching.lock().len()
    }

    /// Begins a transaction on the host in use; if another one is chosen meanwhile, there.
    pub(super) async fn begin(&self, purpose: Purpose) -> Result<(MySqlTx, StatementPolicy)> {
        if let [only] = self.list.as_slice() {
            return only.begin(purpose).await;
        }
        let deadline = Instant::now() + self.begin_within;
        let mut chosen = self.chosen.subscribe();
        loop {
            let host = &self.list[*chosen.borrow_and_update()];
            let begun = tokio::select! {
                biased;
                begun = host.begin(purpose) => begun,
                Ok(()) = chosen.changed() => continue,
            };
            let Err(StoreError::Unavailable(_)) = begun else {
                return begun;
            };
            host.terms.doubt();
            if Instant::now() >= deadline {
                return begun;
            }
            let _ = timeout(MIN_PAUSE, chosen.changed()).await;
        }
    }

    /// Notes what a host answered, and goes to another one if that is better now.
    fn note(&self, place: usize, answer: Result<Fit, Unfit>) {
        let now = Instant::now();
        let mut views = self.views.lock();
        let host = &self.list[place];
        let view = &mut views[place];
        view.is_silent = answer.as_ref().is_err_and(|unfit| unfit.is_silent);
        match answer {
            Ok(fit) => {
                host.is_galera.store(fit.is_galera, Ordering::Relaxed);
                let is_back = view.fit_since.is_none();
                view.fit_since = view.fit_since.or(Some(now));
                view.set = Some(fit.set);
                if is_back {
                    let name = &host.name;
                    tracing::info!(host = name, "database host {name} takes writes again");
                }
            }
            Err(unfit) => {
                if view.fit_since.take().is_some() {
                    let (name, why) = (&host.name, unfit.why);
                    tracing::warn!(host = name, "database host {name} takes no writes: {why}");
                }
            }
        }
        let current = *self.chosen.borrow();
        // The host in use has the last word: in a planned takeover, the other one may be asked a moment earlier.
        if place == current && views[current].fit_since.is_some() {
            self.warn_of_strangers(&views);
        }
        let best = choose(Some(current), &views, self.settled, now).unwrap_or(current);
        if best != current {
            self.go_to(best, current, views[current].is_silent);
        }
    }

    /// Warns, once, of two hosts that take writes and are in no cluster with each other.
    fn warn_of_strangers(&self, views: &[View]) {
        let found = strangers(views);
        let was_known = self.is_strange.swap(found.is_some(), Ordering::Relaxed);
        if let Some((one, other)) = found.filter(|_| !was_known) {
            let (one, other) = (&self.list[one].name, &self.list[other].name);
            tracing::warn!("{}", start::strange(one, other));
        }
    }

    /// Uses another host from now on. Statements that wait for one that does not answer are given up.
    fn go_to(&self, next: usize, current: usize, is_silent: bool) {
        let (to, from) = (&self.list[next], &self.list[current]);
        let (name, before) = (&to.name, &from.name);
        tracing::warn!(
            host = name,
            before,
            "database host {name} is used now in place of {before}"
        );
        self.metrics.database_host_changes.inc();
        // A connection that is being opened may come to the host's pool only now, so both are marked.
        from.terms.renewal.mark();
        to.terms.renewal.mark();
        self.chosen.send_replace(next);
        if let Some(given_up) = from.given_up.as_ref().filter(|_| is_silent) {
            given_up.send_replace(());
        }
        let left = from.pools.clone();
        tokio::spawn(async move { left.close_idle().await });
    }

    /// Closes all connections.
    pub(super) async fn close(&self) {
        self.stop_watching();
        for host in &self.list {
            host.pools.readers.close().await;
            host.pools.writers.close().await;
        }
    }

    fn stop_watching(&self) {
        self.watching.lock().drain(..).for_each(|task| task.abort());
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        self.stop_watching();
    }
}

impl Host {
    fn new(
        name: String,
        making: Making<'_>,
        pools: Pools,
        given_up: Option<watch::Sender<()>>,
    ) -> Self {
        let listed = given_up
            .as_ref()
            .map(|given_up| Listed::new(given_up.subscribe()));
        Self {
            name,
            pools,
            terms: StatementPolicy {
                timeout: making.options.statement_timeout,
                metrics: making.options.metrics.clone(),
                renewal: making.renewal,
                listed,
                waits_for_locks: true,
                under_way: UnderWay::default(),
            },
            given_up,
            is_galera: making.is_galera,
        }
    }

    async fn begin(&self, purpose: Purpose) -> Result<(MySqlTx, StatementPolicy)> {
        let mut terms = self.terms.clone();
        if let Some(listed) = &mut terms.listed {
            listed.begin();
        }
        let pool = match purpose {
            Purpose::Writing => &self.pools.writers,
            Purpose::Reading => &self.pools.readers,
        };
        let begun = begin_on_live_connection(pool, terms.timeout).await?;
        terms.under_way = begun.under_way();
        Ok((begun, terms))
    }

    fn doubt(&self) -> Option<Arc<Notify>> {
        self.terms.listed.as_ref().map(Listed::doubt)
    }
}

fn making<'o>(options: &'o DbOptions, to: &MySqlConnectOptions) -> Making<'o> {
    Making {
        options,
        to: to.clone(),
        renewal: Renewal::default(),
        is_galera: Arc::default(),
    }
}

/// Asks a host at each interval, and at once if a statement met an error that makes it doubtful.
async fn ask_again_and_again(
    hosts: Weak<Hosts>,
    place: usize,
    mut prober: Prober,
    doubt: Arc<Notify>,
    interval: Duration,
) {
    loop {
        sleep(MIN_PAUSE).await;
        let _ = timeout(interval.saturating_sub(MIN_PAUSE), doubt.notified()).await;
        let answer = prober.ask().await;
        let Some(hosts) = hosts.upgrade() else {
            return;
        };
        hosts.note(place, answer);
    }
}
