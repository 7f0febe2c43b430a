//! For tests of the binaries.

pub mod start;
pub use crate::starting_alone;
