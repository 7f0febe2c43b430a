//! Journal of the kitchen: a line of JSON for each accepted and each ended order, so that a restart resumes them.
//!
//! It is not synced to disk: entries survive the death of the process, but not a power failure.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    handoff::PlacedOrder,
    ticket::{OPEN_MAX, SHOWN_MAX, State},
};

/// Size above which the journal is rewritten without obsolete entries.
const COMPACT_AT_BYTES: u64 = 8 * 1024 * 1024;

/// Open journal. Its file has mode 0600, because it contains customers' orders.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    written_bytes: u64,
    compact_at_bytes: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub(crate) enum Entry {
    Accepted(Accepted),
    Ended(Ended),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Accepted {
    pub(crate) ticket: u64,
    pub(crate) webhook_id: String,
    pub(crate) order: PlacedOrder,
    pub(crate) callback_url: Option<String>,
    pub(crate) at: DateTime<Utc>,
}

/// End of an order: it was cancelled, or its `ready` callback got a final response.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ended {
    pub(crate) ticket: u64,
    pub(crate) state: State,
    pub(crate) at: DateTime<Utc>,
}

/// State of one order in the journal.
#[derive(Debug)]
pub(crate) struct JournaledOrder {
    pub(crate) accepted: Accepted,
    pub(crate) ended: Option<Ended>,
}

impl Journal {
    /// Reads the journal if it exists, and rewrites it without obsolete entries.
    pub(crate) fn open(path: PathBuf) -> io::Result<(Self, Vec<JournaledOrder>)> {
        let kept = read(&path)?;
        let (file, written_bytes) = rewrite(&path, &kept)?;
        let journal = Self {
            path,
            file,
            written_bytes,
            compact_at_bytes: next_compaction(written_bytes),
        };
        Ok((journal, kept))
    }

    /// Appends all entries, or none if it returns an error.
    pub(crate) fn append(&mut self, entries: &[Entry]) -> io::Result<()> {
        let lines = lines(entries.iter());
        if let Err(error) = self.file.write_all(&lines) {
            // A partial line would corrupt the next one.
            self.file.set_len(self.written_bytes)?;
            return Err(error);
        }
        self.written_bytes += lines.len() as u64;
        if self.written_bytes > self.compact_at_bytes {
            self.compact();
        }
        Ok(())
    }

    fn compact(&mut self) {
        match read(&self.path).and_then(|kept| rewrite(&self.path, &kept)) {
            Ok((file, written_bytes)) => {
                self.file = file;
                self.written_bytes = written_bytes;
            }
            Err(error) => {
                tracing::warn!(%error, "compacting the kitchen's journal failed; it keeps its size")
            }
        }
        self.compact_at_bytes = next_compaction(self.written_bytes);
    }
}

/// Returns the size for the next compaction; at least doubled, so that many open orders are not rewritten every time.
fn next_compaction(written_bytes: u64) -> u64 {
    COMPACT_AT_BYTES.max(2 * written_bytes)
}

/// Reads the entries that are still needed, oldest first: the newest ticket of each order, limited in number.
fn read(path: &Path) -> io::Result<Vec<JournaledOrder>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut tickets: BTreeMap<u64, JournaledOrder> = BTreeMap::new();
    let mut by_order: HashMap<String, u64> = HashMap::new();
    let (mut good, mut torn) = (0_usize, 0_usize);
    for line in text.split(|byte| *byte == b'\n') {
        if line.is_empty() {
            continue;
        }
        let Ok(entry) = serde_json::from_slice(line) else {
            torn += 1;
            continue;
        };
        good += 1;
        match entry {
            Entry::Accepted(accepted) => {
                let order_id = accepted.order.id.clone();
                if let Some(older) = by_order.insert(order_id, accepted.ticket) {
                    tickets.remove(&older);
                }
                let ended = None;
                tickets.insert(accepted.ticket, JournaledOrder { accepted, ended });
            }
            Entry::Ended(ended) => {
                if let Some(kept) = tickets.get_mut(&ended.ticket) {
                    kept.ended = Some(ended);
                }
            }
        }
    }
    if good == 0 && torn > 1 {
        let why = "the file is not a kitchen's journal; it was not changed";
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    if torn > 0 {
        tracing::warn!(torn, "skipped unreadable lines of the kitchen's journal");
    }
    let (mut open, mut ended) = (0, 0);
    let mut kept: Vec<JournaledOrder> = tickets
        .into_values()
        .rev()
        .filter(|kept| {
            let (count, most) = match kept.ended {
                Some(_) => (&mut ended, SHOWN_MAX),
                None => (&mut open, OPEN_MAX),
            };
            *count += 1;
            *count <= most
        })
        .collect();
    kept.reverse();
    Ok(kept)
}

/// Replaces the file atomically with the given entries, and returns it opened for appending.
fn rewrite(path: &Path, kept: &[JournaledOrder]) -> io::Result<(File, u64)> {
    let entries: Vec<Entry> = kept
        .iter()
        .flat_map(|kept| {
            let accepted = Entry::Accepted(kept.accepted.clone());
            [Some(accepted), kept.ended.clone().map(Entry::Ended)]
        })
        .flatten()
        .collect();
    let lines = lines(entries.iter());
    let mut draft = OsString::from(path);
    draft.push(".new");
    // A draft left by a killed process could have another mode.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(&lines)?;
    fs::rename(&draft, path)?;
    Ok((file, lines.len() as u64))
}

fn lines<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<u8> {
    let mut lines = Vec::new();
    for entry in entries {
        serde_json::to_writer(&mut lines, entry).expect("entries serialize to JSON");
        lines.push(b'\n');
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::{env, os::unix::fs::PermissionsExt, process};

    use super::*;

    /// Temporary folder of one test, removed on drop.
    struct Folder(PathBuf);

    impl Folder {
        fn new(test: &str) -> Self {
            let path = env::temp_dir().join(format!("kitchen-journal-{test}-{}", process::id()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn file(&self) -> PathBuf {
            self.0.join("kitchen.journal")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn accepted(ticket: u64, order_id: &str, number: String) -> Entry {
        Entry::Accepted(Accepted {
            ticket,
            webhook_id: format!("msg_{ticket}"),
            order: PlacedOrder {
                id: order_id.to_owned(),
                number,
                items: Vec::new(),
            },
            callback_url: None,
            at: DateTime::UNIX_EPOCH,
        })
    }

    fn ended(ticket: u64) -> Entry {
        Entry::Ended(Ended {
            ticket,
            state: State::Ready,
            at: DateTime::UNIX_EPOCH,
        })
    }

    fn seen(kept: &[JournaledOrder]) -> Vec<(u64, bool)> {
        kept.iter()
            .map(|kept| (kept.accepted.ticket, kept.ended.is_some()))
            .collect()
    }

    #[test]
    fn what_was_appended_is_read_again_from_a_file_that_only_its_owner_reads() {
        let folder = Folder::new("read");
        let path = folder.file();
        let (mut journal, kept) = Journal::open(path.clone()).unwrap();
        assert!(kept.is_empty());
        for entry in [
            accepted(1, "o1", String::new()),
            accepted(2, "o2", String::new()),
            ended(1),
        ] {
            journal.append(&[entry]).unwrap();
        }
        let (_, kept) = Journal::open(path.clone()).unwrap();
        assert_eq!(seen(&kept), [(1, true), (2, false)]);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn of_an_order_with_two_tickets_only_the_newer_one_is_kept() {
        let folder = Folder::new("two");
        let path = folder.file();
        let (mut journal, _) = Journal::open(path.clone()).unwrap();
        let again = accepted(2, "o1", String::new());
        journal
            .append(&[accepted(1, "o1", String::new()), ended(1), again])
            .unwrap();
        let (_, kept) = Journal::open(path).unwrap();
        assert_eq!(seen(&kept), [(2, false)]);
    }

    #[test]
    fn a_journal_past_its_limit_keeps_what_is_open_and_as_many_ended_ones_as_are_shown() {
        let folder = Folder::new("limit");
        let path = folder.file();
        let (mut journal, _) = Journal::open(path.clone()).unwrap();
        journal
            .append(&[accepted(1, "open", String::new())])
            .unwrap();
        let large = "x".repeat(4096);
        let rounds = 2 * COMPACT_AT_BYTES / 4096;
        for ticket in 2..2 + rounds {
            let order_id = format!("o{ticket}");
            journal
                .append(&[accepted(ticket, &order_id, large.clone()), ended(ticket)])
                .unwrap();
            assert!(journal.written_bytes <= COMPACT_AT_BYTES);
        }
        assert_eq!(fs::metadata(&path).unwrap().len(), journal.written_bytes);
        let (_, kept) = Journal::open(path).unwrap();
        assert_eq!(kept.len(), 1 + SHOWN_MAX);
        assert_eq!(kept[0].accepted.order.id, "open");
    }

    #[test]
    fn a_file_that_is_no_journal_is_refused_and_left_as_it_is() {
        let folder = Folder::new("foreign");
        let path = folder.file();
        fs::write(&path, "buy fish\nbuy bread\n").unwrap();
        let error = Journal::open(path.clone()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(fs::read(&path).unwrap(), b"buy fish\nbuy bread\n");
    }
}
