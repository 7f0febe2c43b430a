//! The audit trail: records by any choice of fields, found along one index and by examining a bounded number.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::columns;
use crate::{
    error::Result,
    explain::{QueryOutput, impl_query_output},
    fetch_in,
    rows::Readable,
    statements::Statement,
    tx::Tx,
};
use domain::{
    ids::{RecordId, StoreId, min_id_at},
    record::{Action, Record, Subject},
};

/// Maximum number of records that one page examines; few of them may match.
const MAX_EXAMINED: u32 = 8192;

/// A choice of records. Fields that are `None` restrict nothing.
#[derive(Clone, Debug, Default)]
pub struct TrailFilter {
    pub store: Option<StoreId>,
    /// Id of the account that made the change.
    pub actor: Option<Uuid>,
    pub subject: Option<Subject>,
    pub subject_id: Option<Uuid>,
    pub action: Option<Action>,
    /// At or after this time.
    pub from: Option<DateTime<Utc>>,
    /// Before this time.
    pub to: Option<DateTime<Utc>>,
}

/// A page of the audit trail.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrailPage {
    pub records: Vec<Record>,
    /// Record before which the next page begins; `None` if there are no more.
    pub next: Option<RecordId>,
}

/// An examined record.
pub(super) struct Examined {
    id: RecordId,
    fits: Option<bool>,
}

crate::rows::from_row!(Examined { id, fits });
impl_query_output!(Examined);

/// Returns at most `limit` matching records that are older than `before`, newest first.
pub async fn trail(
    tx: &mut Tx,
    filter: &TrailFilter,
    before: Option<RecordId>,
    limit: u32,
) -> Result<TrailPage> {
    let mut before = before.unwrap_or(RecordId::MAX);
    if let Some(to) = filter.to {
        // Ids ascend with time, which they have in milliseconds.
        before = before.min(min_id_at(to + TimeDelta::milliseconds(1)).into());
    }
    let mut fitting: Vec<RecordId> = Vec::new();
    let (mut examined, mut step) = (0, limit + 1);
    let mut next = loop {
        let rows: Vec<Examined> = examine(tx, filter, before, step).await?;
        before = rows.last().map_or(before, |row| row.id);
        let fit = rows.iter().filter(|row| row.fits == Some(true));
        fitting.extend(fit.map(|row| row.id));
        examined += step;
        if rows.len() < step as usize {
            break None;
        }
        if fitting.len() > limit as usize || examined >= MAX_EXAMINED {
            break Some(before);
        }
        // Usually all match; where few do, the steps grow.
        step = (step * 4).min(MAX_EXAMINED);
    };
    if fitting.len() > limit as usize {
        fitting.truncate(limit as usize);
        next = fitting.last().copied();
    }
    Ok(TrailPage {
        records: read(tx, &fitting).await?,
        next,
    })
}

/// Examines the next `limit` records older than `before`, along the index that leaves the fewest.
pub(super) async fn examine<A: QueryOutput>(
    tx: &mut Tx,
    filter: &TrailFilter,
    before: RecordId,
    limit: u32,
) -> Result<Vec<A>> {
    let sql_prefix = A::sql_prefix(tx);
    let index = match filter {
        TrailFilter {
            subject_id: Some(_),
            ..
        } => " /*! FORCE INDEX (changes_of_subject) */",
        TrailFilter { actor: Some(_), .. } => " /*! FORCE INDEX (changes_of_actor) */",
        TrailFilter { store: Some(_), .. } => " /*! FORCE INDEX (changes_of_store) */",
        _ => " /*! FORCE INDEX (PRIMARY) */",
    };
    let mut query = Statement::new(tx, sql_prefix);
    // Evaluated for each row in the SELECT list, so that the walk can stop early where no index leads to them.
    query.push("SELECT id, (1 = 1");
    if let Some(subject) = filter.subject {
        query.push(" AND subject = ").push_bind(subject);
    }
    if let Some(action) = filter.action {
        query.push(" AND action = ").push_bind(action);
    }
    if let Some(actor) = filter.actor {
        query.push(" AND actor_id = ").push_bind(actor);
    }
    if let Some(store) = filter.store {
        query.push(" AND store_id = ").push_bind(store);
    }
    if let Some(from) = filter.from {
        query.push(" AND at >= ").push_bind(from);
    }
    if let Some(to) = filter.to {
        query.push(" AND at < ").push_bind(to);
    }
    query.push(") AS fits FROM changes").push(index);
    query.push(" WHERE id < ").push_bind(before);
    if let Some(from) = filter.from {
        query.push(" AND id >= ").push_bind(min_id_at(from));
    }
    if let Some(subject) = filter.subject_id {
        query.push(" AND subject_id = ").push_bind(subject);
    } else if let Some(actor) = filter.actor {
        query.push(" AND actor_id = ").push_bind(actor);
    } else if let Some(store) = filter.store {
        query.push(" AND store_id = ").push_bind(store);
    }
    query.push(" ORDER BY id DESC LIMIT ").push_bind(limit);
    query.fetch_all::<A>(tx).await
}

/// Reads records, newest first. One that can't be read, such as one that a newer version wrote, is logged and left out.
pub(crate) async fn read(tx: &mut Tx, ids: &[RecordId]) -> Result<Vec<Record>> {
    let rows: Vec<Readable<Record>> = fetch_in!(
        tx,
        concat!(columns!(), "id IN ("),
        ids,
        ") ORDER BY id DESC"
    );
    let read = rows.into_iter().filter_map(|row| match row.read {
        Ok(record) => Some(record),
        Err(error) => {
            tracing::error!(%error, "unreadable record left out of the audit trail");
            None
        }
    });
    Ok(read.collect())
}

#[cfg(test)]
mod tests {
    use each_database::each_database;
    use serde_json::Map;

    use super::*;
    use crate::{
        explain::{Step, assert_no_full_scan},
        records::insert,
        testing::TestDb,
    };
    use domain::{actor::Actor, ids::AccountId};

    /// Inserts 2000 records, a second apart, by four people in four stores.
    async fn fill(house: &TestDb) -> (Vec<StoreId>, Vec<AccountId>) {
        let now = house.clock.now();
        let stores: Vec<StoreId> = (0..4).map(|_| house.chance.id(now)).collect();
        let people: Vec<AccountId> = (0..4).map(|_| house.chance.id(now)).collect();
        let records: Vec<Record> = (0..2000_usize)
            .map(|n| {
                let at = now + TimeDelta::seconds(i64::try_from(n).unwrap());
                Record {
                    id: house.chance.id(at),
                    store_id: (n % 5 < 4).then(|| stores[n % 4]),
                    subject: if n % 100 == 7 {
                        Subject::Retry
                    } else {
                        Subject::Product
                    },
                    subject_id: Uuid::from_u128(u128::try_from(n / 10).unwrap()),
                    action: if n % 2 == 0 {
                        Action::Edited
                    } else {
                        Action::Created
                    },
                    at,
                    actor: Actor::account_id(people[n / 500]),
                    address: Some("192.0.2.1".to_owned()),
                    fields: Map::new(),
                }
            })
            .collect();
        let mut tx = house.db.begin().await.unwrap();
        insert(&mut tx, &records).await.unwrap();
        tx.commit().await.unwrap();
        (stores, people)
    }

    /// Returns all pages of a filter as one list.
    async fn all(tx: &mut Tx, filter: &TrailFilter, limit: u32) -> Vec<Record> {
        let (mut found, mut before) = (Vec::new(), None);
        loop {
            let page = trail(tx, filter, before, limit).await.unwrap();
            assert!(page.records.len() <= limit as usize);
            found.extend(page.records);
            match page.next {
                Some(next) => before = Some(next),
                None => return found,
            }
        }
    }

    #[each_database(store)]
    async fn every_filter_gives_what_matches_newest_first_whatever_the_page(house: TestDb) {
        let (stores, people) = fill(&house).await;
        let began = house.clock.now();
        let any = TrailFilter::default;
        let filters = [
            any(),
            TrailFilter {
                store: Some(stores[1]),
                ..any()
            },
            TrailFilter {
                actor: Some(people[2].uuid()),
                ..any()
            },
            TrailFilter {
                actor: Some(people[0].uuid()),
                store: Some(stores[3]),
                ..any()
            },
            TrailFilter {
                subject: Some(Subject::Retry),
                action: Some(Action::Created),
                ..any()
            },
            TrailFilter {
                subject_id: Some(Uuid::from_u128(17)),
                action: Some(Action::Edited),
                ..any()
            },
            TrailFilter {
                from: Some(began + TimeDelta::seconds(100)),
                to: Some(began + TimeDelta::seconds(200)),
                ..any()
            },
            TrailFilter {
                actor: Some(people[1].uuid()),
                from: Some(began + TimeDelta::seconds(990)),
                ..any()
            },
        ];
        let mut tx = house.db.read().await.unwrap();
        let whole = all(&mut tx, &any(), 100).await;
        assert_eq!(whole.len(), 2000);
        for filter in &filters {
            let expected: Vec<&Record> = whole
                .iter()
                .filter(|one| {
                    filter.store.is_none_or(|store| one.store_id == Some(store))
                        && filter.actor.is_none_or(|actor| one.actor.id == Some(actor))
                        && filter.subject.is_none_or(|subject| one.subject == subject)
                        && filter.subject_id.is_none_or(|id| one.subject_id == id)
                        && filter.action.is_none_or(|action| one.action == action)
                        && filter.from.is_none_or(|from| one.at >= from)
                        && filter.to.is_none_or(|to| one.at < to)
                })
                .collect();
            assert!(!expected.is_empty(), "{filter:?}");
            for limit in [1, 7, 100] {
                if limit == 1 && expected.len() > 200 {
                    continue;
                }
                let found = all(&mut tx, filter, limit).await;
                assert_eq!(
                    found.iter().collect::<Vec<_>>(),
                    expected,
                    "{filter:?} by {limit}"
                );
            }
        }
    }

    #[each_database(store)]
    async fn every_filter_walks_along_an_index(house: TestDb) {
        let (stores, people) = fill(&house).await;
        let any = TrailFilter::default;
        let filters = [
            any(),
            TrailFilter {
                subject: Some(Subject::Retry),
                ..any()
            },
            TrailFilter {
                store: Some(stores[1]),
                ..any()
            },
            TrailFilter {
                actor: Some(people[2].uuid()),
                ..any()
            },
            TrailFilter {
                subject_id: Some(Uuid::from_u128(17)),
                ..any()
            },
        ];
        let mut tx = house.db.read().await.unwrap();
        for filter in &filters {
            let plan: Vec<Step> = examine(&mut tx, filter, RecordId::MAX, 51).await.unwrap();
            assert_no_full_scan(&format!("{filter:?}"), &plan);
            assert!(!plan.iter().any(Step::sorts), "{filter:?}: {plan:?}");
        }
    }
}
