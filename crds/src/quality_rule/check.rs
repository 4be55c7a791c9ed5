//! The checks of a QualityRule, as users write them.

use garde::Validate;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    anomaly_check::AnomalyCheck,
    schema_check::SchemaCheck,
    set_check::{
        AggregateCheck, DistributionCheck, FreshnessCheck, NullRatioCheck, OrderedCheck,
        QuantileCheck, ReferencesCheck, RowCountCheck, UniqueCheck,
    },
};
use crate::data_stream::FIELD_PATH;

/// A check's name: what dead letters, figures and alerts call it by.
const NAME: &str = "^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$";
/// Longest name of a check.
const NAME_MAX: usize = 63;

/// One check of a rule: exactly one of the kinds of check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema, Validate)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.expression), has(self.notNull), has(self.length), has(self.range), has(self.pattern), has(self.notMatching), has(self.format), has(self.accepted), has(self.forbidden), has(self.compare), has(self.rowCount), has(self.nullRatio), has(self.unique), has(self.ordered), has(self.references), has(self.aggregate), has(self.quantile), has(self.freshness), has(self.distribution), has(self.having), has(self.anomaly), has(self.schema)].filter(x, x).size() == 1").message("a check needs exactly one of: expression, notNull, length, range, pattern, notMatching, format, accepted, forbidden, compare, rowCount, nullRatio, unique, ordered, references, aggregate, quantile, freshness, distribution, having, anomaly, schema"))]
#[garde(allow_unvalidated)]
pub struct QualityCheck {
    /// Its name, unique in the rule. Absent: what it checks and its field, such as notNull-order_id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME))]
    pub name: Option<String>,
    /// Error: the rule's onError says what becomes of a record that fails. Warn: it is counted and goes on.
    #[serde(default)]
    pub severity: CheckSeverity,
    /// A boolean SQL expression over the stream's fields, such as amount > 0. A record fails where it is false; null passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub expression: Option<String>,
    /// The field has a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_null: Option<FieldCheck>,
    /// A text has so many characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<LengthCheck>,
    /// A number, date, instant or text lies between two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<RangeCheck>,
    /// A regular expression is found in a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<PatternCheck>,
    /// A regular expression isn't found in a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_matching: Option<PatternCheck>,
    /// A text is of a well-known form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<FormatCheck>,
    /// A value is one of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<ValuesCheck>,
    /// A value is none of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forbidden: Option<ValuesCheck>,
    /// Two fields of a record stand so to each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare: Option<PairCheck>,
    /// A window has so many records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_count: Option<RowCountCheck>,
    /// Few enough records of a window have no value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub null_ratio: Option<NullRatioCheck>,
    /// No two records of a window have the same key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub unique: Option<UniqueCheck>,
    /// Each value of a field stands in order to the one before it, by event time: a counter never goes down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered: Option<OrderedCheck>,
    /// What a record refers to is there: a compacted stream has a record with that key, at the record's event time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub references: Option<ReferencesCheck>,
    /// An aggregate of a window's values lies between two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregate: Option<AggregateCheck>,
    /// A quantile of a window's values lies between two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantile: Option<QuantileCheck>,
    /// The newest record isn't too old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub freshness: Option<FreshnessCheck>,
    /// A window's values are spread as they should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub distribution: Option<DistributionCheck>,
    /// A boolean SQL expression over the aggregates of a window's records, as after HAVING, such as
    /// SUM(amount) > 0 AND COUNT(*) > 10. A window fails where it is false; null passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub having: Option<String>,
    /// A figure of a window isn't unusual beside those of the weeks before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anomaly: Option<AnomalyCheck>,
    /// The stream's contract has these fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<SchemaCheck>,
}

impl QualityCheck {
    /// What it checks, as its key in YAML; none where it has no kind.
    #[must_use]
    pub fn kind(&self) -> Option<&'static str> {
        let kinds = [
            ("expression", self.expression.is_some()),
            ("notNull", self.not_null.is_some()),
            ("length", self.length.is_some()),
            ("range", self.range.is_some()),
            ("pattern", self.pattern.is_some()),
            ("notMatching", self.not_matching.is_some()),
            ("format", self.format.is_some()),
            ("accepted", self.accepted.is_some()),
            ("forbidden", self.forbidden.is_some()),
            ("compare", self.compare.is_some()),
            ("rowCount", self.row_count.is_some()),
            ("nullRatio", self.null_ratio.is_some()),
            ("unique", self.unique.is_some()),
            ("ordered", self.ordered.is_some()),
            ("references", self.references.is_some()),
            ("aggregate", self.aggregate.is_some()),
            ("quantile", self.quantile.is_some()),
            ("freshness", self.freshness.is_some()),
            ("distribution", self.distribution.is_some()),
            ("having", self.having.is_some()),
            ("anomaly", self.anomaly.is_some()),
            ("schema", self.schema.is_some()),
        ];
        let mut there = kinds.iter().filter(|(_, there)| *there);
        there.next().map(|(kind, _)| *kind)
    }

    /// True: it is about many records, those of a window, and judged by a monitor.
    #[must_use]
    pub fn is_of_set(&self) -> bool {
        self.row_count.is_some()
            || self.null_ratio.is_some()
            || self.unique.is_some()
            || self.ordered.is_some()
            || self.references.is_some()
            || self.aggregate.is_some()
            || self.quantile.is_some()
            || self.freshness.is_some()
            || self.distribution.is_some()
            || self.having.is_some()
            || self.anomaly.is_some()
    }

    /// True: it is about the stream's contract, and judged by the operator.
    #[must_use]
    pub fn is_of_contract(&self) -> bool {
        self.schema.is_some()
    }

    /// True: it is about each record by itself, and judged by who meets it.
    #[must_use]
    pub fn is_of_record(&self) -> bool {
        !self.is_of_set() && !self.is_of_contract()
    }

    /// The field that it is about, where it is one.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        let of_patterns = [&self.pattern, &self.not_matching];
        let of_values = [&self.accepted, &self.forbidden];
        let patterns = of_patterns.into_iter().flatten().map(|c| c.field.as_str());
        let values = of_values.into_iter().flatten().map(|c| c.field.as_str());
        let not_null = self.not_null.iter().map(|c| c.field.as_str());
        let length = self.length.iter().map(|c| c.field.as_str());
        let range = self.range.iter().map(|c| c.field.as_str());
        let format = self.format.iter().map(|c| c.field.as_str());
        let compare = self.compare.iter().map(|c| c.left.as_str());
        let mut all = not_null
            .chain(length)
            .chain(range)
            .chain(patterns)
            .chain(format)
            .chain(values)
            .chain(compare);
        all.next().or_else(|| self.field_of_set())
    }

    fn field_of_set(&self) -> Option<&str> {
        let key = self.unique.iter().filter_map(|c| match c.key.as_slice() {
            [one] => Some(one.as_str()),
            _ => None,
        });
        let ordered = self.ordered.iter().map(|c| c.field.as_str());
        let fields = self.references.iter().map(|c| c.fields.as_slice());
        let references = fields.filter_map(|fields| match fields {
            [one] => Some(one.as_str()),
            _ => None,
        });
        let ratio = self.null_ratio.iter().map(|c| c.field.as_str());
        let aggregate = self.aggregate.iter().map(|c| c.field.as_str());
        let quantile = self.quantile.iter().map(|c| c.field.as_str());
        let distribution = self.distribution.iter().map(|c| c.field.as_str());
        let anomaly = self.anomaly.iter().filter_map(|c| c.field.as_deref());
        let mut all = key
            .chain(ordered)
            .chain(references)
            .chain(ratio)
            .chain(aggregate)
            .chain(quantile)
            .chain(distribution)
            .chain(anomaly);
        all.next()
    }

    /// What it is called: its name, or what it checks and its field. `index`: its place in the rule, from 0.
    #[must_use]
    pub fn called(&self, index: usize) -> String {
        if let Some(name) = &self.name {
            return name.clone();
        }
        let kind = self.kind().unwrap_or("check");
        let Some(field) = self.field() else {
            return format!("{kind}-{}", index + 1);
        };
        let name: String = format!("{kind}-{}", field.replace('@', "_"))
            .chars()
            .take(NAME_MAX)
            .collect();
        name.trim_end_matches(['-', '_', '.']).to_owned()
    }
}

/// How grave it is that a record fails a check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum CheckSeverity {
    /// The rule's `onError` says what becomes of it.
    #[default]
    Error,
    /// It is counted and goes on.
    Warn,
}

/// A check of one field that needs nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FieldCheck {
    /// The field. A dot reaches into a struct.
    #[schemars(length(min = 1, max = 256), regex(pattern = FIELD_PATH))]
    pub field: String,
}

/// How many characters a text has; at least one of min and max.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.min) || has(self.max)").message("length needs min, max or both"))]
#[x_kube(validation = Rule::new("!has(self.min) || !has(self.max) || self.min <= self.max").message("min is above max: no text has such a length").field_path(".min"))]
pub struct LengthCheck {
    /// A field of type string. A dot reaches into a struct.
    #[schemars(length(min = 1, max = 256), regex(pattern = FIELD_PATH))]
    pub field: String,
    /// The fewest characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647_i64))]
    pub min: Option<i64>,
    /// The most characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647_i64))]
    pub max: Option<i64>,
}

/// What a value lies between; at least one of min and max. Both are texts, read by the field's type: "0.50", "2026-01-31",
/// "2026-01-31T12:00:00Z".
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.min) || has(self.max)").message("range needs min, max or both"))]
pub struct RangeCheck {
    /// A field with a number, date, time, timestamp or text. A dot reaches into a struct.
    #[schemars(length(min = 1, max = 256), regex(pattern = FIELD_PATH))]
    pub field: String,
    /// The least value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub min: Option<String>,
    /// The greatest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub max: Option<String>,
    /// True: min itself is too little.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub min_exclusive: bool,
    /// True: max itself is too much.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub max_exclusive: bool,
}

/// A regular expression and the text that it is looked for in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PatternCheck {
    /// A field of type string. A dot reaches into a struct.
    #[schemars(length(min = 1, max = 256), regex(pattern = FIELD_PATH))]
    pub field: String,
    /// The regular expression (RE2's syntax). It is found anywhere in the text, unless ^ and $ say otherwise.
    #[schemars(length(min = 1, max = 1024))]
    pub regex: String,
}

/// A well-known form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FormatCheck {
    /// A field of type string. A dot reaches into a struct.
    #[schemars(length(min = 1, max = 256), regex(pattern = FIELD_PATH))]
    pub field: String,
    /// Which form the text must be of.
    pub is: NamedFormat,
}

/// Well-known forms of texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum NamedFormat {
    /// An address as browsers take it in `<input type=email>` (WHATWG HTML): one @, with a name before it and a host behind it.
    #[default]
    Email,
    /// 8-4-4-4-12 hexadecimal digits (RFC 9562), in either case.
    Uuid,
    /// Four numbers from 0 to 255 with dots between them, without leading zeros.
    Ipv4,
    /// An IPv6 address (RFC 4291), without a zone.
    Ipv6,
    /// A scheme, a colon and what follows it (RFC 3986), without blanks.
    Uri,
    /// A day of the calendar as YYYY-MM-DD (ISO 8601).
    Date,
}

/// Values as texts, read by the field's type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValuesCheck {
    /// The field. A dot reaches into a struct.
    #[schemars(length(min = 1, max = 256), regex(pattern = FIELD_PATH))]
    pub field: String,
    /// The values, as texts that are read by the field's type: "EUR", "7", "true", "2026-01-31".
    #[schemars(length(min = 1, max = 256), inner(length(max = 256)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub values: Vec<String>,
}

/// How two fields of a record stand to each other. Where one of them is null, the record passes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PairCheck {
    /// A field. A dot reaches into a struct.
    #[schemars(length(min = 1, max = 256), regex(pattern = FIELD_PATH))]
    pub left: String,
    /// How left stands to right.
    pub operator: Comparison,
    /// Another field, of a type that left can be compared with.
    #[schemars(length(min = 1, max = 256), regex(pattern = FIELD_PATH))]
    pub right: String,
}

/// How one value stands to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Comparison {
    /// =
    #[default]
    Equal,
    /// <>
    NotEqual,
    /// <
    Less,
    /// <=
    LessOrEqual,
    /// >
    Greater,
    /// >=
    GreaterOrEqual,
}
