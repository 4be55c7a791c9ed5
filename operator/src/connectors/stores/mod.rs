//! The kinds of stores. A kind is one file here: the struct of its spec says what it is by [`StoreConnector`], and an entry
//! of [`KINDS`] what is the same for all of its kind.

mod file;
mod postgres;

use headworks_crds::DataStoreSpec;
use headworks_plan::{STORES_DIR, Store, StoreConnection};

use crate::{
    mounts::{Mounted, NeededSecret},
    reason::{ConditionReason, ConnectorReason},
    retry::Error,
    security::Open,
};

/// Every kind of store.
pub const KINDS: &[StoreKind] = &[postgres::KIND, file::KIND];

/// What is the same for all stores of a kind.
pub struct StoreKind {
    /// The field of a DataStore's spec, such as `postgres`.
    pub field: &'static str,
    /// The words that the operator says of this kind alone.
    pub reasons: &'static [ConnectorReason],
    /// What its tables are like.
    pub tables: TableRules,
    /// The store, where the spec has one of this kind.
    of: fn(&DataStoreSpec) -> Option<&dyn StoreConnector>,
}

/// A store, by its spec.
pub trait StoreConnector {
    /// Where it is, as a status shows it, such as `warehouse.shop.svc:5432/shop`.
    ///
    /// # Errors
    /// What is wrong with the spec, with the field and the remedy.
    fn address(&self) -> Result<String, String>;

    /// How pods reach it. `folder` is theirs for the store's files.
    ///
    /// # Errors
    /// As [`StoreConnector::address`].
    fn connect(&self, name: &str, folder: &str) -> Result<Connected, String>;

    /// What it leaves open to others.
    fn open(&self) -> Option<Open>;

    /// What Ready says of one that answers.
    fn answers(&self, address: &str) -> String;
}

/// How pods reach a store.
pub struct Connected {
    /// What the plan says.
    pub connection: StoreConnection,
    /// Where its files are.
    pub mounted: Mounted,
    /// Secrets that the files come from.
    pub secrets: Vec<NeededSecret>,
}

/// What a kind of store asks of the tables that a Pipeline writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableRules {
    /// What the kind is called in messages.
    pub called: &'static str,
    /// The longest name of a column, in bytes.
    pub max_column_bytes: Option<usize>,
    /// Columns that every table has already.
    pub own_columns: &'static [&'static str],
    /// The schema of a table that is named without one: `public.orders` and `orders` are one table.
    pub default_schema: Option<&'static str>,
}

/// What is asked where the kind of store isn't known.
const UNKNOWN: TableRules = TableRules {
    called: "the store",
    max_column_bytes: None,
    own_columns: &[],
    default_schema: None,
};

impl Default for &TableRules {
    fn default() -> Self {
        &UNKNOWN
    }
}

/// What the spec's kind of store asks of its tables; little, where it isn't known.
pub fn table_rules(spec: Option<&DataStoreSpec>) -> &'static TableRules {
    let kind = spec.and_then(|spec| KINDS.iter().find(|kind| (kind.of)(spec).is_some()));
    kind.map(|kind| &kind.tables).unwrap_or_default()
}

/// A table's name without the schema that it has anyway. The kind of store may not be known here, so that what is one table for any
/// kind counts as one.
pub fn table_name(name: &str) -> &str {
    let schemas = KINDS.iter().filter_map(|kind| kind.tables.default_schema);
    let bare = |schema: &str| name.strip_prefix(schema)?.strip_prefix('.');
    schemas.map(bare).find_map(|bare| bare).unwrap_or(name)
}

/// The spec's store.
///
/// # Errors
/// `InvalidSpec`: it has none, or several.
pub fn connector(spec: &DataStoreSpec) -> Result<&dyn StoreConnector, Error> {
    let mut found = KINDS.iter().filter_map(|kind| (kind.of)(spec));
    if let (Some(one), None) = (found.next(), found.next()) {
        return Ok(one);
    }
    let fields: Vec<&str> = KINDS.iter().map(|kind| kind.field).collect();
    Err(invalid(format!(
        "spec: a DataStore needs exactly one kind of store: {}",
        fields.join(" or ")
    )))
}

/// Where the spec's store is.
///
/// # Errors
/// `InvalidSpec`: the spec has no store, or one that can't be used.
pub fn address(spec: &DataStoreSpec) -> Result<String, Error> {
    connector(spec)?.address().map_err(invalid)
}

/// All that a pod needs to reach a store.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreBinding {
    /// What the plan says of it.
    pub store: Store,
    /// The store's files.
    pub volume: Mounted,
    /// Secrets that the files come from.
    pub secrets: Vec<NeededSecret>,
    /// What its tables are like.
    pub tables: &'static TableRules,
}

/// How to reach the DataStore of that name.
///
/// # Errors
/// As [`address`].
pub fn bind(name: &str, spec: &DataStoreSpec) -> Result<StoreBinding, Error> {
    let folder = format!("{STORES_DIR}/{name}");
    let connected = connector(spec)?.connect(name, &folder).map_err(invalid)?;
    Ok(StoreBinding {
        store: Store {
            name: name.to_owned(),
            connection: connected.connection,
        },
        volume: connected.mounted,
        secrets: connected.secrets,
        tables: table_rules(Some(spec)),
    })
}

/// What a store leaves open to others.
pub fn open(spec: &DataStoreSpec) -> Option<Open> {
    connector(spec).ok()?.open()
}

fn invalid(message: String) -> Error {
    Error::stalled(ConditionReason::InvalidSpec, message)
}

/// The name of a store's volume.
fn volume_name(store: &str) -> String {
    format!("store-{store}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_spec_without_a_store_is_told_which_there_are() {
        let spec = serde_json::from_value(json!({})).unwrap();
        let error = address(&spec).unwrap_err();
        assert_eq!(error.reason(), "InvalidSpec");
        let fields = KINDS
            .iter()
            .all(|kind| error.message().contains(kind.field));
        assert!(fields, "{error}");
        assert_eq!(table_rules(Some(&spec)), &UNKNOWN);
    }

    #[test]
    fn a_schema_that_a_table_has_anyway_is_no_part_of_its_name() {
        for (name, bare) in [
            ("orders", "orders"),
            ("public.orders", "orders"),
            ("publicorders", "publicorders"),
            ("reporting.orders", "reporting.orders"),
        ] {
            assert_eq!(table_name(name), bare);
        }
    }
}
