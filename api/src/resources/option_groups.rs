//! `/option-groups`: options that products offer, in groups that several products share.

pub(super) mod view;

use domain::{
    ids::OptionGroupId,
    money::{Currency, Money},
    options::{MAX_OPTION_QUANTITY, OptionGroup},
};
use ledger::option_groups::{
    MAX_GROUPS_OF_STORE, NewOption, NewOptionGroup, OptionGroupEdit, OptionGroupRefused,
};
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::MaybeUndefined,
};
use uuid::Uuid;

pub(crate) use self::view::OptionGroupView;
use crate::{
    access::topic::Topic,
    auth::Caller,
    http::{
        body::{Checked, format::Sku},
        etag::{IfMatch, IfNoneMatch, version_conflict},
        idempotency::{IdempotencyKey, once},
        merge_patch::RequiredFields,
        paging::{Cursor, Limit, Page},
        problem::{FieldError, Problem, Reason},
        response::{Answer, Created, Done, Fresh, Tagged},
        scalars::PriceDifference,
    },
    resources::{
        menu::texts::{self, NamesBody},
        stores::rights::get_visible,
    },
    state::ApiState,
};

pub(crate) struct OptionGroups(pub(crate) ApiState);

#[derive(Debug, Object)]
#[oai(rename = "NewOptionGroup")]
struct NewOptionGroupBody {
    store_id: Uuid,
    #[oai(validator(min_length = 1, max_length = 100))]
    name: String,
    /// Fewest options of the group that an item has, counted with their quantities. Default 0: optional.
    #[oai(validator(maximum(value = "100")))]
    min: Option<u32>,
    /// Most options of the group that an item has, counted with their quantities.
    #[oai(validator(minimum(value = "1"), maximum(value = "100")))]
    max: u32,
    /// Place among the store's groups. Default 0.
    #[oai(validator(minimum(value = "0"), maximum(value = "1000000")))]
    position: Option<i32>,
    #[oai(validator(min_items = 1, max_items = 50))]
    options: Vec<NewOptionBody>,
    /// Names in other languages than the store's, by language tag; at most 20.
    translations: Option<NamesBody>,
}

/// An option of a group.
#[derive(Debug, Object)]
#[oai(rename = "NewOption")]
struct NewOptionBody {
    /// In an edit: the option of the group that this is. An option without it is a new one.
    id: Option<Uuid>,
    #[oai(validator(min_length = 1, max_length = 100))]
    name: String,
    /// Difference that it makes to the price of a piece, in the store's currency. Default 0.
    price: Option<PriceDifference>,
    /// Default `true`.
    available: Option<bool>,
    /// Default `false`. A default is taken by an item whose client names no option of the group.
    is_default: Option<bool>,
    sku: Option<Sku>,
    /// A product of the store whose stock the option takes, if that is counted. It need not be available by itself.
    product_id: Option<Uuid>,
    /// Names in other languages than the store's, by language tag; at most 20. In an edit, an option that the group has
    /// keeps its names if this is absent.
    translations: Option<NamesBody>,
}

/// A merge patch (RFC 7396): absent fields stay unchanged; `null` is refused. `options` are replaced as a whole: those
/// with the `id` of an option that the group has are that option, the others are new, and missing ones are removed.
/// Staff may change only which options are `available`.
#[derive(Debug, Object)]
struct OptionGroupPatch {
    #[oai(validator(min_length = 1, max_length = 100))]
    name: MaybeUndefined<String>,
    #[oai(validator(maximum(value = "100")))]
    min: MaybeUndefined<u32>,
    #[oai(validator(minimum(value = "1"), maximum(value = "100")))]
    max: MaybeUndefined<u32>,
    #[oai(validator(minimum(value = "0"), maximum(value = "1000000")))]
    position: MaybeUndefined<i32>,
    #[oai(validator(min_items = 1, max_items = 50))]
    options: MaybeUndefined<Vec<NewOptionBody>>,
    /// All names in other languages, in place of those that the group has, by language tag; at most 20.
    translations: MaybeUndefined<NamesBody>,
}

#[OpenApi(tag = "Topic::Products")]
impl OptionGroups {
    /// List a store's groups of options
    ///
    /// Oldest first. Products name the groups that they offer in `option_group_ids`.
    #[oai(
        path = "/option-groups",
        method = "get",
        operation_id = "list_option_groups"
    )]
    async fn list(
        &self,
        caller: Caller,
        Query(store_id): Query<Uuid>,
        cursor: Cursor<OptionGroupId>,
        limit: Limit,
    ) -> Result<Json<Page<OptionGroupView>>, Problem> {
        let store = get_visible(&self.0, &caller, store_id.into()).await?;
        let ledger = &self.0.ledger;
        let groups = ledger
            .option_groups(store.id, cursor.0, limit.0 + 1)
            .await?;
        Ok(Json(Page::of(
            groups,
            limit,
            |group| group.id.uuid(),
            |group| OptionGroupView::of(group, store.currency),
        )))
    }

    /// Create a group of options
    ///
    /// `min` and `max` bound the options that an item has of the group. Products offer it once their
    /// `option_group_ids` name it. An option with a `product_id` takes stock of that product, if it is counted.
    #[oai(
        path = "/option-groups",
        method = "post",
        operation_id = "create_option_group"
    )]
    async fn create(
        &self,
        caller: Caller,
        key: IdempotencyKey,
        Checked(new): Checked<NewOptionGroupBody>,
    ) -> Result<Created<OptionGroupView>, Problem> {
        let key = key.of(&self.0, caller.id().uuid(), &new)?;
        caller.must_manage(new.store_id.into())?;
        let store = get_visible(&self.0, &caller, new.store_id.into()).await?;
        let new = NewOptionGroup {
            store_id: store.id,
            name: new.name,
            min: new.min.unwrap_or(0).min(MAX_OPTION_QUANTITY),
            max: new.max.min(MAX_OPTION_QUANTITY),
            position: new.position.unwrap_or(0),
            options: read_options(new.options, store.currency)?,
            translations: texts::parse_names(new.translations.unwrap_or_default())
                .map_err(Problem::invalid)?,
        };
        let (group, replayed) = once(
            &self.0,
            key,
            async |ledger| ledger.create_option_group(new).await,
            async |id| Ok(self.get_visible(&caller, id.into()).await?.0),
        )
        .await?;
        let location = format!("/api/v1/option-groups/{}", group.id);
        let view = OptionGroupView::of(group, store.currency);
        Ok(Answer::of(view).at(location).replayed(replayed))
    }

    /// Get a group of options
    #[oai(
        path = "/option-groups/:id",
        method = "get",
        operation_id = "get_option_group"
    )]
    async fn get(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
        if_none_match: IfNoneMatch,
    ) -> Result<Fresh<OptionGroupView>, Problem> {
        let (_, view) = self.get_visible(&caller, id.into()).await?;
        Ok(if_none_match.answer(view))
    }

    /// Edit a group of options
    ///
    /// Staff of the store may change only which options are `available`; managers may change everything. Orders keep
    /// the names and prices that their options were sold with.
    #[oai(
        path = "/option-groups/:id",
        method = "patch",
        operation_id = "edit_option_group"
    )]
    async fn edit(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
        if_match: IfMatch,
        key: IdempotencyKey,
        Checked(patch): Checked<OptionGroupPatch>,
    ) -> Result<Tagged<OptionGroupView>, Problem> {
        let key = key.of(&self.0, caller.id().uuid(), &patch)?;
        let (group, view) = self.get_visible(&caller, id.into()).await?;
        let store = get_visible(&self.0, &caller, group.store_id).await?;
        caller.must_serve(store.id)?;
        let version = if_match.expected_version(&view, group.version);
        let mut filled = RequiredFields::default();
        let options = filled.said("options", patch.options);
        let options = options.map(|options| read_options(options, store.currency));
        let translations = filled.said("translations", patch.translations);
        let translations = translations.map(texts::parse_names).transpose();
        let edit = OptionGroupEdit {
            name: filled.said("name", patch.name),
            min: filled.said("min", patch.min),
            max: filled.said("max", patch.max),
            position: filled.said("position", patch.position),
            options: options.transpose()?,
            translations: translations.map_err(Problem::invalid)?,
            is_availability_only: !caller.manages(store.id),
        };
        let edit = filled.all(edit)?;
        let (group, replayed) = once(
            &self.0,
            key,
            async |ledger| ledger.edit_option_group(group.id, version, edit).await,
            async |id| Ok(self.get_visible(&caller, id.into()).await?.0),
        )
        .await?;
        let view = OptionGroupView::of(group, store.currency);
        Ok(Answer::of(view).etag().replayed(replayed))
    }

    /// Delete a group of options
    ///
    /// Its products no longer offer it. Orders keep the options that were chosen.
    #[oai(
        path = "/option-groups/:id",
        method = "delete",
        operation_id = "delete_option_group"
    )]
    async fn delete(
        &self,
        caller: Caller,
        Path(id): Path<Uuid>,
        if_match: IfMatch,
    ) -> Result<Done, Problem> {
        let (group, view) = self.get_visible(&caller, id.into()).await?;
        caller.must_manage(group.store_id)?;
        let version = if_match.match_version(&view, group.version)?;
        self.0.ledger.delete_option_group(group.id, version).await?;
        Ok(Answer::empty())
    }
}

impl OptionGroups {
    /// Returns the group and how it is shown, if the caller may see its store; otherwise 404.
    async fn get_visible(
        &self,
        caller: &Caller,
        id: OptionGroupId,
    ) -> Result<(OptionGroup, OptionGroupView), Problem> {
        let group = self.0.ledger.option_group(id).await?;
        let group = group.ok_or_else(Problem::not_found)?;
        let store = get_visible(&self.0, caller, group.store_id).await?;
        let view = OptionGroupView::of(group.clone(), store.currency);
        Ok((group, view))
    }
}

/// Reads the options of a group; the errors name each wrong field.
fn read_options(bodies: Vec<NewOptionBody>, currency: Currency) -> Result<Vec<NewOption>, Problem> {
    let mut errors = Vec::new();
    let mut options = Vec::with_capacity(bodies.len());
    for (at, body) in bodies.into_iter().enumerate() {
        match body.into_option(currency) {
            Ok(option) => options.push(option),
            Err(wrong) => errors.extend(wrong.into_iter().map(|error| {
                let pointer = format!("/options/{at}{}", error.pointer);
                FieldError { pointer, ..error }
            })),
        }
    }
    if errors.is_empty() {
        Ok(options)
    } else {
        Err(Problem::invalid(errors))
    }
}

impl NewOptionBody {
    fn into_option(self, currency: Currency) -> Result<NewOption, Vec<FieldError>> {
        Ok(NewOption {
            id: self.id.map(Into::into),
            name: self.name,
            price: self
                .price
                .map_or_else(|| Money::new(0, currency), Money::from),
            available: self.available.unwrap_or(true),
            is_default: self.is_default.unwrap_or(false),
            sku: self.sku.map(|sku| sku.0),
            product_id: self.product_id.map(Into::into),
            translations: self.translations.map(texts::parse_names).transpose()?,
        })
    }
}

impl From<OptionGroupRefused> for Problem {
    fn from(refused: OptionGroupRefused) -> Self {
        match refused {
            OptionGroupRefused::NotFound => Self::not_found(),
            OptionGroupRefused::NoSuchStore => Self::unknown_store(),
            OptionGroupRefused::TooManyGroups => Self::new(Reason::Conflict).detail(format!(
                "The store has {MAX_GROUPS_OF_STORE} groups of options, which is the limit."
            )),
            OptionGroupRefused::ChangesMore => Self::forbidden(),
            OptionGroupRefused::Wrong(wrong) => Self::invalid(
                wrong
                    .into_iter()
                    .map(|one| FieldError::new(one.pointer, one.detail))
                    .collect(),
            ),
            OptionGroupRefused::VersionConflict { current } => version_conflict(current),
        }
    }
}
