//! Start of the binary; the tests are in `common`, because every program must pass the same ones.

runtime::testing::starting_alone!("api");
