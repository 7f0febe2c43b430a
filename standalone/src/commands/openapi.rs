//! `expediter openapi DIR`: writes the documents of `openapi/`.

use std::{fs, path::Path, process::ExitCode};

use super::say;
use crate::refusal::Refusal;

pub(crate) fn write(directory: &Path) -> Result<ExitCode, Refusal> {
    fs::create_dir_all(directory).map_err(Refusal::failed("creating the directory"))?;
    for (name, text) in api::documents() {
        let path = directory.join(name);
        fs::write(&path, text).map_err(Refusal::failed("writing a document"))?;
        say(path.display());
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_documents_are_what_this_program_would_write() {
        let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../openapi");
        for (name, text) in api::documents() {
            let found = fs::read_to_string(committed.join(name)).unwrap_or_default();
            assert!(
                found == text,
                "openapi/{name} is outdated: run `make openapi` and review the difference"
            );
        }
    }
}
