//! Values of statements and columns of rows: words and currencies as texts. Only `store` switches the feature on.

/// Implements sqlx's traits for a type that is stored as text: `as_str()` writes it, and `FromStr` reads it.
macro_rules! stored_as_text {
    ($name:ty) => {
        #[cfg(feature = "sqlx")]
        const _: () = {
            use sqlx::{Database, Decode, Encode, Type, encode::IsNull, error::BoxDynError};

            impl<DB: Database> Type<DB> for $name
            where
                str: Type<DB>,
            {
                fn type_info() -> DB::TypeInfo {
                    <str as Type<DB>>::type_info()
                }

                fn compatible(_: &DB::TypeInfo) -> bool {
                    // sqlx-mysql 0.8 takes text with a binary collation for bytes. A word that is none is refused.
                    true
                }
            }

            impl<'q, DB: Database> Encode<'q, DB> for $name
            where
                String: Encode<'q, DB>,
            {
                fn encode_by_ref(
                    &self,
                    to: &mut DB::ArgumentBuffer<'q>,
                ) -> Result<IsNull, BoxDynError> {
                    // sqlx-sqlite 0.8 takes only a borrow that outlives the statement.
                    self.as_str().to_owned().encode(to)
                }
            }

            impl<'r, DB: Database> Decode<'r, DB> for $name
            where
                &'r str: Decode<'r, DB>,
            {
                fn decode(value: DB::ValueRef<'r>) -> Result<Self, BoxDynError> {
                    Ok(<&str>::decode(value)?.parse()?)
                }
            }
        };
    };
}

/// Implements sqlx's traits for a type around a UUID, which is stored as the UUID is.
macro_rules! stored_as_uuid {
    ($name:ty) => {
        #[cfg(feature = "sqlx")]
        const _: () = {
            use sqlx::{Database, Decode, Encode, Type, encode::IsNull, error::BoxDynError};

            impl<DB: Database> Type<DB> for $name
            where
                Uuid: Type<DB>,
            {
                fn type_info() -> DB::TypeInfo {
                    <Uuid as Type<DB>>::type_info()
                }

                fn compatible(info: &DB::TypeInfo) -> bool {
                    <Uuid as Type<DB>>::compatible(info)
                }
            }

            impl<'q, DB: Database> Encode<'q, DB> for $name
            where
                Uuid: Encode<'q, DB>,
            {
                fn encode_by_ref(
                    &self,
                    to: &mut DB::ArgumentBuffer<'q>,
                ) -> Result<IsNull, BoxDynError> {
                    self.0.encode_by_ref(to)
                }
            }

            impl<'r, DB: Database> Decode<'r, DB> for $name
            where
                Uuid: Decode<'r, DB>,
            {
                fn decode(value: DB::ValueRef<'r>) -> Result<Self, BoxDynError> {
                    Uuid::decode(value).map(Self)
                }
            }
        };
    };
}
pub(crate) use {stored_as_text, stored_as_uuid};
