//! Suites of Great Expectations: JSON of 0.18 (`expectation_type`) and of 1.x (`type`, `severity`).
//!
//! An expectation about the values of a column skips nulls, and `mostly` is the share of the others that must pass. Here a null
//! passes, so where a share counts the rule's filter leaves nulls out, and the figures are the same.

use headworks_crds::CheckSeverity;
use headworks_sql::schema::Schema;

use super::draft::{Fate, Import, Part, Terms};
use super::fields::{Field, per_cent};
use super::{by_contract, condition, of_columns, of_rows};
use crate::finding::hint;
use crate::yaml::{Content, Node};

/// Who asks.
pub const TOOL: &str = "Great Expectations";

/// Arguments that say nothing of the data, or how it is reported.
const REPORTING: [&str; 8] = [
    "batch_id",
    "table",
    "result_format",
    "include_config",
    "catch_exceptions",
    "meta",
    "auto",
    "profiler_config",
];
/// Arguments of an expectation that counts rows.
const COUNTING: [&str; 3] = ["mostly", "row_condition", "condition_parser"];

/// What an expectation says, and of what.
pub struct Ask<'a> {
    /// Its arguments.
    pub kwargs: &'a Node,
    /// The stream's fields, where they are known.
    pub schema: Option<&'a Schema>,
    /// True: the file is of version 1.
    pub is_new: bool,
}

impl<'a> Ask<'a> {
    /// An argument; null is none.
    pub fn get(&self, key: &str) -> Option<&'a Node> {
        let node = self.kwargs.get(key)?;
        (!matches!(node.content, Content::Null)).then_some(node)
    }

    /// A field that an argument names.
    pub fn field(&self, key: &str) -> Result<Field, String> {
        let node = self.get(key).ok_or_else(|| format!("{key} is missing"))?;
        let name = node.text().ok_or_else(|| format!("{key} is no name"))?;
        Field::of(name, self.schema)
    }

    /// A text.
    pub fn text(&self, key: &str) -> Result<&'a str, String> {
        let node = self.get(key).ok_or_else(|| format!("{key} is missing"))?;
        node.text().ok_or_else(|| format!("{key} is no text"))
    }

    /// True or false; absent is false.
    pub fn flag(&self, key: &str) -> Result<bool, String> {
        match self.get(key).map(|node| &node.content) {
            None => Ok(false),
            Some(Content::Bool(value, _)) => Ok(*value),
            Some(_) => Err(format!("{key} is neither true nor false")),
        }
    }

    /// A list's items.
    pub fn items(&self, key: &str) -> Result<&'a [Node], String> {
        let node = self.get(key).ok_or_else(|| format!("{key} is missing"))?;
        match &node.content {
            Content::List(items) => Ok(items),
            _ => Err(format!("{key} is no list")),
        }
    }
}

type Translate = fn(&Ask) -> Result<Fate, String>;

/// One type of expectation.
struct Known {
    name: &'static str,
    /// Its own arguments.
    kwargs: &'static [&'static str],
    /// Whether it counts rows, with `mostly` and a condition.
    counts: bool,
    translate: Translate,
}

const fn rows(name: &'static str, kwargs: &'static [&'static str], translate: Translate) -> Known {
    Known {
        name,
        kwargs,
        counts: true,
        translate,
    }
}

const fn whole(name: &'static str, kwargs: &'static [&'static str], translate: Translate) -> Known {
    Known {
        name,
        kwargs,
        counts: false,
        translate,
    }
}

const SET: &[&str] = &["column", "value_set", "parse_strings_as_datetimes"];
const BOUNDS: &[&str] = &[
    "column",
    "min_value",
    "max_value",
    "strict_min",
    "strict_max",
    "parse_strings_as_datetimes",
    "allow_cross_type_comparisons",
    "output_strftime_format",
];
const PAIR: &[&str] = &[
    "column_A",
    "column_B",
    "or_equal",
    "ignore_row_if",
    "value_pairs_set",
    "parse_strings_as_datetimes",
    "allow_cross_type_comparisons",
];
const COLUMNS: &[&str] = &["column_list", "ignore_row_if", "sum_total"];

/// The expectations that become checks, or that the contract keeps.
const KNOWN: [Known; 27] = [
    rows("expect_column_values_to_not_be_null", &["column"], of_columns::not_null),
    rows("expect_column_values_to_be_null", &["column"], of_columns::null),
    rows("expect_column_values_to_be_in_set", SET, of_columns::in_set),
    rows("expect_column_values_to_not_be_in_set", SET, of_columns::not_in_set),
    rows("expect_column_values_to_be_between", BOUNDS, of_columns::between),
    rows("expect_column_value_lengths_to_be_between", BOUNDS, of_columns::lengths),
    rows("expect_column_value_lengths_to_equal", &["column", "value"], of_columns::length),
    rows("expect_column_values_to_match_regex", &["column", "regex"], of_columns::matching),
    rows("expect_column_values_to_not_match_regex", &["column", "regex"], of_columns::not_matching),
    rows("expect_column_values_to_match_regex_list", &["column", "regex_list", "match_on"], of_columns::matching_list),
    rows("expect_column_values_to_not_match_regex_list", &["column", "regex_list"], of_columns::not_matching_list),
    rows("expect_column_values_to_match_strftime_format", &["column", "strftime_format"], of_columns::strftime),
    rows("expect_column_values_to_be_json_parseable", &["column"], of_columns::json),
    rows("expect_column_values_to_be_of_type", &["column", "type_"], by_contract::of_type),
    rows("expect_column_values_to_be_in_type_list", &["column", "type_list"], by_contract::in_type_list),
    rows("expect_column_pair_values_to_be_equal", PAIR, of_rows::pair_equal),
    rows("expect_column_pair_values_a_to_be_greater_than_b", PAIR, of_rows::pair_greater),
    rows("expect_column_pair_values_to_be_in_set", PAIR, of_rows::pair_in_set),
    rows("expect_select_column_values_to_be_unique_within_record", COLUMNS, of_rows::unique_within_record),
    rows("expect_multicolumn_values_to_be_equal", COLUMNS, of_rows::all_equal),
    rows("expect_multicolumn_sum_to_equal", COLUMNS, of_rows::sum),
    whole("expect_column_distinct_values_to_be_in_set", &["column", "value_set", "parse_strings_as_datetimes", "row_condition", "condition_parser"], of_columns::distinct_in_set),
    whole("expect_column_to_exist", &["column", "column_index"], by_contract::exists),
    whole("expect_table_columns_to_match_set", &["column_set", "exact_match"], by_contract::columns_in_set),
    whole("expect_table_columns_to_match_ordered_list", &["column_list"], by_contract::columns_in_order),
    whole("expect_table_column_count_to_equal", &["value"], by_contract::count),
    whole("expect_table_column_count_to_be_between", &["min_value", "max_value", "strict_min", "strict_max"], by_contract::count_between),
];

const UNIQUE: &str = "needs a window check: which values came before isn't known of one row";
const OF_MANY: &str = "needs a window check: it is about many rows together, and a row check sees one";
const ORDER: &str = "needs the order of all rows, and a stream has one only within a partition";
const PARSER: &str = "depends on a library of Python's that guesses; say the form with a pattern check";
const QUERY: &str = "is a query of its own: write it as a Pipeline, or as an expression check if it is about single rows";
const LIKE: &str = "is for databases alone, and each reads LIKE by its own rules: write an expression check, such as code LIKE 'AB%'";

/// What exists and isn't translated, and why.
const NOT_HERE: [(&str, &str); 40] = [
    ("expect_column_values_to_be_unique", UNIQUE),
    ("expect_compound_columns_to_be_unique", UNIQUE),
    ("expect_multicolumn_values_to_be_unique", UNIQUE),
    ("expect_table_row_count_to_be_between", OF_MANY),
    ("expect_table_row_count_to_equal", OF_MANY),
    ("expect_table_row_count_to_equal_other_table", OF_MANY),
    ("expect_column_min_to_be_between", OF_MANY),
    ("expect_column_max_to_be_between", OF_MANY),
    ("expect_column_mean_to_be_between", OF_MANY),
    ("expect_column_median_to_be_between", OF_MANY),
    ("expect_column_mode_to_be_between", OF_MANY),
    ("expect_column_stdev_to_be_between", OF_MANY),
    ("expect_column_sum_to_be_between", OF_MANY),
    ("expect_column_quantile_values_to_be_between", OF_MANY),
    ("expect_column_unique_value_count_to_be_between", OF_MANY),
    ("expect_column_proportion_of_unique_values_to_be_between", OF_MANY),
    ("expect_column_proportion_of_non_null_values_to_be_between", OF_MANY),
    ("expect_column_distinct_values_to_contain_set", OF_MANY),
    ("expect_column_distinct_values_to_equal_set", OF_MANY),
    ("expect_column_most_common_value_to_be_in_set", OF_MANY),
    ("expect_column_kl_divergence_to_be_less_than", OF_MANY),
    ("expect_column_chisquare_test_p_value_to_be_greater_than", OF_MANY),
    ("expect_column_bootstrapped_ks_test_p_value_to_be_greater_than", OF_MANY),
    ("expect_column_parameterized_distribution_ks_test_p_value_to_be_greater_than", OF_MANY),
    ("expect_column_pair_cramers_phi_value_to_be_less_than", OF_MANY),
    ("expect_column_value_z_scores_to_be_less_than", OF_MANY),
    ("expect_column_values_to_not_be_outliers", OF_MANY),
    ("expect_column_values_to_be_increasing", ORDER),
    ("expect_column_values_to_be_decreasing", ORDER),
    ("expect_column_values_to_be_dateutil_parseable", PARSER),
    ("expect_column_values_to_match_json_schema", "a JSON Schema has no check here: make the text a struct in the stream's contract"),
    ("expect_column_values_to_match_like_pattern", LIKE),
    ("expect_column_values_to_not_match_like_pattern", LIKE),
    ("expect_column_values_to_match_like_pattern_list", LIKE),
    ("expect_column_values_to_not_match_like_pattern_list", LIKE),
    ("expect_column_type_to_be", "compares with the name that a database has for the type; the contract keeps the stream's types"),
    ("expect_query_results_to_match_comparison", QUERY),
    ("unexpected_rows_expectation", QUERY),
    ("expect_file_hash_to_equal", "is about a file"),
    ("expect_file_size_to_be_between", "is about a file"),
];

/// True for a suite.
pub fn is_suite(node: &Node) -> bool {
    node.get("expectations").is_some()
}

/// What the suite is called.
pub fn name(node: &Node) -> Option<&str> {
    let named = node.get("name").or_else(|| node.get("expectation_suite_name"));
    named.and_then(Node::text).filter(|name| !name.is_empty())
}

/// Takes in all expectations of a suite.
pub fn read(file: &str, node: &Node, schema: Option<&Schema>, import: &mut Import) -> Result<(), String> {
    let Some(expectations) = node.get("expectations") else {
        return Err("has no expectations".into());
    };
    let Content::List(expectations) = &expectations.content else {
        return Err("its expectations are no list".into());
    };
    for expectation in expectations {
        let kind = expectation
            .get("type")
            .map(|kind| (kind, true))
            .or_else(|| Some((expectation.get("expectation_type")?, false)));
        let (kind, is_new) = kind
            .and_then(|(node, is_new)| Some((node.text()?, is_new)))
            .unwrap_or(("", true));
        let kwargs = expectation.get("kwargs").unwrap_or(expectation);
        let ask = Ask {
            kwargs,
            schema,
            is_new,
        };
        let part = Part {
            file: file.to_owned(),
            place: expectation.place,
            title: title(kind, kwargs),
        };
        import.add(part, one(kind, expectation, &ask));
    }
    Ok(())
}

/// `expect_… of amount`.
fn title(kind: &str, kwargs: &Node) -> String {
    let shown = if kind.is_empty() { "an expectation" } else { kind };
    let single = ["column", "column_A", "column_B"];
    let mut columns: Vec<&str> = single
        .iter()
        .filter_map(|key| kwargs.get(key)?.text())
        .collect();
    let listed = kwargs.get("column_list").map_or(&[][..], Node::items);
    columns.extend(listed.iter().filter_map(Node::text));
    if columns.is_empty() {
        shown.to_owned()
    } else {
        format!("{shown} of {}", columns.join(", "))
    }
}

fn one(kind: &str, expectation: &Node, ask: &Ask) -> Result<(Fate, Terms), String> {
    if kind.is_empty() {
        return Err("says no type: it needs a type, or expectation_type".into());
    }
    let Some(known) = KNOWN.iter().find(|known| known.name == kind) else {
        if let Some((_, why)) = NOT_HERE.iter().find(|(name, _)| *name == kind) {
            return Err((*why).to_owned());
        }
        let names = KNOWN.iter().map(|known| known.name);
        let names = names.chain(NOT_HERE.iter().map(|(name, _)| *name));
        return Err(format!("its type isn't known{}", hint(kind, names)));
    };
    arguments(known, ask)?;
    let mut fate = (known.translate)(ask)?;
    let mut terms = Terms {
        severity: severity(expectation)?,
        filter: condition::of(ask.kwargs, ask.schema)?,
        threshold: None,
    };
    let mostly = ask.get("mostly").filter(|_| known.counts);
    if let Some(mostly) = mostly {
        let Content::Number(share) = &mostly.content else {
            return Err("mostly is no number".into());
        };
        match per_cent(share)?.as_str() {
            "100" => {}
            "0" => fate = Fate::Holds("mostly is 0: it is true of any data".into()),
            share => terms.threshold = Some(share.to_owned()),
        }
    }
    Ok((fate, terms))
}

/// `Err`: an argument that isn't known, or whose value comes only when it runs.
fn arguments(known: &Known, ask: &Ask) -> Result<(), String> {
    for (key, value) in ask.kwargs.entries() {
        let name = key.name.as_str();
        let fits = known.kwargs.contains(&name)
            || REPORTING.contains(&name)
            || (known.counts && COUNTING.contains(&name));
        if !fits && !matches!(value.content, Content::Null) {
            let all = known.kwargs.iter().copied();
            return Err(format!(
                "its argument {name} isn't known{}",
                hint(name, all.chain(COUNTING))
            ));
        }
        if has_parameter(value, 0) {
            return Err(format!(
                "{name} is a parameter that gets its value when the suite runs: write the value into the suite"
            ));
        }
    }
    for key in ["parse_strings_as_datetimes", "allow_cross_type_comparisons"] {
        if ask.flag(key)? {
            return Err(format!(
                "{key}: texts are read as times by a library that guesses; make the field a timestamp in the stream's contract"
            ));
        }
    }
    Ok(())
}

fn has_parameter(node: &Node, depth: usize) -> bool {
    depth < 8
        && (node.get("$PARAMETER").is_some()
            || node.items().iter().any(|item| has_parameter(item, depth + 1)))
}

/// Version 1 has three, and acts on none of them by itself.
fn severity(expectation: &Node) -> Result<CheckSeverity, String> {
    let there = expectation.get("severity");
    match there.map(|node| (node, &node.content)) {
        None | Some((_, Content::Null)) => Ok(CheckSeverity::Error),
        Some((node, _)) => match node.text() {
            Some("critical") => Ok(CheckSeverity::Error),
            Some("warning" | "info") => Ok(CheckSeverity::Warn),
            _ => Err(format!(
                "its severity {} isn't known: critical, warning or info",
                node.to_json_text()
            )),
        },
    }
}
