//! Real sockets and event streams over loopback, on a ledger and the embedded broker: no event is lost or sent twice.

#[cfg(test)]
mod event_reader;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod setup;
#[cfg(test)]
mod ticketed;
