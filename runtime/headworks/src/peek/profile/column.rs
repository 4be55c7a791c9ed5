//! One column's figures. Sketches are those of Apache `DataSketches`: `HyperLogLog` for distinct values, KLL for quantiles,
//! Frequent Items for the values that are there most often. Each is exact while it holds little, and says how far it may be off
//! after that.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use datasketches::common::{NumStdDev, SearchCriteria};
use datasketches::frequencies::{ErrorType, FrequentItemsSketch};
use datasketches::hll::{HllSketch, HllType};
use datasketches::kll::{KllFloat, KllSketch};
use headworks_plan::{ColumnProfile, Frequent, Quantile, Shape, TextLengths};
use serde_json::value::RawValue;

/// So many distinct values are counted exactly, by their hashes of 64 bits.
const EXACT: usize = 4_096;
/// 2^12 registers: the estimate's standard error is 1.3 % (`HyperLogLog` with HIP, Cohen 2015; 0.83 / sqrt(4096)).
const REGISTERS_LOG: u8 = 12;
/// KLL's parameter: a rank is off by 1.33 % at most, with 99 % confidence (Karnin, Lang, Liberty 2016).
const KLL_K: u16 = 200;
/// Values that are counted at once, to find the most frequent ones. A power of two.
const COUNTED: usize = 1_024;
/// So many of them are told.
const TOP: usize = 5;
/// So many shapes are told.
const SHAPES: usize = 3;
/// Longest value that is told, in characters.
const LONGEST: usize = 64;
/// Which quantiles are told.
const RANKS: [f64; 7] = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99];

/// What can be said of a type's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Integer,
    /// All values have the same number of decimals.
    Decimal,
    Float,
    Text,
    /// Values whose texts have the values' order: dates and times.
    Time,
    Boolean,
    /// Bytes, arrays, maps, structs: only whether two are the same.
    Opaque,
}

impl Kind {
    fn of(type_: &str) -> Kind {
        let word = type_.split(['(', '<']).next().unwrap_or_default().trim();
        match word {
            "int" | "bigint" => Kind::Integer,
            "decimal" => Kind::Decimal,
            "float" | "double" => Kind::Float,
            "string" => Kind::Text,
            "date" | "time" | "timestamp" | "timestamp_ltz" => Kind::Time,
            "boolean" => Kind::Boolean,
            _ => Kind::Opaque,
        }
    }

    fn is_number(self) -> bool {
        matches!(self, Kind::Integer | Kind::Decimal | Kind::Float)
    }

    fn has_order(self) -> bool {
        !matches!(self, Kind::Boolean | Kind::Opaque)
    }
}

/// Figures of one column.
pub(super) struct Column {
    told: ColumnProfile,
    kind: Kind,
    distinct: Distinct,
    numbers: Option<KllSketch<KllFloat<f64>>>,
    sum: f64,
    counted: u64,
    top: Option<FrequentItemsSketch<String>>,
    shapes: Option<FrequentItemsSketch<String>>,
    lengths: Option<Lengths>,
}

struct Distinct {
    hasher: RandomState,
    /// None once there are too many.
    exact: Option<HashSet<u64>>,
    sketch: Option<HllSketch>,
}

struct Lengths {
    min: u64,
    max: u64,
    sum: u64,
}

impl Column {
    pub(super) fn new(name: &str, type_: &str, is_masked: bool) -> Column {
        let kind = Kind::of(type_);
        let shown = |wanted: bool| wanted && !is_masked;
        let counter = |wanted: bool| {
            shown(wanted)
                .then(|| FrequentItemsSketch::new(COUNTED).ok())
                .flatten()
        };
        Column {
            told: ColumnProfile {
                name: name.to_owned(),
                type_: type_.to_owned(),
                masked: is_masked,
                ..ColumnProfile::default()
            },
            kind,
            distinct: Distinct {
                hasher: RandomState::new(),
                exact: Some(HashSet::new()),
                sketch: HllSketch::new(REGISTERS_LOG, HllType::Hll8).ok(),
            },
            numbers: shown(kind.is_number())
                .then(|| KllSketch::new(KLL_K).ok())
                .flatten(),
            sum: 0.0,
            counted: 0,
            top: counter(kind != Kind::Opaque),
            shapes: counter(kind == Kind::Text),
            lengths: None,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.told.name
    }

    /// A row's value, as JSON.
    pub(super) fn add(&mut self, value: Option<&RawValue>) {
        let text = value.map(RawValue::get).filter(|text| *text != "null");
        let Some(json) = text else {
            self.told.nulls += 1;
            return;
        };
        // A text without its quotes; of anything else the JSON.
        let text = serde_json::from_str::<String>(json).unwrap_or_else(|_| json.to_owned());
        self.told.count += 1;
        self.distinct.add(&text);
        if self.kind == Kind::Text {
            let length = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
            let lengths = self.lengths.get_or_insert(Lengths {
                min: length,
                max: length,
                sum: 0,
            });
            lengths.min = lengths.min.min(length);
            lengths.max = lengths.max.max(length);
            lengths.sum = lengths.sum.saturating_add(length);
        }
        if self.told.masked {
            return;
        }
        if self.kind.has_order() {
            self.bound(&text);
        }
        if let Some(numbers) = &mut self.numbers
            && let Some(number) = text.parse().ok().and_then(|n| KllFloat::<f64>::new(n).ok())
        {
            self.sum += *number;
            self.counted += 1;
            numbers.update(number);
        }
        if let Some(shapes) = &mut self.shapes {
            shapes.update(cut(&shape(&text)));
        }
        if let Some(top) = &mut self.top {
            top.update(cut(&text));
        }
    }

    fn bound(&mut self, text: &str) {
        if self.kind == Kind::Float && text.parse().is_ok_and(f64::is_nan) {
            return;
        }
        let is = |known: &Option<String>, order: Ordering| {
            known
                .as_ref()
                .is_none_or(|known| compare(self.kind, text, known) == order)
        };
        let (less, greater) = (
            is(&self.told.min, Ordering::Less),
            is(&self.told.max, Ordering::Greater),
        );
        if less {
            self.told.min = Some(text.to_owned());
        }
        if greater {
            self.told.max = Some(text.to_owned());
        }
    }

    /// All of it.
    pub(super) fn told(mut self) -> ColumnProfile {
        (self.told.distinct, self.told.distinct_between) = self.distinct.told();
        let cut_of = |text: Option<String>| text.map(|text| cut(&text));
        self.told.min = cut_of(self.told.min);
        self.told.max = cut_of(self.told.max);
        if let Some(numbers) = &self.numbers {
            if self.counted > 0 {
                self.told.mean = Some(short(self.sum / self.counted as f64));
            }
            let values = numbers.quantiles(&RANKS, SearchCriteria::Inclusive);
            let values = values.ok().flatten().unwrap_or_default();
            let both = RANKS.iter().zip(values);
            let told = both.map(|(at, value)| Quantile {
                at: at.to_string(),
                value: value.to_string(),
            });
            self.told.quantiles = told.collect();
            if numbers.is_estimation_mode() {
                let error = numbers.normalized_rank_error() * 100.0;
                self.told.quantile_rank_error = Some(format!("{error:.2}"));
            }
        }
        // Where no value comes twice none is frequent.
        let some = self
            .told
            .distinct
            .min(u64::try_from(TOP).unwrap_or(u64::MAX));
        let repeats = self.told.count > self.told.distinct || self.told.distinct == some;
        if repeats {
            let top = frequent(self.top.as_ref(), TOP);
            let told = top.map(|(value, count)| Frequent { value, count });
            self.told.top = told.collect();
        }
        let shapes = frequent(self.shapes.as_ref(), SHAPES);
        self.told.shapes = shapes
            .map(|(shape, count)| Shape { shape, count })
            .collect();
        let count = self.told.count.max(1);
        self.told.length = self.lengths.map(|lengths| TextLengths {
            min: lengths.min,
            max: lengths.max,
            mean: format!("{:.1}", lengths.sum as f64 / count as f64),
        });
        self.told
    }
}

impl Distinct {
    fn add(&mut self, text: &str) {
        if let Some(sketch) = &mut self.sketch {
            sketch.update(text);
        }
        if let Some(exact) = &mut self.exact {
            exact.insert(self.hasher.hash_one(text));
            if exact.len() > EXACT {
                self.exact = None;
            }
        }
    }

    /// How many, and between which two where that is an estimate.
    fn told(&self) -> (u64, Option<(u64, u64)>) {
        match (&self.exact, &self.sketch) {
            (Some(exact), _) => (exact.len() as u64, None),
            (None, Some(sketch)) => {
                let bound = |number: f64| number.round().max(0.0) as u64;
                let between = (
                    bound(sketch.lower_bound(NumStdDev::Two)),
                    bound(sketch.upper_bound(NumStdDev::Two)),
                );
                (bound(sketch.estimate()), Some(between))
            }
            (None, None) => (0, Some((0, u64::MAX))),
        }
    }
}

/// The most frequent ones, with how often they are there at least; of equals the first in the texts' order.
fn frequent(
    sketch: Option<&FrequentItemsSketch<String>>,
    most: usize,
) -> impl Iterator<Item = (String, u64)> + use<> {
    let rows = sketch.map(|sketch| sketch.frequent_items(ErrorType::NoFalsePositives));
    let mut rows: Vec<(String, u64)> = rows
        .unwrap_or_default()
        .iter()
        .map(|row| (row.item().clone(), row.lower_bound()))
        .collect();
    rows.sort_by(|(a, n), (b, m)| m.cmp(n).then_with(|| a.cmp(b)));
    rows.into_iter().take(most)
}

fn compare(kind: Kind, a: &str, b: &str) -> Ordering {
    let exact = |text: &str| text.replacen('.', "", 1).parse::<i128>().ok();
    match kind {
        Kind::Integer | Kind::Decimal => exact(a).cmp(&exact(b)),
        Kind::Float => {
            let (a, b) = (a.parse::<f64>(), b.parse::<f64>());
            a.unwrap_or(f64::NAN).total_cmp(&b.unwrap_or(f64::NAN))
        }
        _ => a.cmp(b),
    }
}

/// The shape of a text: letters are `A` and `a`, digits `9`, spaces one space, each run once; all else is as it is.
fn shape(text: &str) -> String {
    let class = |c: char| match c {
        c if c.is_numeric() => '9',
        c if c.is_uppercase() => 'A',
        c if c.is_alphabetic() => 'a',
        c if c.is_whitespace() => ' ',
        c => c,
    };
    let mut shape = String::new();
    for class in text.chars().map(class) {
        if !shape.ends_with(class) || !matches!(class, '9' | 'A' | 'a' | ' ') {
            shape.push(class);
        }
        if shape.len() > 4 * LONGEST {
            break;
        }
    }
    shape
}

fn cut(text: &str) -> String {
    if text.chars().nth(LONGEST).is_none() {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(LONGEST - 1).collect();
    short.push('…');
    short
}

/// A number with six significant digits at most after the point.
fn short(number: f64) -> String {
    let text = format!("{number:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}

#[cfg(test)]
mod tests;
