//! The records by their numbers.

use std::ops::Range;

use headworks_engine::format::{Decoder, FormatError};
use headworks_plan::{Contract, GenerateSource, SourcePlan, Template};
use headworks_sql::schema::{Schema, SchemaError};

use super::fault;
use super::random::Random;
use super::seeded_rng::{Purpose, SeededRng};
use super::shop::Shop;
use crate::formats::encoder;
use crate::formats::json::JsonDecoder;

/// Among so many records one is looked for that isn't meant to be faulty.
const LOOKED_AT: u64 = 10_000;

/// Makes the records of a sequence.
#[derive(Clone, Debug)]
pub(super) struct RecordFactory {
    settings: GenerateSource,
    schema: Schema,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Shop(Shop),
    Random(Random),
}

/// Records in one text, and where each of them is.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) text: String,
    pub(super) records: Vec<Range<usize>>,
}

impl RecordFactory {
    /// # Errors
    /// The contract is no contract.
    pub(super) fn new(
        settings: &GenerateSource,
        contract: &Contract,
    ) -> Result<RecordFactory, SchemaError> {
        Ok(RecordFactory {
            settings: settings.clone(),
            schema: Schema::from_contract(contract)?,
            content: match settings.template {
                Some(Template::Shop(records)) => Content::Shop(Shop::new(records)),
                None => Content::Random(Random::new(contract)?),
            },
        })
    }

    /// `count` records from number `first` on, made at `now_ms`.
    pub(super) fn make(&self, first: u64, count: u64, now_ms: i64) -> Made {
        let mut text = String::new();
        let records = (first..first + count).map(|number| {
            let start = text.len();
            if self.is_faulty(number) {
                let mut sound = String::new();
                self.sound(number, now_ms, &mut sound);
                let mut rng = SeededRng::new(self.settings.seed, number, Purpose::Fault);
                text.push_str(&fault::broken(&sound, &self.schema, &mut rng));
            } else {
                self.sound(number, now_ms, &mut text);
            }
            start..text.len()
        });
        let records = records.collect();
        Made { text, records }
    }

    /// Whether record `number` is meant to break the contract.
    pub(super) fn is_faulty(&self, number: u64) -> bool {
        let mut rng = SeededRng::new(self.settings.seed, number, Purpose::Soundness);
        rng.percent(self.settings.faulty_percent)
    }

    /// Appends record `number` as it would be were none faulty.
    fn sound(&self, number: u64, now_ms: i64, out: &mut String) {
        let (seed, at_ms) = (self.settings.seed, self.happened(number, now_ms));
        match &self.content {
            Content::Shop(shop) => shop.write(seed, number, at_ms, out),
            Content::Random(random) => random.write(seed, number, at_ms, out),
        }
    }

    /// When what record `number` tells of happened, if it is made at `now_ms`.
    pub(super) fn happened(&self, number: u64, now_ms: i64) -> i64 {
        let mut rng = SeededRng::new(self.settings.seed, number, Purpose::Lateness);
        if !rng.percent(self.settings.disorder_percent) {
            return now_ms;
        }
        let late = 1 + rng.below(self.settings.disorder_by_ms);
        now_ms.saturating_sub_unsigned(late)
    }

    /// Checks that the first record that isn't meant to be faulty obeys the contract, and its definition. The inner error says
    /// what a person must do.
    pub(super) fn fits(&self, plan: &SourcePlan) -> Result<Result<(), String>, FormatError> {
        let mut decoder = JsonDecoder::whole(&plan.into.contract, plan.unknown_fields)?;
        let first = (0..LOOKED_AT).find(|number| !self.is_faulty(*number));
        let mut text = String::new();
        self.sound(first.unwrap_or(0), 0, &mut text);
        let stream = &plan.into.name;
        let Err(error) = decoder.decode(text.as_bytes()) else {
            // What the contract takes, its definition may not.
            let batch = decoder.finish()?;
            let written = encoder(&plan.into.contract)?.encode(&batch, 0, &mut Vec::new());
            return Ok(written.map_err(|error| {
                format!(
                    "made-up records don't fit the definition of stream {stream}: {error}. Widen the definition there, or write records of your own to an http source"
                )
            }));
        };
        let Content::Shop(shop) = &self.content else {
            // It was made by the contract.
            return Ok(Err(format!(
                "a random record breaks the contract of stream {stream}: {error}; this is a fault of Headworks"
            )));
        };
        let fields = shop.fields();
        let refused = error.clone().refused();
        let path = refused.as_ref().map_or("", |refused| &refused.path);
        let field = path.split(['.', '[']).next().unwrap_or_default();
        let given = match fields.iter().find(|(name, _)| *name == field) {
            Some((name, type_)) => format!("the template gives {name} as {type_}"),
            None => format!("the template has no field {field}"),
        };
        let all: Vec<String> = fields.iter().map(|(n, t)| format!("{n} {t}")).collect();
        Ok(Err(format!(
            "the template's records don't fit stream {stream}: {error}; {given}. Its fields are: {}. Change spec.schema of the stream, choose other records (spec.generate.records), or leave spec.generate.template out for random values",
            all.join("; ")
        )))
    }
}
