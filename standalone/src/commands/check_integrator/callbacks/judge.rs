//! Judges the callbacks that came: their words, their order, and what they say about the messages before.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use domain::{
    callback::{Age, Update, UpdateMark, newest},
    delivery::DeliveryStatus,
    ids::OrderId,
    integrator::{Format, meaning},
    status::{By, Facts, OrderStatus, decide},
};

use super::{Arrived, TOLERANCE, Verdict};
use crate::commands::check_integrator::{
    catalogue::{
        CALLBACK_BODY, CALLBACK_ID, CALLBACK_ORDER, CALLBACK_RETRY, CALLBACK_SIGNATURE,
        CALLBACK_WORDS, Check,
    },
    report::{Findings, Level},
    sample::{Fate, Known},
};

/// Time after a cancellation's answer in which an update may still be on its way.
const GRACE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(in crate::commands::check_integrator) struct Judge<'a> {
    pub(in crate::commands::check_integrator) format: Format,
    pub(in crate::commands::check_integrator) status_map: &'a BTreeMap<String, OrderStatus>,
    pub(in crate::commands::check_integrator) has_secret: bool,
    pub(in crate::commands::check_integrator) orders: &'a [Known],
    pub(in crate::commands::check_integrator) findings: &'a mut Findings,
}

/// Status, delivery status and sequence of an update.
type Words = (Option<String>, Option<String>, Option<i64>);

/// An order as the callbacks so far have moved it.
struct Course {
    status: OrderStatus,
    delivery: Option<DeliveryStatus>,
    newest: UpdateMark,
    /// `webhook-id` of each update, by what it says.
    told: HashMap<Words, String>,
}

impl Judge<'_> {
    pub(in crate::commands::check_integrator) fn judge(mut self, arrived: &[Arrived]) {
        if arrived.is_empty() {
            self.findings.note(
                "no callback came, so none was checked; if yours come later, add --wait SECONDS",
            );
            return;
        }
        for check in [CALLBACK_BODY, CALLBACK_ID, CALLBACK_WORDS, CALLBACK_ORDER] {
            self.findings.ran(check);
        }
        if self.has_secret {
            self.findings.ran(CALLBACK_SIGNATURE);
        } else {
            self.findings
                .note("the signatures of callbacks were not checked: no callback secret was given");
        }
        self.judge_retry(arrived);
        let mut courses = HashMap::new();
        let mut first_of_id: Vec<&str> = Vec::new();
        for one in arrived {
            if let Verdict::Refused(refused) = &one.verdict {
                self.fault(refused.check, one, refused.advice.clone());
                continue;
            }
            let is_first = !first_of_id.contains(&one.webhook_id.as_str());
            first_of_id.push(&one.webhook_id);
            let Some(update) = one.verdict.update().filter(|_| is_first) else {
                continue;
            };
            let orders = self.orders;
            match orders.iter().find(|known| known.is_meant_by(update)) {
                Some(known) => self.judge_update(one, update, known, &mut courses),
                None => self.warn(
                    CALLBACK_BODY,
                    one,
                    "No answer of yours has this reference, so the update waits for ten minutes and is dropped.",
                ),
            }
        }
    }

    fn judge_retry(&mut self, arrived: &[Arrived]) {
        let put_off = |one: &&Arrived| matches!(one.verdict, Verdict::PutOff(_));
        let Some(first) = arrived.iter().find(put_off) else {
            return;
        };
        let is_again = arrived.iter().any(|one| {
            one.webhook_id == first.webhook_id && matches!(one.verdict, Verdict::Taken(_))
        });
        self.findings.ran(CALLBACK_RETRY);
        if !is_again {
            self.warn(
                CALLBACK_RETRY,
                first,
                "We answered 503, and it did not come again while we waited. Send a callback until it gets 2xx or 4xx; \
                 if you do it later than that, add --wait SECONDS.",
            );
        }
    }

    fn judge_update(
        &mut self,
        one: &Arrived,
        update: &Update,
        known: &Known,
        courses: &mut HashMap<OrderId, Course>,
    ) {
        let status = update.status.as_deref();
        let meant = status.and_then(|word| meaning(self.status_map, word));
        let told = update.delivery.as_ref();
        let told = told.and_then(|delivery| delivery.status.as_deref());
        let delivery = told.and_then(|word| word.parse::<DeliveryStatus>().ok());
        match known.fate {
            Fate::Placed => {}
            Fate::Forged(check) => {
                self.fault(
                    check,
                    one,
                    "This order was never placed, and you work on it nevertheless.".to_owned(),
                );
                return;
            }
            // Words of their own for the end of a cancelled order change nothing, and do no harm.
            Fate::Cancelled(check, since) => {
                let goes_on =
                    delivery.is_some() || meant.is_some_and(|status| !status.is_unsuccessful());
                let is_late = since.is_some_and(|(answered, at)| {
                    one.at > answered + GRACE
                        && update.occurred_at.is_none_or(|occurred| occurred > at)
                });
                if goes_on && is_late {
                    self.fault(
                        check,
                        one,
                        "The order was cancelled, and you work on it nevertheless.".to_owned(),
                    );
                }
                return;
            }
        }
        if let (Some(word), None) = (status, meant) {
            self.fault(
                CALLBACK_WORDS,
                one,
                format!(
                    "{word:?} is no status of ours. Map it in status_map; here with --status '{word}=STATUS', where \
                     STATUS is one of accepted, preparing, ready, dispatched, delivered, rejected and cancelled."
                ),
            );
        }
        if let (Some(word), None) = (told, delivery) {
            self.fault(
                CALLBACK_WORDS,
                one,
                format!(
                    "{word:?} is no delivery status: use READY_FOR_PICK_UP, AT_ORIGIN, EN_ROUTE_OF_DELIVERY, \
                     NOT_DELIVERED or DELIVERED."
                ),
            );
        }
        let start = match self.format {
            Format::Order
                if matches!(meant, Some(OrderStatus::Accepted | OrderStatus::Rejected)) =>
            {
                OrderStatus::Processing
            }
            Format::Order => OrderStatus::Accepted,
            Format::Delivery => OrderStatus::Dispatched,
        };
        let course = courses.entry(known.id).or_insert_with(|| Course {
            status: start,
            delivery: None,
            newest: UpdateMark::default(),
            told: HashMap::new(),
        });
        self.judge_course(one, update, meant, delivery, course);
    }

    fn judge_course(
        &mut self,
        one: &Arrived,
        update: &Update,
        status: Option<OrderStatus>,
        delivery: Option<DeliveryStatus>,
        course: &mut Course,
    ) {
        let words = (
            update.status.clone(),
            update
                .delivery
                .as_ref()
                .and_then(|delivery| delivery.status.clone()),
            update.sequence,
        );
        if let Some(other) = course.told.get(&words) {
            let advice = format!(
                "The same update came before as {other}. Does each duplicate of a message start work of its own?"
            );
            self.fault(CALLBACK_ID, one, advice);
            return;
        }
        course.told.insert(words, one.webhook_id.clone());
        let mark = update.mark();
        if mark == UpdateMark::default() {
            self.warn(
                CALLBACK_ORDER,
                one,
                "It has neither sequence nor occurred_at, so an update that arrives late can't be told from a newer one.",
            );
        }
        if update.occurred_at.is_some()
            && update.time_that_counts(one.received_at, TOLERANCE) != update.occurred_at
        {
            self.warn(
                CALLBACK_ORDER,
                one,
                "occurred_at is more than five minutes in the future. Is your clock right?",
            );
        }
        if Age::of(mark, course.newest) == Age::Older {
            self.warn(
                CALLBACK_ORDER,
                one,
                "A newer update (by sequence, else by occurred_at) came before it, so it is stale and changes nothing.",
            );
            return;
        }
        course.newest = newest(course.newest, mark);
        self.judge_status(one, update, status, course);
        if let Some(to) = delivery {
            match course.delivery {
                Some(from) if from != to && !from.may_become(to) => self.fault(
                    CALLBACK_ORDER,
                    one,
                    format!("A delivery cannot go from {from} to {to}."),
                ),
                _ => course.delivery = Some(to),
            }
        }
    }

    fn judge_status(
        &mut self,
        one: &Arrived,
        update: &Update,
        status: Option<OrderStatus>,
        course: &mut Course,
    ) {
        let Some(to) = status.filter(|to| *to != course.status) else {
            return;
        };
        let (by, has_courier) = match self.format {
            Format::Order => (By::Integrator, false),
            Format::Delivery => (By::Courier, true),
        };
        let facts = Facts {
            has_courier,
            ..Facts::default()
        };
        let has_reason = update
            .reason
            .as_deref()
            .is_some_and(|reason| !reason.trim().is_empty());
        if to.is_unsuccessful() && !has_reason {
            self.warn(
                CALLBACK_ORDER,
                one,
                "Staff will read \"the integrator gave no reason\": send a reason.",
            );
        }
        match decide(course.status, to, by, Some("given"), facts) {
            Ok(_) => course.status = to,
            Err(refused) => self.fault(
                CALLBACK_ORDER,
                one,
                format!("It would be recorded as illegal: {refused}."),
            ),
        }
    }

    fn fault(&mut self, check: &'static Check, one: &Arrived, advice: String) {
        self.add(check, Level::Fault, one, advice);
    }

    fn warn(&mut self, check: &'static Check, one: &Arrived, advice: &str) {
        self.add(check, Level::Warning, one, advice.to_owned());
    }

    fn add(&mut self, check: &'static Check, level: Level, one: &Arrived, advice: String) {
        const SHOWN_CHARS: usize = 200;
        let answered = format!("answered {}", one.verdict.status());
        let body: String = one.body.chars().take(SHOWN_CHARS).collect();
        let got = format!("callback {}: {body}", one.webhook_id);
        self.findings.add(check, level, answered, got, advice);
    }
}
