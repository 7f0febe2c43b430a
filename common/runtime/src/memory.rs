//! The allocator of all programs, and how what was freed goes back to the system.

use std::{hint::black_box, time::Duration};

use mimalloc::MiMalloc;
use tokio_util::sync::CancellationToken;

/// A fifth of the processor time of an order went into glibc's allocator (docs/benchmarks.md, section 8).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Longer than an idle thread of the runtime lives, whose memory is only then free for all.
const INTERVAL: Duration = Duration::from_secs(15);
/// More than the allocator keeps for a thread, so that it looks at what all threads have freed.
const LARGE_BYTES: usize = 64 << 20;

/// Makes the allocator return memory that was freed a while ago, such as that of hashing a password: it does so when it
/// takes or frees a large block, which an idle process never does. The block is not written to, and so costs no memory.
pub(crate) async fn return_freed(stopping: CancellationToken) {
    loop {
        let mut block = Vec::<u8>::new();
        // Refused where the address space is limited; then what was freed stays for longer.
        let _ = block.try_reserve_exact(LARGE_BYTES);
        drop(black_box(block));
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}
