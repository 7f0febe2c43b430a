//! Actors: who made a change, as everyone who may know it is told.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    account::{Account, Role},
    ids::AccountId,
    integrator::Integrator,
    words::words,
};

words! {
    pub enum ActorKind {
        /// A person or a program that signed in.
        Account = "account",
        /// A guest, by a session's code.
        Guest = "guest",
        Integrator = "integrator",
        /// Our own rules: the first attempt, a deadline, the last of five attempts.
        System = "system",
    }
}

/// Author of a change, as of then: a later name or role does not change what is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    pub kind: ActorKind,
    /// Id of the account or integrator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Role of the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

/// Those whom an actor is shown to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Viewer {
    /// Staff, managers and operators: see who it was.
    Staff,
    /// The account that placed the order: sees itself, and the kind of all others.
    Owner(AccountId),
    /// A guest: sees the kind.
    Guest,
}

impl Actor {
    pub const GUEST: Self = Self::unnamed(ActorKind::Guest);
    pub const SYSTEM: Self = Self::unnamed(ActorKind::System);

    const fn unnamed(kind: ActorKind) -> Self {
        Self {
            kind,
            id: None,
            name: None,
            role: None,
        }
    }

    #[must_use]
    pub fn account(account: &Account) -> Self {
        Self {
            kind: ActorKind::Account,
            id: Some(account.id.uuid()),
            name: Some(account.username.clone()),
            role: Some(account.role),
        }
    }

    #[must_use]
    pub fn integrator(integrator: &Integrator) -> Self {
        Self {
            kind: ActorKind::Integrator,
            id: Some(integrator.id.uuid()),
            name: Some(integrator.name.clone()),
            role: None,
        }
    }

    /// Returns our own rules under a name, or a person at the console: their changes are recorded, unlike those of
    /// [`Self::SYSTEM`].
    #[must_use]
    pub fn named_system(name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            ..Self::SYSTEM
        }
    }

    /// Returns the account of which only the id is known.
    #[must_use]
    pub fn account_id(id: AccountId) -> Self {
        Self {
            id: Some(id.uuid()),
            ..Self::unnamed(ActorKind::Account)
        }
    }

    /// Returns as much of the actor as the viewer may know.
    #[must_use]
    pub fn shown_to(&self, viewer: Viewer) -> Self {
        let is_known = match viewer {
            Viewer::Staff => true,
            Viewer::Owner(account) => self.id == Some(account.uuid()),
            Viewer::Guest => false,
        };
        if is_known {
            self.clone()
        } else {
            Self::unnamed(self.kind)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_staff_are_told_who_it_was_and_each_account_of_itself() {
        let anna = AccountId::from(Uuid::from_u128(1));
        let actor = Actor {
            name: Some("anna".to_owned()),
            role: Some(Role::Customer),
            ..Actor::account_id(anna)
        };
        let kind = Actor::unnamed(ActorKind::Account);
        assert_eq!(actor.shown_to(Viewer::Staff), actor);
        assert_eq!(actor.shown_to(Viewer::Owner(anna)), actor);
        let ben = AccountId::from(Uuid::from_u128(2));
        assert_eq!(actor.shown_to(Viewer::Owner(ben)), kind);
        assert_eq!(actor.shown_to(Viewer::Guest), kind);
        assert_eq!(Actor::SYSTEM.shown_to(Viewer::Owner(anna)), Actor::SYSTEM);
    }

    #[test]
    fn an_actor_without_a_name_is_a_few_bytes() {
        let text = serde_json::to_string(&Actor::GUEST).unwrap();
        assert_eq!(text, r#"{"kind":"guest"}"#);
        assert_eq!(serde_json::from_str::<Actor>(&text).unwrap(), Actor::GUEST);
    }
}
