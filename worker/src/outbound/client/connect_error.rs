//! Reasons why there is no connection to an integrator.

use super::{Broken, SendError};

/// Reason why there is no connection. Nothing of a request was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ConnectError {
    /// The integrator cannot be reached.
    Integrator(String),
    /// The egress proxy cannot be used: a failure of our own, which says nothing about the integrator.
    Proxy(String),
}

impl ConnectError {
    /// Returns the one of two failures that is told: without the proxy, nobody knows whether the integrator is there.
    pub(super) fn or(self, later: Self) -> Self {
        match self {
            Self::Proxy(_) => self,
            Self::Integrator(_) => later,
        }
    }
}

impl From<ConnectError> for SendError {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Integrator(error) => Broken::NotProcessed(error).into(),
            ConnectError::Proxy(why) => Self::Internal(format!("egress proxy: {why}")),
        }
    }
}
