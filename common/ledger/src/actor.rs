//! The actor of the changes that a task makes: set once where a request is let in, and noted with every event.

use std::net::IpAddr;

use domain::actor::Actor;

use crate::Change;

tokio::task_local! {
    static ACTOR: Actor;
    static ADDRESS: IpAddr;
}

/// Runs work; the changes in it are this actor's. Other tasks that the work starts are not included.
pub async fn acting<T>(actor: Actor, work: impl Future<Output = T>) -> T {
    ACTOR.scope(actor, work).await
}

/// Does the same as [`acting`] for a request that came from this address.
pub async fn acting_from<T>(actor: Actor, address: IpAddr, work: impl Future<Output = T>) -> T {
    ADDRESS.scope(address, acting(actor, work)).await
}

/// Returns the actor of this task: the system, if there is no request.
pub(crate) fn current() -> Actor {
    ACTOR.try_with(Actor::clone).unwrap_or(Actor::SYSTEM)
}

/// Returns the client address of this task's request.
pub(crate) fn address() -> Option<IpAddr> {
    ADDRESS.try_with(|address| *address).ok()
}

impl Change<'_> {
    /// Sets who causes the events that are added from now on; returns who did before.
    pub(crate) fn act_as(&mut self, actor: Actor) -> Actor {
        std::mem::replace(&mut self.actor, actor)
    }
}
