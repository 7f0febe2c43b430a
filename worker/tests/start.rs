//! The binary alone; what is asked of it stands in common, since each program is asked the same.

runtime::testing::starting_alone!("worker");
