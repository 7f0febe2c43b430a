//! The pages' files in gzip: each is compressed once, when it is first asked for.

use std::{
    collections::HashMap,
    io::Write,
    sync::{LazyLock, Mutex, PoisonError},
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};

/// Compressed files by the hash of their content. A release has one entry for each file.
static KEPT: LazyLock<Mutex<HashMap<[u8; 32], Bytes>>> = LazyLock::new(Mutex::default);

/// Returns a file in gzip.
pub(super) fn file(hash: &[u8; 32], data: &[u8]) -> Bytes {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let packed = kept.entry(*hash).or_insert_with(|| pack(data));
    packed.clone()
}

fn pack(data: &[u8]) -> Bytes {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    let written = gzip.write_all(data).and_then(|()| gzip.finish());
    Bytes::from(written.expect("memory can be written to"))
}
