//! Real WebSockets over loopback, against a ledger and the embedded broker: no event is lost or duplicated.

#[cfg(test)]
mod sessions;
#[cfg(test)]
mod setup;
#[cfg(test)]
mod ticketed;
