//! The sealed columns of integrators, which a rotation of the encryption key seals again.

use super::IntegratorId;
use crate::{error::Result, execute, fetch_all, fetch_optional, for_update, tx::Tx};

/// Secrets of one integrator as they are stored, archived or not. A column with `NULL` is not among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    pub id: IntegratorId,
    pub auth: Vec<u8>,
    pub signing: Vec<u8>,
    pub old_signing: Option<Vec<u8>>,
    pub callback: Vec<u8>,
    pub old_callback: Option<Vec<u8>>,
}

type Columns = (
    IntegratorId,
    Vec<u8>,
    Vec<u8>,
    Option<Vec<u8>>,
    Vec<u8>,
    Option<Vec<u8>>,
);

/// `SELECT` of all sealed columns, with the rest of the statement.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, auth_sealed, signing_sealed, old_signing_sealed, callback_sealed, old_callback_sealed \
             FROM integrators ",
            $rest
        )
    };
}

/// Returns the secrets of the next integrators after one, by id.
pub async fn sealed(tx: &mut Tx, after: Option<IntegratorId>, limit: u32) -> Result<Vec<Sealed>> {
    let after = after.unwrap_or(IntegratorId::MIN);
    let rows: Vec<Columns> = fetch_all!(
        tx,
        select!("WHERE id > ? ORDER BY id LIMIT ?"),
        after,
        limit
    );
    Ok(rows.into_iter().map(Sealed::of).collect())
}

/// Locks an integrator and returns its secrets.
pub async fn lock_sealed(tx: &mut Tx, id: IntegratorId) -> Result<Option<Sealed>> {
    let sql = for_update!(tx, select!("WHERE id = ?"));
    let row: Option<Columns> = fetch_optional!(tx, sql, id);
    Ok(row.map(Sealed::of))
}

/// Writes the secrets of an integrator that is locked. Its version stays: nobody has edited it.
pub async fn write_sealed(tx: &mut Tx, sealed: &Sealed) -> Result<()> {
    execute!(
        tx,
        "UPDATE integrators SET auth_sealed = ?, signing_sealed = ?, old_signing_sealed = ?, callback_sealed = ?, \
         old_callback_sealed = ? WHERE id = ?",
        &sealed.auth,
        &sealed.signing,
        &sealed.old_signing,
        &sealed.callback,
        &sealed.old_callback,
        sealed.id
    );
    Ok(())
}

impl Sealed {
    fn of((id, auth, signing, old_signing, callback, old_callback): Columns) -> Self {
        Self {
            id,
            auth,
            signing,
            old_signing,
            callback,
            old_callback,
        }
    }

    pub fn values(&self) -> impl Iterator<Item = &Vec<u8>> {
        [&self.auth, &self.signing, &self.callback]
            .into_iter()
            .chain(&self.old_signing)
            .chain(&self.old_callback)
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Vec<u8>> {
        [&mut self.auth, &mut self.signing, &mut self.callback]
            .into_iter()
            .chain(&mut self.old_signing)
            .chain(&mut self.old_callback)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// Returns the names in a text that are as those of sealed columns.
    fn sealed_in(text: &str) -> BTreeSet<&str> {
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|word| *word == "sealed" || word.ends_with("_sealed"))
            .collect()
    }

    #[test]
    fn every_sealed_column_of_the_schema_is_sealed_again() {
        let schema = include_str!("../../../../migrations/schema.sqlite.txt");
        let mut again = sealed_in(select!(""));
        again.extend(sealed_in(crate::erasures::SEALED));
        assert_eq!(sealed_in(schema), again);
        assert_eq!(again.len(), 6);
    }
}
