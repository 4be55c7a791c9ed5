//! The check of a QualityRule that compares a window with the weeks before it.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data_stream::FIELD_PATH;

/// A number from 1 to 19 with at most three digits behind the point.
const SENSITIVITY: &str = r"^([1-9]|1[0-9])(\.[0-9]{1,3})?$";

/// A figure of a window isn't unusual: its robust z-score, the distance from what is usual at that time in units of how far such
/// windows commonly are from it (median and median absolute deviation), isn't greater than `sensitivity`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.field) == (self.metric != 'RecordsPerMinute')").message("every metric but RecordsPerMinute is of a field, and that one of none").field_path(".field"))]
pub struct AnomalyCheck {
    /// Which figure of a window.
    #[serde(default)]
    pub metric: AnomalyMetric,
    /// The field whose values it is of; nulls don't count. A dot reaches into a struct.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = FIELD_PATH))]
    pub field: Option<String>,
    /// The greatest z-score that passes, as text from "1" to "19.999".
    #[serde(default = "sensitivity")]
    #[schemars(length(min = 1, max = 6), regex(pattern = SENSITIVITY))]
    pub sensitivity: String,
    /// Whether what is too much, too little or both is unusual.
    #[serde(default)]
    pub direction: AnomalyDirection,
    /// A window fails when it and those before it, so many together, are unusual: the greater, the fewer false alarms, and the later a
    /// true one.
    #[serde(default = "consecutive")]
    #[schemars(range(min = 1, max = 12))]
    pub consecutive: i32,
    /// What comes again: a window is compared with those of the same hour of the week, of the same hour of the day, or with all.
    #[serde(default)]
    pub season: AnomalySeason,
}

impl Default for AnomalyCheck {
    fn default() -> Self {
        Self {
            metric: AnomalyMetric::default(),
            field: None,
            sensitivity: sensitivity(),
            direction: AnomalyDirection::default(),
            consecutive: consecutive(),
            season: AnomalySeason::default(),
        }
    }
}

fn sensitivity() -> String {
    "3.5".to_owned()
}

fn consecutive() -> i32 {
    2
}

/// Figures of a window that have a history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AnomalyMetric {
    /// Records a minute.
    #[default]
    RecordsPerMinute,
    /// Per cent of the records that have no value.
    NullRatio,
    /// The least value.
    Min,
    /// The greatest value.
    Max,
    /// The arithmetic mean.
    Mean,
    /// The sum.
    Sum,
    /// The standard deviation of a sample (n - 1).
    StdDev,
    /// The number of different values. They are kept while the window is open: some ten thousand at most.
    Distinct,
}

/// Which distance from what is usual counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AnomalyDirection {
    /// Too much and too little.
    #[default]
    Both,
    /// Too much.
    Above,
    /// Too little.
    Below,
}

/// With what a window is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AnomalySeason {
    /// The same hour of the week: days differ, such as Sundays. Nothing fails in the first two weeks.
    #[default]
    Week,
    /// The same hour of the day: all days are alike. Nothing fails in the first three days.
    Day,
    /// All windows: hours are alike. Nothing fails in the first day.
    None,
}
