//! Describes the machine as far as the numbers depend on it, without its owner's name.

use std::{fs, process::Command};

/// Returns cores, memory, kernel, compiler and load as one line.
pub(crate) fn facts() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    // The part after the first dash may name the builder.
    let kernel = kernel
        .trim()
        .split('-')
        .next()
        .unwrap_or_default()
        .to_owned();
    let memory = fs::read_to_string("/proc/meminfo").ok().and_then(|info| {
        let kib: u64 = info
            .lines()
            .next()?
            .split_whitespace()
            .nth(1)?
            .parse()
            .ok()?;
        Some(kib >> 20)
    });
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("?").to_owned();
    format!(
        "{cores} cores, {} GiB of memory, Linux {kernel}, {}; load average {load} at the start",
        memory.unwrap_or(0),
        rustc(),
    )
}

fn rustc() -> String {
    let said = Command::new("rustc").arg("--version").output();
    let said = said.map(|out| String::from_utf8_lossy(&out.stdout).into_owned());
    let words = said.unwrap_or_default();
    words
        .split_whitespace()
        .take(2)
        .collect::<Vec<_>>()
        .join(" ")
}
