//! The check of a QualityRule that is about the stream's contract.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::data_stream::FIELD_PATH;

/// The contract in force has these fields. No record is looked at: the contract holds each to it. So whoever depends on a stream says
/// what it must go on being, whatever its owner changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.ordered) || !self.ordered || self.columns.all(c, !c.name.contains('.'))").message("fields within a struct stand in no order of the contract: leave out ordered, or name the contract's own fields").field_path(".ordered"))]
pub struct SchemaCheck {
    /// The fields.
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub columns: Vec<SchemaColumn>,
    /// True: the contract has no other fields.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exact: bool,
    /// True: they stand in this order. Others may stand between them, unless exact is true.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ordered: bool,
}

/// A field that a contract has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SchemaColumn {
    /// Its name. A dot reaches into a struct.
    #[schemars(length(min = 1, max = 256), regex(pattern = FIELD_PATH))]
    pub name: String,
    /// Its type, such as "decimal(12,2)", as contracts write it; absent: whichever.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub type_: Option<String>,
}
