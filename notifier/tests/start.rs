//! Starts the binary alone; the checks are in `common`, because they are the same for each program.

runtime::testing::starting_alone!("notifier");
