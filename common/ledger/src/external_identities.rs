//! External identities: which account is which user of the verification service, and the session keys that stand in for
//! that service.

use serde_json::{Map, json};

use super::{
    Change, ChangeResult, CrashPoints, Ledger, Refusal, Result, accounts, in_one_transaction,
};
use domain::{account::Account, ids::AccountId, record::Action};
use platform::secrets::{same, sha256};
use store::{StoreError, external_identities::Identity};

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExternalIdentityRefused {
    #[error("the account does not exist")]
    NoSuchAccount,
    #[error("another account is linked to this user")]
    UserTaken,
}

impl Refusal for ExternalIdentityRefused {}

impl Ledger {
    /// Links the account to the user. The session key is shown only this once, and replaces an earlier one.
    #[crate::boxed]
    pub async fn link_external_identity(
        &self,
        account: AccountId,
        user_id: &str,
    ) -> ChangeResult<String, ExternalIdentityRefused> {
        let session_key = self.inner.chance.token();
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let found = store::accounts::lock(&mut change.tx, account).await?;
            let Some(found) = found.filter(|found| !found.is_of_key()) else {
                return Err(ExternalIdentityRefused::NoSuchAccount.into());
            };
            let before = store::external_identities::user_of(&mut change.tx, account).await?;
            let identity = Identity {
                account,
                session_key_hash: sha256(session_key.as_bytes()),
            };
            let now = change.now;
            match store::external_identities::replace(&mut change.tx, &identity, user_id, now).await
            {
                Err(StoreError::UniqueKeyTaken) => {
                    return Err(ExternalIdentityRefused::UserTaken.into());
                }
                done => done?,
            }
            record(change, &found.account, before, Some(user_id));
            Ok(session_key.clone())
        })
    }

    /// Unlinks an account from its user; a no-op without one.
    #[crate::boxed]
    pub async fn unlink_external_identity(&self, account: AccountId) -> Result<()> {
        in_one_transaction!(&self.inner, CrashPoints::NONE, |change| {
            let before = store::external_identities::user_of(&mut change.tx, account).await?;
            store::external_identities::delete(&mut change.tx, account).await?;
            if before.is_some()
                && let Some(found) = store::accounts::by_id(&mut change.tx, account).await?
            {
                record(change, &found.account, before, None);
            }
            Ok(())
        })
    }

    /// Returns the user that the account is linked to.
    #[crate::boxed]
    pub async fn external_user(&self, account: AccountId) -> Result<Option<String>> {
        let mut tx = self.inner.db.read().await?;
        Ok(store::external_identities::user_of(&mut tx, account).await?)
    }

    /// Returns the account that is linked to this user, also a disabled one.
    #[crate::boxed]
    pub async fn account_of_external_user(&self, user_id: &str) -> Result<Option<Account>> {
        self.account_of(user_id, |_| true).await
    }

    /// Returns the account that is linked to this user, if the session key is right.
    #[crate::boxed]
    pub async fn account_by_session_key(
        &self,
        user_id: &str,
        session_key: &str,
    ) -> Result<Option<Account>> {
        let hash = sha256(session_key.as_bytes());
        let is_right = |identity: &Identity| same(&hash, &identity.session_key_hash);
        self.account_of(user_id, is_right).await
    }

    async fn account_of(
        &self,
        user_id: &str,
        is_right: impl Fn(&Identity) -> bool,
    ) -> Result<Option<Account>> {
        let mut tx = self.inner.db.read().await?;
        let identity = store::external_identities::of_user(&mut tx, user_id).await?;
        let Some(identity) = identity.filter(is_right) else {
            return Ok(None);
        };
        let found = store::accounts::by_id(&mut tx, identity.account).await?;
        Ok(found.map(|found| found.account))
    }
}

fn record(change: &mut Change<'_>, account: &Account, before: Option<String>, after: Option<&str>) {
    let user = json!({"from": before, "to": after});
    let fields = Map::from_iter([("external_user".to_owned(), user)]);
    change.record_fields(
        accounts::about(account, &account.stores),
        Action::Edited,
        fields,
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ChangeError,
        testing::{TestLedger, fixtures::new_account},
    };
    use domain::account::Role;
    use each_database::each_database;

    async fn an_account(house: &TestLedger, username: &str) -> AccountId {
        let new = new_account(username, Role::Operator);
        house.ledger.create_account(&new).await.unwrap().id
    }

    fn id(found: Option<Account>) -> Option<AccountId> {
        found.map(|account| account.id)
    }

    #[each_database]
    async fn a_session_key_is_its_users_until_the_next_one(house: TestLedger) {
        let (anna, ledger) = (an_account(&house, "anna").await, &house.ledger);
        let first = ledger.link_external_identity(anna, "1").await.unwrap();
        let by = async |user: &str, key: &str| {
            id(ledger.account_by_session_key(user, key).await.unwrap())
        };
        assert_eq!(by("1", &first).await, Some(anna));
        assert_eq!(by("2", &first).await, None);
        assert_eq!(by("1", "guess").await, None);
        let second = ledger.link_external_identity(anna, "2").await.unwrap();
        assert_eq!(by("1", &first).await, None);
        assert_eq!(by("2", &first).await, None);
        assert_eq!(by("2", &second).await, Some(anna));
        assert_eq!(
            ledger.external_user(anna).await.unwrap().as_deref(),
            Some("2")
        );
        assert_eq!(
            id(ledger.account_of_external_user("2").await.unwrap()),
            Some(anna)
        );
        ledger.unlink_external_identity(anna).await.unwrap();
        ledger.unlink_external_identity(anna).await.unwrap();
        assert_eq!(by("2", &second).await, None);
        assert_eq!(ledger.external_user(anna).await.unwrap(), None);
    }

    #[each_database]
    async fn a_user_is_one_account_and_an_account_must_be_there(house: TestLedger) {
        let (anna, ben) = (
            an_account(&house, "anna").await,
            an_account(&house, "ben").await,
        );
        let key = house
            .ledger
            .link_external_identity(anna, "1")
            .await
            .unwrap();
        let bens = house.ledger.link_external_identity(ben, "2").await.unwrap();
        let refused = house.ledger.link_external_identity(ben, "1").await;
        assert!(
            matches!(
                refused,
                Err(ChangeError::Refused(ExternalIdentityRefused::UserTaken))
            ),
            "{refused:?}"
        );
        let by = async |user: &str, key: &str| {
            id(house
                .ledger
                .account_by_session_key(user, key)
                .await
                .unwrap())
        };
        assert_eq!(
            (by("1", &key).await, by("2", &bens).await),
            (Some(anna), Some(ben))
        );
        let nobody = house.chance.id(house.clock.now());
        let refused = house.ledger.link_external_identity(nobody, "3").await;
        assert!(
            matches!(
                refused,
                Err(ChangeError::Refused(ExternalIdentityRefused::NoSuchAccount))
            ),
            "{refused:?}"
        );
    }
}
