//! Reads and writes the page: its head and its numbered sections. Sections that were not measured stay as they were.

use std::{collections::BTreeMap, fmt};

const HEADING: &str = "## ";

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    head: String,
    sections: BTreeMap<u32, String>,
    /// Sections without a number, which people wrote.
    remarks: Vec<String>,
}

impl Page {
    /// Parses a page that was written earlier.
    pub(crate) fn read(text: &str) -> Self {
        let mut page = Self::default();
        for part in parts(text) {
            match number(part) {
                Some(number) => {
                    page.sections.insert(number, part.to_owned());
                }
                None if part.starts_with(HEADING) => page.remarks.push(part.to_owned()),
                None => part.clone_into(&mut page.head),
            }
        }
        page
    }

    /// Replaces the head and removes the remarks, which were about the previous run.
    pub(crate) fn start_over(&mut self, head: String) {
        self.head = head;
        self.remarks.clear();
    }

    pub(crate) fn section(&self, number: u32) -> Option<&str> {
        self.sections.get(&number).map(String::as_str)
    }

    pub(crate) fn put(&mut self, number: u32, section: &str) {
        self.sections.insert(number, section.trim_end().to_owned());
    }
}

/// Splits a page before each heading; the text before the first heading is a part too.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let begins = text.match_indices("\n## ").map(|(at, _)| at + 1);
    let begins: Vec<usize> = std::iter::once(0).chain(begins).collect();
    let ends = begins[1..].iter().copied().chain([text.len()]);
    let parts: Vec<&str> = begins
        .iter()
        .zip(ends)
        .map(|(begin, end)| text[*begin..end].trim_end())
        .collect();
    parts.into_iter().filter(|part| !part.is_empty())
}

fn number(part: &str) -> Option<u32> {
    part.strip_prefix(HEADING)?.split_once('.')?.0.parse().ok()
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = std::iter::once(&self.head).filter(|head| !head.is_empty());
        let parts: Vec<&str> = head
            .chain(self.sections.values())
            .chain(&self.remarks)
            .map(String::as_str)
            .collect();
        writeln!(f, "{}", parts.join("\n\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "# Benchmarks\n\nOf May.\n\n## 1. Intake\n\nslow\n\n## 6. Stats\n\nquick\n\n## The run before\n\nwas alike\n";

    #[test]
    fn a_page_that_is_read_is_written_as_it_was() {
        assert_eq!(Page::read(OLD).to_string(), OLD);
        assert_eq!(Page::read(""), Page::default());
    }

    #[test]
    fn a_section_that_is_measured_alone_leaves_all_others() {
        let mut page = Page::read(OLD);
        page.put(6, "## 6. Stats\n\nquicker\n");
        assert_eq!(page.to_string(), OLD.replace("quick", "quicker"));
        page.put(2, "## 2. HTTP\n");
        assert!(
            page.to_string()
                .contains("slow\n\n## 2. HTTP\n\n## 6. Stats")
        );
    }

    #[test]
    fn a_new_page_keeps_what_was_not_measured_and_no_remarks() {
        let mut page = Page::read(OLD);
        page.start_over("# Benchmarks\n\nOf June.".to_owned());
        page.put(1, "## 1. Intake\n\nfast\n");
        let new = "# Benchmarks\n\nOf June.\n\n## 1. Intake\n\nfast\n\n## 6. Stats\n\nquick\n";
        assert_eq!(page.to_string(), new);
    }
}
