//! How this program was started, to tell people what to type to start it once more.

/// What was typed in place of its name, good for a shell in the same directory: `expediter` where it was found by
/// `PATH`, or a path, as `cargo run` says one. Where nobody said anything: `name`.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this folder is the one place that reads what surrounds the process"
)]
pub fn program(name: &str) -> String {
    let typed = std::env::args_os().next();
    let typed = typed.and_then(|typed| typed.into_string().ok());
    typed
        .filter(|typed| !typed.is_empty())
        .map_or_else(|| name.to_owned(), |typed| quoted(&typed))
}

/// As one word of a shell's.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+@".contains(c);
    if word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_of_a_shell() {
        for (path, word) in [
            ("target/release/expediter", "target/release/expediter"),
            ("/my houses/expediter", "'/my houses/expediter'"),
            ("it's/expediter", r"'it'\''s/expediter'"),
        ] {
            assert_eq!(quoted(path), word);
        }
    }
}
