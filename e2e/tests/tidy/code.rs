//! Reads Rust files as code: blanks comments and strings, leaves out tests, and finds words and paths with their lines.

/// Returns the lines of a Rust file with comments, strings and characters blanked.
pub(super) fn code_lines(text: &str) -> Vec<String> {
    blanked(text).lines().map(str::to_owned).collect()
}

/// Like [`code_lines`], without the file's own tests, which are at its end after `#[cfg(test)]`.
pub(super) fn shipped_lines(text: &str) -> Vec<String> {
    let mut lines = code_lines(text);
    let tests = lines.windows(2).position(|pair| {
        pair[0].trim_start().starts_with("#[cfg(test)]")
            && pair[1].trim_start().starts_with("mod ")
            && pair[1].trim_end().ends_with('{')
    });
    lines.truncate(tests.unwrap_or(lines.len()));
    lines
}

/// Returns the numbers of the lines that contain one of the words, except as part of a longer name.
pub(super) fn lines_with(lines: &[String], words: &[&str]) -> Vec<usize> {
    let numbered = lines.iter().enumerate();
    numbered
        .filter(|(_, line)| words.iter().any(|word| has_word(line, word)))
        .map(|(index, _)| index + 1)
        .collect()
}

fn has_word(line: &str, word: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let starts = !word.starts_with(part_of_name) || !before.is_some_and(part_of_name);
        let ends = !word.ends_with(part_of_name) || !after.is_some_and(part_of_name);
        starts && ends
    })
}

fn blanked(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = end_of_noncode(&chars, at);
        if end == at {
            code.push(chars[at]);
            at += 1;
        } else {
            let end = end.min(chars.len());
            code.extend(
                chars[at..end]
                    .iter()
                    .map(|&c| if c == '\n' { '\n' } else { ' ' }),
            );
            at = end;
        }
    }
    code
}

/// Returns the end of the comment, string or character that begins at `at`; `at` itself if code begins there.
fn end_of_noncode(chars: &[char], at: usize) -> usize {
    let looking_at = |start: usize, word: &str| {
        word.chars()
            .enumerate()
            .all(|(offset, c)| chars.get(start + offset) == Some(&c))
    };
    let next = |start: usize, word: &str| (start..chars.len()).find(|&i| looking_at(i, word));
    let in_name = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match chars[at] {
        '/' if looking_at(at, "//") => next(at, "\n").unwrap_or(chars.len()),
        '/' if looking_at(at, "/*") => {
            let (mut depth, mut i) = (1, at + 2);
            while depth > 0 && i < chars.len() {
                match () {
                    () if looking_at(i, "/*") => (depth, i) = (depth + 1, i + 2),
                    () if looking_at(i, "*/") => (depth, i) = (depth - 1, i + 2),
                    () => i += 1,
                }
            }
            i
        }
        'r' if !in_name || chars[at - 1] == 'b' => {
            let hashes = chars[at + 1..].iter().take_while(|&&c| c == '#').count();
            if chars.get(at + 1 + hashes) != Some(&'"') {
                return at;
            }
            let close = format!("\"{}", "#".repeat(hashes));
            next(at + 2 + hashes, &close).map_or(chars.len(), |i| i + close.len())
        }
        '"' => end_of_quoted(chars, at, '"'),
        // 'a' and '\n' are characters; 'a without a closing quote is a lifetime.
        '\'' if looking_at(at + 1, "\\") || chars.get(at + 2) == Some(&'\'') => {
            end_of_quoted(chars, at, '\'')
        }
        _ => at,
    }
}

fn end_of_quoted(chars: &[char], open: usize, quote: char) -> usize {
    let mut at = open + 1;
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

#[test]
fn comments_strings_and_characters_are_no_code() {
    let text =
        "a(\"x \\\" y\") // sqlx\n/* sq /* l */ x\n*/ b('\"', r#\"\"q\"#, br\"z\", '\\'') <'c>";
    assert_eq!(
        code_lines(text)
            .iter()
            .map(|line| line.replace(' ', ""))
            .collect::<Vec<_>>(),
        ["a()", "", "b(,,b,)<'c>"]
    );
}

#[test]
fn a_files_own_tests_are_not_shipped() {
    let text = "one\n#[cfg(test)]\nuse x;\n#[cfg(test)]\nmod tests {\n two\n}\n";
    assert_eq!(shipped_lines(text), ["one", "#[cfg(test)]", "use x;"]);
}

#[test]
fn words_are_found_as_words_only() {
    let lines = [
        "sqlx::query()",
        "my_sqlx::query()",
        "sqlx_more",
        "tx.commit()",
    ]
    .map(str::to_owned);
    assert_eq!(lines_with(&lines, &["sqlx"]), [1]);
    assert_eq!(lines_with(&lines, &[".commit()"]), [4]);
}
