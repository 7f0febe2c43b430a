//! Plain English: no sentence opens with a relative clause ("Of those …", "What is …", "Whoever has …").

use std::{collections::BTreeMap, fmt::Write};

use super::{Rule, Source};

/// Maximum number of doc comments with such an opening, by top-level folder. The numbers may only fall.
const AT_MOST: &[(&str, usize)] = &[];

const OPENERS: &[&str] = &[
    "of",
    "that",
    "what",
    "whatever",
    "where",
    "whereby",
    "wherein",
    "wherever",
    "whichever",
    "who",
    "whoever",
    "whom",
    "whomever",
    "whose",
];

/// After "that", these words show that it is a pronoun, as in "That is why".
const AFTER_A_PRONOUN: &[&str] = &[
    "alone", "are", "can", "costs", "does", "has", "is", "leaves", "makes", "means", "needs",
    "takes", "was", "way", "were", "would",
];

/// Checks the first word of a text. A question may open with "What" or "Who".
fn opens_oddly(text: &str) -> bool {
    let sentence = text.trim_start_matches(|c: char| c.is_whitespace() || "*_\"'([>-".contains(c));
    let mut words = sentence.splitn(3, ' ').map(str::to_lowercase);
    let (first, second) = (words.next(), words.next().unwrap_or_default());
    let first = first.unwrap_or_default();
    let first = first.trim_end_matches([',', ';', '…', '*']);
    let end = sentence.find(['.', '?', '!']);
    let is_question = end.is_some_and(|at| sentence[at..].starts_with('?'));
    let is_pronoun = first == "that" && AFTER_A_PRONOUN.contains(&second.as_str());
    OPENERS.contains(&first) && !is_question && !is_pronoun
}

/// Splits a text after full stops, question marks, exclamation marks and line breaks.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    text.split(". ")
        .flat_map(|part| part.split_inclusive("? "))
        .flat_map(|part| part.split("! "))
        .flat_map(|part| part.split("\\n"))
        .map(|sentence| sentence.trim_start_matches(|c: char| !c.is_alphanumeric() && c != '`'))
}

/// Checks every sentence that starts with a capital letter, and those after a label ("`word`: Sentence").
fn has_odd_sentence(text: &str) -> bool {
    sentences(text)
        .flat_map(|sentence| {
            [
                Some(sentence),
                sentence.split_once(": ").map(|(_, rest)| rest),
            ]
        })
        .flatten()
        .any(|sentence| sentence.starts_with(char::is_uppercase) && opens_oddly(sentence))
}

fn lines_where(text: &str, mut breaks: impl FnMut(&str) -> bool) -> Vec<usize> {
    let numbered = text.lines().enumerate();
    numbered
        .filter(|(_, line)| breaks(line))
        .map(|(index, _)| index + 1)
        .collect()
}

/// Returns the first lines of doc comments that open with a relative clause.
fn odd_doc_comments(source: &Source) -> Vec<usize> {
    if !source.path.ends_with(".rs") {
        return vec![];
    }
    let mut before = "";
    lines_where(&source.text, |line| {
        let line = line.trim_start();
        let (marker, text) = line.split_at_checked(3).unwrap_or((line, ""));
        let is_first = ["///", "//!"].contains(&marker) && before != marker;
        before = if marker == "///" {
            "///"
        } else if marker == "//!" {
            "//!"
        } else {
            ""
        };
        is_first && opens_oddly(text)
    })
}

/// Returns the lines of a Markdown file, or the comments of a file of requests, with such a sentence.
fn odd_document_lines(source: &Source) -> Vec<usize> {
    let is_requests = source.path.ends_with(".http");
    if !is_requests && !source.path.ends_with(".md") {
        return vec![];
    }
    let mut in_code = false;
    lines_where(&source.text, |line| {
        in_code ^= line.trim_start().starts_with("```");
        let is_text = if is_requests {
            line.starts_with('#')
        } else {
            !in_code
        };
        is_text && line.split('|').any(has_odd_sentence)
    })
}

/// Returns the lines of an API document whose summary, description or title has such a sentence.
fn odd_api_lines(source: &Source) -> Vec<usize> {
    if !source.path.starts_with("openapi/") {
        return vec![];
    }
    if source.path.ends_with(".yaml") {
        return lines_where(&source.text, has_odd_sentence);
    }
    lines_where(&source.text, |line| {
        let Some((key, value)) = line.split_once(": \"") else {
            return false;
        };
        let is_prose = ["\"summary\"", "\"description\"", "\"title\""].contains(&key.trim());
        is_prose && has_odd_sentence(value)
    })
}

/// Returns the lines of the table of problems with such a title or help.
fn odd_problem_lines(source: &Source) -> Vec<usize> {
    if !source.path.ends_with("problem/reason.rs") {
        return vec![];
    }
    lines_where(&source.text, |line| {
        let mut strings = line.split('"').skip(1).step_by(2);
        !line.trim_start().starts_with("//") && strings.any(has_odd_sentence)
    })
}

/// Returns the lines with a log message that opens with a relative clause, in capitals or not.
fn odd_log_lines(source: &Source) -> Vec<usize> {
    if !source.path.ends_with(".rs") {
        return vec![];
    }
    let text = &source.text;
    let levels = ["trace", "debug", "info", "warn", "error"].map(|level| format!("{level}!("));
    let calls = text.match_indices("tracing::").filter_map(|(at, path)| {
        let call = &text[at + path.len()..];
        let level = levels.iter().find(|level| call.starts_with(*level))?;
        message(&call[level.len()..]).map(|message| (at, message))
    });
    calls
        .filter(|(_, message)| opens_oddly(message) || has_odd_sentence(message))
        .map(|(at, _)| text[..at].matches('\n').count() + 1)
        .collect()
}

/// Returns the first string that is neither a field's value nor inside a call, up to the macro's end.
fn message(arguments: &str) -> Option<&str> {
    let (mut depth, mut before, mut at) = (0, '(', 0);
    while let Some(c) = arguments[at..].chars().next() {
        at += c.len_utf8();
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => return None,
            ')' | ']' | '}' => depth -= 1,
            '"' => {
                let rest = &arguments[at..];
                let mut escaped = false;
                let end = rest.find(|c| {
                    let ends = c == '"' && !escaped;
                    escaped = c == '\\' && !escaped;
                    ends
                })?;
                if depth == 0 && "(,".contains(before) {
                    return Some(&rest[..end]);
                }
                at += end + 1;
            }
            _ => {}
        }
        if !c.is_whitespace() {
            before = c;
        }
    }
    None
}

/// Compares the counted numbers with the table; returns one line for each folder that differs.
fn differences(counts: &BTreeMap<&str, usize>, at_most: &[(&str, usize)]) -> Vec<String> {
    let limit_of = |folder: &str| {
        let row = at_most.iter().find(|(name, _)| *name == folder);
        row.map_or(0, |(_, limit)| *limit)
    };
    let mut folders: Vec<&str> = at_most.iter().map(|(name, _)| *name).collect();
    folders.extend(counts.keys());
    folders.sort_unstable();
    folders.dedup();
    let compared = folders.into_iter().map(|folder| {
        let (count, limit) = (counts.get(folder).copied().unwrap_or(0), limit_of(folder));
        (folder, count, limit)
    });
    compared
        .filter(|(_, count, limit)| count != limit)
        .map(|(folder, count, limit)| {
            if count > limit {
                format!("{folder}: {count}, but at most {limit}: rewrite the new ones")
            } else {
                format!("{folder}: {count}, no longer {limit}: lower the number")
            }
        })
        .collect()
}

fn table(counts: &BTreeMap<&str, usize>) -> String {
    let mut table = "const AT_MOST: &[(&str, usize)] = &[\n".to_owned();
    for (folder, count) in counts {
        let _ = writeln!(table, "    ({folder:?}, {count}),");
    }
    table + "];"
}

#[test]
fn fewer_and_fewer_doc_comments_open_with_a_relative_clause() {
    let rule = Rule {
        law: "a doc comment opens with a verb or a noun, not with a relative clause",
        breaches: odd_doc_comments,
        broken_by: &[
            ("api/src/a.rs", "//! Of those that wait.\n"),
            ("api/src/b.rs", "//! A.\n\n/// What is sent.\nfn a() {}\n"),
            ("api/src/c.rs", "    /// Whoever asks, gets it.\n"),
            ("api/src/d.rs", "//! A.\n/// That nobody has it.\n"),
            (
                "api/src/e.rs",
                "/// A.\na: u8,\n/// Where it stands.\nb: u8,\n",
            ),
        ],
        kept_by: &[
            ("api/src/a.rs", "//! Sends it.\n//! What is sent, stays.\n"),
            (
                "api/src/b.rs",
                "/// Offers it.\n// Of those\nlet a = \"/// Of\";\n",
            ),
            ("api/src/c.rs", "/// `of` is a word; that is all.\n"),
            ("docs/a.md", "/// Of those.\n"),
        ],
    };
    let mut found = rule.found();
    found.sort();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for place in &found {
        let folder = place.split('/').next().unwrap_or_default();
        *counts.entry(folder).or_default() += 1;
    }
    let differences = differences(&counts, AT_MOST);
    let grew = |place: &&String| {
        differences.iter().any(|line| {
            line.contains("at most")
                && place.starts_with(line.split(':').next().unwrap_or_default())
        })
    };
    let places: Vec<&str> = found.iter().filter(grew).map(String::as_str).collect();
    assert!(
        differences.is_empty(),
        "{}\n  {}\n\nIn folders with too many:\n  {}\n\nThe actual numbers:\n{}\n",
        rule.law,
        differences.join("\n  "),
        places.join("\n  "),
        table(&counts),
    );
}

#[test]
fn no_document_has_a_sentence_that_opens_with_a_relative_clause() {
    Rule {
        law: "no sentence of a document opens with a relative clause",
        breaches: odd_document_lines,
        broken_by: &[
            ("README.md", "Orders are kept. Whoever asks sees them.\n"),
            ("docs/a.md", "- **What is sent** stays.\n"),
            ("docs/b.md", "| a | Of those, one |\n"),
            ("docs/adr/1.md", "# Where a code lives\n"),
            ("docs/seeds/a.http", "### What they can order\n"),
        ],
        kept_by: &[
            ("README.md", "Sent. What is next? That is all.\n"),
            (
                "docs/a.md",
                "```\nWhat a code block says\n```\n| what | Is `That` |\n",
            ),
            (
                "docs/b.md",
                "It keeps what\nthey sent, of\nwhich there is one.\n",
            ),
            (
                "requests.http",
                "### Who am I?\n{\"name\": \"What a day\"}\n",
            ),
        ],
    }
    .hold();
}

#[test]
fn no_sentence_of_the_api_document_opens_with_a_relative_clause() {
    Rule {
        law: "no summary, description or title in openapi/ has a sentence that opens with a relative clause",
        breaches: odd_api_lines,
        broken_by: &[
            ("openapi/a.json", "  \"summary\": \"What waits\",\n"),
            ("openapi/a.json", "\"description\": \"Kept.\\n\\nOf those, one.\",\n"),
            ("openapi/a.json", "\"description\": \"- `gone`: That is gone. Whoever asks.\"\n"),
            ("openapi/a.yaml", "description: Kept. Whoever asks.\n"),
        ],
        kept_by: &[
            ("openapi/a.json", "\"title\": \"A list of what waits\",\n\"title\": {\n"),
            ("openapi/a.json", "\"example\": \"What a day\"\n"),
            ("web/a.json", "\"title\": \"What waits\"\n"),
            ("openapi/a.yaml", "# A list.\ntitle: A list of what waits\n"),
        ],
    }
    .hold();
}

#[test]
fn no_problem_opens_with_a_relative_clause() {
    Rule {
        law: "no title or help of a problem has a sentence that opens with a relative clause",
        breaches: odd_problem_lines,
        broken_by: &[
            (
                "api/src/problem/reason.rs",
                "Gone = \"gone\", GONE, \"What was here is gone\",\n",
            ),
            (
                "api/src/http/problem/reason.rs",
                "    \"Nothing was done. Whoever asks.\";\n",
            ),
        ],
        kept_by: &[(
            "api/src/problem/reason.rs",
            "/// What it is.\nGone = \"of\", GONE, \"Gone\";\n",
        )],
    }
    .hold();
    assert!(
        super::workspace_files()
            .iter()
            .any(|source| source.path.ends_with("problem/reason.rs")),
        "the table of problems has moved: name its file in odd_problem_lines"
    );
}

#[test]
fn no_log_message_opens_with_a_relative_clause() {
    Rule {
        law: "no log message opens with a relative clause",
        breaches: odd_log_lines,
        broken_by: &[
            (
                "worker/src/a.rs",
                "tracing::warn!(\"what was claimed is given back\");\n",
            ),
            (
                "worker/src/b.rs",
                "tracing::info!(\n    %error, at = \"x\",\n    \"Of {n}, one\"\n);\n",
            ),
            (
                "worker/src/c.rs",
                "tracing::error!(target: \"a\", n = f(\"b\"), \"Gone. That nobody has.\");\n",
            ),
        ],
        kept_by: &[
            (
                "worker/src/a.rs",
                "tracing::warn!(why = \"what\", \"claim failed: \\\"{error}\\\"\");\n",
            ),
            ("worker/src/b.rs", "tracing::info!(n);\nf(\"what\");\n"),
        ],
    }
    .hold();
}

#[test]
fn a_number_that_grew_and_one_that_fell_are_both_told() {
    let counts = BTreeMap::from([("api", 3), ("common", 2), ("web", 1)]);
    assert_eq!(
        differences(&counts, &[("api", 2), ("bench", 1), ("common", 2)]),
        [
            "api: 3, but at most 2: rewrite the new ones",
            "bench: 0, no longer 1: lower the number",
            "web: 1, but at most 0: rewrite the new ones",
        ]
    );
    assert!(differences(&counts, &[("api", 3), ("common", 2), ("web", 1)]).is_empty());
    assert!(table(&counts).contains("    (\"api\", 3),\n"));
}
