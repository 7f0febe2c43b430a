//! Lists the migrations, so that a new file is in the next build. (sqlx has a macro for it, which builds sqlx and both
//! databases' drivers a second time for the compiler.)

#![expect(
    clippy::disallowed_methods,
    reason = "cargo tells a build script its folders by the environment"
)]

use std::{
    env,
    error::Error,
    fmt::Write,
    fs::{self, DirEntry},
    path::Path,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut code = String::new();
    for database in ["mysql", "sqlite"] {
        let folder = Path::new(&env::var("CARGO_MANIFEST_DIR")?)
            .join("../../migrations")
            .join(database);
        println!("cargo::rerun-if-changed={}", folder.display());
        let mut files = fs::read_dir(&folder)?.collect::<Result<Vec<_>, _>>()?;
        files.sort_by_key(DirEntry::file_name);
        let list = format!("{}_FILES", database.to_uppercase());
        writeln!(code, "const {list}: &[(&str, &str)] = &[")?;
        for file in files {
            let (name, path) = (file.file_name(), file.path());
            writeln!(code, "    ({name:?}, include_str!({path:?})),")?;
        }
        writeln!(code, "];")?;
    }
    Ok(fs::write(
        Path::new(&env::var("OUT_DIR")?).join("migrations.rs"),
        code,
    )?)
}
