//! Brings orders to integrators, applies what they call back, and puts right what nobody told of.
pub mod outbound;
#[cfg(test)]
mod testing;
