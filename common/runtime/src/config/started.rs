//! The command with which this program was started, to show people what to type to start it again.

/// Returns the command as it was typed, quoted for a shell in the same directory: `expediter` if it was found by
/// `PATH`, or a path, as `cargo run` passes one. Returns `name` if the command is unknown.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this folder is the one place that reads the environment"
)]
pub fn program(name: &str) -> String {
    let typed = std::env::args_os().next();
    let typed = typed.and_then(|typed| typed.into_string().ok());
    typed
        .filter(|typed| !typed.is_empty())
        .map_or_else(|| name.to_owned(), |typed| quoted(&typed))
}

/// Quotes a word for a shell.
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
