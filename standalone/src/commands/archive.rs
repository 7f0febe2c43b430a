//! `expediter archive`: writes ended orders into compressed files.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::ExitCode,
};

use chrono::{DateTime, Utc};
use flate2::{Compression, write::GzEncoder};
use ledger::{
    Ledger,
    retention::{Archived, Archiving},
};
use runtime::config::Settings;

use super::{beside::CommandLedger, say};
use crate::{command_line::Archive, data_dir, refusal::Refusal};

/// Name of a file until it is whole.
const PART: &str = "orders.part";
const LOCK: &str = "archive.lock";

pub(crate) async fn archive(settings: &Settings, options: Archive) -> Result<ExitCode, Refusal> {
    data_dir::require_database(settings)?;
    let beside = CommandLedger::open_without_keys(settings).await?;
    let written = write_files(&beside.ledger, &options).await;
    beside.close().await;
    let orders = written?;
    say(match orders {
        0 => "No more orders to archive.".to_owned(),
        1 => "1 order archived.".to_owned(),
        _ => format!("{orders} orders archived."),
    });
    Ok(ExitCode::SUCCESS)
}

async fn write_files(ledger: &Ledger, options: &Archive) -> Result<u64, Refusal> {
    let before = options.before.or_else(|| ledger.archived_before());
    let before = before.ok_or(Refusal::ArchiveOfWhen)?;
    let folder = &options.directory;
    // The files have personal data.
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(failed(folder))?;
    let lock = folder.join(LOCK);
    let locked = File::create(&lock).map_err(failed(&lock))?;
    // Released with the process, however it ends.
    locked.try_lock().map_err(|_| Refusal::ArchiveOvertaken)?;
    let (mut orders, began_at) = (0, ledger.clock().now());
    loop {
        let (written, is_full) = write_file(ledger, folder, before, began_at).await?;
        orders += written;
        if !is_full {
            return Ok(orders);
        }
    }
}

/// Writes one file and marks its orders as archived; returns their number, and true if there may be more.
async fn write_file(
    ledger: &Ledger,
    folder: &Path,
    before: DateTime<Utc>,
    run_began_at: DateTime<Utc>,
) -> Result<(u64, bool), Refusal> {
    let begun = ledger.begin_archive(before, run_began_at).await;
    let mut archiving = begun.map_err(Refusal::failed("reading the archive's place"))?;
    let part = folder.join(PART);
    write_lines(ledger, &mut archiving, &part).await?;
    let path = archiving.name().map(|name| folder.join(name));
    match &path {
        // Durable under its name before it is marked. One of this name that was never marked is replaced.
        Some(path) => {
            let renamed = fs::rename(&part, path).and_then(|()| File::open(folder)?.sync_all());
            renamed.map_err(failed(path))?;
        }
        None => fs::remove_file(&part).map_err(failed(&part))?,
    }
    let marked = ledger.mark_archived(&archiving).await;
    let marked = marked.map_err(Refusal::failed("marking the archived orders"))?;
    if let Some(path) = &path {
        if marked == Archived::Overtaken {
            fs::remove_file(path).map_err(failed(path))?;
        } else {
            let orders = archiving.orders();
            let noun = if orders == 1 { "order" } else { "orders" };
            say(format_args!("{}: {orders} {noun}", path.display()));
        }
    }
    match marked {
        Archived::Marked => Ok((archiving.orders(), archiving.is_full())),
        Archived::Overtaken => Err(Refusal::ArchiveOvertaken),
    }
}

async fn write_lines(
    ledger: &Ledger,
    archiving: &mut Archiving,
    part: &Path,
) -> Result<(), Refusal> {
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(part);
    let file = BufWriter::new(opened.map_err(failed(part))?);
    let mut compressed = GzEncoder::new(file, Compression::default());
    loop {
        let page = ledger.archive_page(archiving).await;
        let page = page.map_err(Refusal::failed("reading orders for the archive"))?;
        let Some(lines) = page else {
            break;
        };
        for line in lines {
            let written = compressed.write_all(line.as_bytes());
            let written = written.and_then(|()| compressed.write_all(b"\n"));
            written.map_err(failed(part))?;
        }
    }
    let ended = compressed.finish().and_then(|file| {
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()
    });
    ended.map_err(failed(part))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> Refusal {
    let path: PathBuf = path.to_owned();
    move |cause| Refusal::ArchiveFile { path, cause }
}
