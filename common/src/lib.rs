pub mod clock;
pub mod chance;
pub mod crash;
pub mod broker;
