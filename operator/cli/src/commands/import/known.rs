//! The expectations of Great Expectations 0.18 and 1.x: which become checks, and why the others don't.

use super::draft::Fate;
use super::suite::Ask;
use super::{by_contract, of_columns, of_rows, of_sets};

type Translate = fn(&Ask) -> Result<Fate, String>;

/// One type of expectation.
pub struct Known {
    /// What the tool calls it.
    pub name: &'static str,
    /// Its own arguments.
    pub kwargs: &'static [&'static str],
    /// Whether it counts rows, with `mostly` and a condition.
    pub counts: bool,
    /// What becomes of it.
    pub translate: Translate,
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
const UNIQUE: &[&str] = &[
    "column",
    "column_list",
    "ignore_row_if",
    "mostly",
    "row_condition",
    "condition_parser",
];
const OF_ALL: &[&str] = &[
    "column",
    "min_value",
    "max_value",
    "strict_min",
    "strict_max",
    "parse_strings_as_datetimes",
    "row_condition",
    "condition_parser",
];

/// The expectations that become checks, or that the contract keeps.
pub const KNOWN: [Known; 37] = [
    rows(
        "expect_column_values_to_not_be_null",
        &["column"],
        of_columns::not_null,
    ),
    rows(
        "expect_column_values_to_be_null",
        &["column"],
        of_columns::null,
    ),
    rows("expect_column_values_to_be_in_set", SET, of_columns::in_set),
    rows(
        "expect_column_values_to_not_be_in_set",
        SET,
        of_columns::not_in_set,
    ),
    rows(
        "expect_column_values_to_be_between",
        BOUNDS,
        of_columns::between,
    ),
    rows(
        "expect_column_value_lengths_to_be_between",
        BOUNDS,
        of_columns::lengths,
    ),
    rows(
        "expect_column_value_lengths_to_equal",
        &["column", "value"],
        of_columns::length,
    ),
    rows(
        "expect_column_values_to_match_regex",
        &["column", "regex"],
        of_columns::matching,
    ),
    rows(
        "expect_column_values_to_not_match_regex",
        &["column", "regex"],
        of_columns::not_matching,
    ),
    rows(
        "expect_column_values_to_match_regex_list",
        &["column", "regex_list", "match_on"],
        of_columns::matching_list,
    ),
    rows(
        "expect_column_values_to_not_match_regex_list",
        &["column", "regex_list"],
        of_columns::not_matching_list,
    ),
    rows(
        "expect_column_values_to_match_strftime_format",
        &["column", "strftime_format"],
        of_columns::strftime,
    ),
    rows(
        "expect_column_values_to_be_json_parseable",
        &["column"],
        of_columns::json,
    ),
    rows(
        "expect_column_values_to_be_of_type",
        &["column", "type_"],
        by_contract::of_type,
    ),
    rows(
        "expect_column_values_to_be_in_type_list",
        &["column", "type_list"],
        by_contract::in_type_list,
    ),
    rows(
        "expect_column_pair_values_to_be_equal",
        PAIR,
        of_rows::pair_equal,
    ),
    rows(
        "expect_column_pair_values_a_to_be_greater_than_b",
        PAIR,
        of_rows::pair_greater,
    ),
    rows(
        "expect_column_pair_values_to_be_in_set",
        PAIR,
        of_rows::pair_in_set,
    ),
    rows(
        "expect_select_column_values_to_be_unique_within_record",
        COLUMNS,
        of_rows::unique_within_record,
    ),
    rows(
        "expect_multicolumn_values_to_be_equal",
        COLUMNS,
        of_rows::all_equal,
    ),
    rows("expect_multicolumn_sum_to_equal", COLUMNS, of_rows::sum),
    whole(
        "expect_column_distinct_values_to_be_in_set",
        &[
            "column",
            "value_set",
            "parse_strings_as_datetimes",
            "row_condition",
            "condition_parser",
        ],
        of_columns::distinct_in_set,
    ),
    whole(
        "expect_column_to_exist",
        &["column", "column_index"],
        by_contract::exists,
    ),
    whole(
        "expect_table_columns_to_match_set",
        &["column_set", "exact_match"],
        by_contract::columns_in_set,
    ),
    whole(
        "expect_table_columns_to_match_ordered_list",
        &["column_list"],
        by_contract::columns_in_order,
    ),
    whole(
        "expect_table_column_count_to_equal",
        &["value"],
        by_contract::count,
    ),
    whole(
        "expect_table_column_count_to_be_between",
        &["min_value", "max_value", "strict_min", "strict_max"],
        by_contract::count_between,
    ),
    whole("expect_column_values_to_be_unique", UNIQUE, of_sets::unique),
    whole(
        "expect_compound_columns_to_be_unique",
        UNIQUE,
        of_sets::compound,
    ),
    whole(
        "expect_table_row_count_to_be_between",
        OF_ALL,
        of_sets::row_count,
    ),
    whole(
        "expect_table_row_count_to_equal",
        &["value", "row_condition", "condition_parser"],
        of_sets::row_count_equal,
    ),
    whole("expect_column_min_to_be_between", OF_ALL, of_sets::min),
    whole("expect_column_max_to_be_between", OF_ALL, of_sets::max),
    whole("expect_column_mean_to_be_between", OF_ALL, of_sets::mean),
    whole("expect_column_sum_to_be_between", OF_ALL, of_sets::sum),
    whole("expect_column_stdev_to_be_between", OF_ALL, of_sets::stdev),
    whole(
        "expect_column_unique_value_count_to_be_between",
        OF_ALL,
        of_sets::distinct,
    ),
];

const OLD_NAME: &str = "is an old name: write expect_compound_columns_to_be_unique or expect_select_column_values_to_be_unique_within_record, whichever is meant";
const OF_MANY: &str = "is about many rows together, and no check of a window asks it: write a having check where an aggregate can say it";
const OF_NULLS: &str = "is about many rows together: write a nullRatio check of a window, which asks how many have none";
const OF_QUANTILES: &str = "is about many rows together: write a quantile check of a window, whose quantile is the least value that enough don't exceed; of an even number of rows the tool takes the mean of two";
const OF_SPREAD: &str = "is about many rows together: write a distribution check of a window, with the statistic and the bins that are meant";
const ORDER: &str = "needs the order of all rows, and a stream has one only within a partition: an ordered check asks for that of a key";
const PARSER: &str =
    "depends on a library of Python's that guesses; say the form with a pattern check";
const QUERY: &str = "is a query of its own: write it as a Pipeline, or as an expression check if it is about single rows";
const LIKE: &str = "is for databases alone, and each reads LIKE by its own rules: write an expression check, such as code LIKE 'AB%'";

/// What exists and isn't translated, and why.
pub const NOT_HERE: [(&str, &str); 30] = [
    ("expect_multicolumn_values_to_be_unique", OLD_NAME),
    ("expect_table_row_count_to_equal_other_table", OF_MANY),
    ("expect_column_median_to_be_between", OF_QUANTILES),
    ("expect_column_mode_to_be_between", OF_MANY),
    ("expect_column_quantile_values_to_be_between", OF_QUANTILES),
    (
        "expect_column_proportion_of_unique_values_to_be_between",
        OF_MANY,
    ),
    (
        "expect_column_proportion_of_non_null_values_to_be_between",
        OF_NULLS,
    ),
    ("expect_column_distinct_values_to_contain_set", OF_MANY),
    ("expect_column_distinct_values_to_equal_set", OF_MANY),
    ("expect_column_most_common_value_to_be_in_set", OF_MANY),
    ("expect_column_kl_divergence_to_be_less_than", OF_SPREAD),
    (
        "expect_column_chisquare_test_p_value_to_be_greater_than",
        OF_SPREAD,
    ),
    (
        "expect_column_bootstrapped_ks_test_p_value_to_be_greater_than",
        OF_SPREAD,
    ),
    (
        "expect_column_parameterized_distribution_ks_test_p_value_to_be_greater_than",
        OF_SPREAD,
    ),
    (
        "expect_column_pair_cramers_phi_value_to_be_less_than",
        OF_MANY,
    ),
    ("expect_column_value_z_scores_to_be_less_than", OF_MANY),
    ("expect_column_values_to_not_be_outliers", OF_MANY),
    ("expect_column_values_to_be_increasing", ORDER),
    ("expect_column_values_to_be_decreasing", ORDER),
    ("expect_column_values_to_be_dateutil_parseable", PARSER),
    (
        "expect_column_values_to_match_json_schema",
        "a JSON Schema has no check here: make the text a struct in the stream's contract",
    ),
    ("expect_column_values_to_match_like_pattern", LIKE),
    ("expect_column_values_to_not_match_like_pattern", LIKE),
    ("expect_column_values_to_match_like_pattern_list", LIKE),
    ("expect_column_values_to_not_match_like_pattern_list", LIKE),
    (
        "expect_column_type_to_be",
        "compares with the name that a database has for the type; the contract keeps the stream's types",
    ),
    ("expect_query_results_to_match_comparison", QUERY),
    ("unexpected_rows_expectation", QUERY),
    ("expect_file_hash_to_equal", "is about a file"),
    ("expect_file_size_to_be_between", "is about a file"),
];
