//! Values in files: `EXPEDITER__SECTION__KEY_FILE` names the file that contains the value, as containers are given
//! secrets.

use std::{fs::File, io::Read};

use zeroize::Zeroizing;

/// Maximum size of a file; no value is nearly as long.
const MAX_BYTES: u64 = 65_536;
/// Length from which a word of a message that also stands in the file counts as repeated from there.
const REPEATED_LETTERS: usize = 4;

/// Reads a value, which ends before the file's last line break. An error does not name the file: the variable may hold the
/// secret itself by mistake.
pub(super) fn read(path: &str) -> Result<Zeroizing<String>, String> {
    if path.is_empty() {
        return Err("has no file: the variable is empty".to_owned());
    }
    let mut bytes = Zeroizing::new(Vec::new());
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|cause| format!("is in a file that cannot be read: {cause}"))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("is in a file of more than {MAX_BYTES} bytes"));
    }
    let Ok(text) = std::str::from_utf8(&bytes) else {
        return Err("is in a file that is not UTF-8 text".to_owned());
    };
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err("is in an empty file".to_owned());
    }
    Ok(Zeroizing::new(text.to_owned()))
}

/// Returns a message about a value of a file, without the value.
pub(super) fn without(content: &str, message: String) -> String {
    let repeats = |word: &str| word.len() >= REPEATED_LETTERS && message.contains(word);
    let mut words = content.split(|c: char| !c.is_alphanumeric());
    if message.contains(content.trim()) || words.any(repeats) {
        "is invalid, and is not shown because it comes from a file".to_owned()
    } else {
        message
    }
}
