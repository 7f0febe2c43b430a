//! Every check: its name, the reason for it, and the section of the integrators' guide that explains it.

const GUIDE: &str = "docs/integrators.md";

/// A check. Two are the same if their names are.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) why: &'static str,
    /// Heading in the guide.
    pub(super) section: &'static str,
}

impl PartialEq for Check {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Check {
    /// Returns the link to the section, whose anchor GitHub makes of its heading.
    pub(super) fn link(&self) -> String {
        let words = self.section.to_lowercase();
        let kept = words
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-'));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        format!("{GUIDE}#{anchor}")
    }
}

macro_rules! checks {
    ($($id:ident = $name:literal, $section:literal, $title:literal, $why:literal;)+) => {
        $(pub(super) const $id: &Check = &Check { name: $name, title: $title, why: $why, section: $section };)+
        /// In the order of the report.
        pub(super) const ALL: &[&Check] = &[$($id),+];
    };
}

checks! {
    GOOD_SIGNATURE = "good-signature", "Checking the signature",
        "A signed message is taken",
        "Without a 2xx the order is not taken: a 4xx or 3xx fails it at once, everything else after five attempts.";
    BAD_SIGNATURE = "bad-signature", "Checking the signature",
        "A wrong signature is refused",
        "Anybody who knows your address could place orders in your system.";
    MISSING_SIGNATURE = "missing-signature", "Checking the signature",
        "A message without a signature is refused",
        "Anybody who knows your address could place orders in your system.";
    OLD_TIMESTAMP = "old-timestamp", "Checking the signature",
        "A message signed ten minutes from now is refused",
        "Somebody who has once read a message could send it again at any time.";
    ROTATION = "rotation", "Rotating secrets",
        "One good signature of two is enough",
        "While a secret is changed we sign with the old and the new one; you may know either.";
    DUPLICATE = "duplicate", "Retries and duplicates",
        "The same message twice makes one order",
        "We send again, with the same webhook-id and the same bytes, whenever your answer may have been lost.";
    AT_ONCE = "duplicates-at-once", "Retries and duplicates",
        "The same message ten times at once makes one order",
        "A second attempt may begin before you have finished the first one.";
    RETRY = "retry", "Retries and duplicates",
        "A message is taken when it is sent again",
        "After a 5xx, or an answer that we did not get, the next attempt is what saves the order.";
    CANCELLED = "cancelled-after-placed", "Ordering",
        "A cancellation is taken and ends the work",
        "Guests cancel; an order that is prepared anyway is waste.";
    OUT_OF_ORDER = "out-of-order", "Ordering",
        "Messages in the wrong order are taken, and the newest counts",
        "A message that was held up in the network may arrive after a newer one; change.number tells which is newer.";
    UNKNOWN_EVENT = "unknown-event", "Events",
        "An event that you don't know is taken and ignored",
        "A refused message counts as a failure of yours, also if it was not for you. A test message carries no order.";
    EXTRA_FIELDS = "extra-fields", "Messages",
        "Fields that you don't know are ignored",
        "New versions add fields; every order would fail on that day.";
    LARGE_ORDER = "large-order", "Messages",
        "An order with 100 items is taken",
        "This is the largest order that there is; a limit on the body's size would fail it.";
    SLOW = "slow", "Time-outs",
        "Answers come in time",
        "An answer that comes after the limit is lost, and the message is sent again.";
    REDIRECT = "redirect", "Your answer",
        "No answer is a redirect",
        "We never follow one, because a signed order must not go to another address: the handoff fails.";
    ANSWER_SIZE = "answer-size", "Your answer",
        "Answers are short",
        "At most 64 KiB are read; a reference beyond that is lost.";
    ANSWER_END = "answer-end", "Your answer",
        "Answers come to their end",
        "The status counts, but the rest of the answer is waited for and then lost, and its connection is closed.";
    ANSWER_TYPE = "answer-type", "Your answer",
        "Answers are JSON",
        "The reference is read from JSON. A web page with status 200 often means that a proxy has answered, not you.";
    ODD_HEAD = "odd-head", "Your answer",
        "The heads of answers are plain HTTP",
        "Others read such a head differently, so its connection is closed after each message.";
    KEEP_ALIVE = "keep-alive", "Your answer",
        "Connections can be kept",
        "A message on a connection that you close without a word may be lost, and is sent again.";
    CALLBACK_SIGNATURE = "callback-signature", "Signing a callback",
        "Callbacks are signed with the callback secret",
        "A callback without a good signature gets 401 and changes nothing.";
    CALLBACK_BODY = "callback-body", "Callbacks",
        "Callbacks have the right address and body",
        "A callback that is not understood changes nothing.";
    CALLBACK_ID = "callback-id", "Callbacks",
        "Each update has one webhook-id of its own",
        "The same id twice counts once; two ids for one update look like two updates.";
    CALLBACK_WORDS = "callback-words", "Your words and ours",
        "Status words are ours, or mapped to ours",
        "A word that nobody knows is recorded as unmapped and changes nothing.";
    CALLBACK_ORDER = "callback-order", "Callbacks",
        "Updates follow each other",
        "An older update, or a step that an order cannot take, is recorded and changes nothing.";
    CALLBACK_RETRY = "callback-retry", "Answers to callbacks",
        "A callback that got 503 is sent again with the same webhook-id",
        "If we are away for a moment, the update would be lost.";
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, fs, path::Path};

    use super::*;

    #[test]
    fn names_differ_and_links_are_anchors() {
        let names: HashSet<_> = ALL.iter().map(|check| check.name).collect();
        assert_eq!(names.len(), ALL.len());
        assert_eq!(SLOW.link(), "docs/integrators.md#time-outs");
        assert_eq!(
            DUPLICATE.link(),
            "docs/integrators.md#retries-and-duplicates"
        );
    }

    #[test]
    fn every_section_is_a_heading_of_the_guide() {
        let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(GUIDE);
        let text = fs::read_to_string(guide).unwrap();
        let headings: HashSet<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix('#'))
            .map(|rest| rest.trim_start_matches('#').trim())
            .collect();
        for check in ALL {
            assert!(headings.contains(check.section), "{}", check.section);
        }
    }
}
