//! What a Replay would do: the selection, the query and the judges of its pod, and nothing is written.

use std::collections::{BTreeMap, BTreeSet};

use headworks_plan::{
    DeadLetterReason, Ends, PreviewKind, PreviewRefusal, ReplayPlan, ReplayPreview, RuleFigures,
};

use crate::dead_letter::{CHECK, PIPELINE, REASON, REPLAY, RULE, SOURCE};
use crate::format::{FormatError, Formats};
use crate::log::{Batch, Limits, Partition, Record, RecordHeaders};
use crate::pipeline;
use crate::replay::{Selected, select, value};
use crate::stateless::{Bad, Staged, StatelessOperator};

/// Records that are looked at together.
const BATCH: Limits = Limits {
    rows: 1_024,
    bytes: 4 << 20,
};
/// So many kinds are told apart: who writes into the topic may invent reasons.
const KINDS: usize = 1_000;
/// Longest word of a kind, and longest message, in bytes.
const WORD: usize = 256;

/// A record of the topic that would be replayed.
#[derive(Clone, Copy, Debug)]
pub struct PreviewRecord<'a> {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// When it became what it is, milliseconds since 1970 UTC.
    pub time_ms: Option<i64>,
    /// Its Kafka key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
    /// Headers of ours.
    pub headers: &'a RecordHeaders,
}

/// See the module.
pub struct Preview<'a> {
    plan: &'a ReplayPlan,
    operator: StatelessOperator,
    batch: Batch,
    staged: Staged,
    /// True: words that may quote a record aren't kept.
    masks: bool,
    kinds: BTreeMap<PreviewKind, u64>,
    refused: BTreeMap<Why, PreviewRefusal>,
    told: ReplayPreview,
}

type Why = (&'static str, Option<String>, Option<String>);

impl<'a> Preview<'a> {
    /// Of a Replay. `masks`: words that may quote a record aren't kept.
    ///
    /// # Errors
    /// The plan can't be run, and why.
    pub fn new(
        plan: &'a ReplayPlan,
        formats: &dyn Formats,
        masks: bool,
    ) -> Result<Preview<'a>, String> {
        let said = |error: pipeline::CompileError| error.to_string();
        let (query, stages) = (&plan.query, &plan.query.stages);
        let stage = stages.first().ok_or("the plan has no stage")?;
        let mut operator = match &stage.ends {
            Ends::Exchange(topic) => pipeline::compile_exchange(query, stage, topic, formats)
                .map(|(stateless, _)| stateless),
            Ends::Streams { .. } | Ends::Table(_) => pipeline::compile(query, formats),
        }
        .map_err(said)?;
        if let Some(into) = &plan.into_pipeline {
            operator = pipeline::replayed(operator, query, stage, into, formats).map_err(said)?;
        }
        Ok(Preview {
            plan,
            told: ReplayPreview {
                rules: operator.counts_by(),
                ..ReplayPreview::default()
            },
            operator,
            batch: Batch::default(),
            staged: Staged::default(),
            masks,
            kinds: BTreeMap::new(),
            refused: BTreeMap::new(),
        })
    }

    /// Adds a record.
    ///
    /// # Errors
    /// It has to wait for a schema; a bug.
    pub fn add(&mut self, record: &PreviewRecord<'_>) -> Result<(), FormatError> {
        let selected = match &self.plan.dead_letters {
            None => Selected::Yes,
            Some(selection) => select(selection, record.headers),
        };
        match selected {
            Selected::No => return Ok(()),
            Selected::Truncated => {
                self.told.truncated += 1;
                return Ok(());
            }
            Selected::Yes => {}
        }
        self.told.selected += 1;
        let at = record.time_ms;
        self.told.first_ms = self.told.first_ms.into_iter().chain(at).min();
        self.told.last_ms = self.told.last_ms.into_iter().chain(at).max();
        if self.plan.dead_letters.is_some() {
            self.count_kind(record.headers);
        }
        self.batch.push(&Record {
            partition: Partition {
                topic: 0,
                number: record.partition,
            },
            offset: record.offset,
            timestamp_ms: None,
            key: record.key,
            value: record.value,
        });
        if self.batch.is_full(BATCH) {
            self.flush()?;
        }
        Ok(())
    }

    /// All that came of it.
    ///
    /// # Errors
    /// As [`Preview::add`].
    pub fn end(mut self, read: u64, complete: bool) -> Result<ReplayPreview, FormatError> {
        self.flush()?;
        let kinds = self.kinds.into_iter();
        let kinds = kinds.map(|(kind, count)| PreviewKind { count, ..kind });
        let mut kinds: Vec<PreviewKind> = kinds.collect();
        kinds.sort_by_key(|kind| std::cmp::Reverse(kind.count));
        let mut refused: Vec<PreviewRefusal> = self.refused.into_values().collect();
        refused.sort_by_key(|refusal| std::cmp::Reverse(refusal.count));
        Ok(ReplayPreview {
            read,
            complete,
            kinds,
            refused,
            ..self.told
        })
    }

    fn count_kind(&mut self, headers: &RecordHeaders) {
        let word = |name| value(headers, name).map(|bytes| cut(&String::from_utf8_lossy(bytes)));
        let by = [PIPELINE, SOURCE, REPLAY].into_iter().find_map(word);
        let kind = PreviewKind {
            reason: word(REASON).unwrap_or_default(),
            rule: word(RULE),
            check: word(CHECK),
            by,
            count: 0,
        };
        if self.kinds.len() >= KINDS && !self.kinds.contains_key(&kind) {
            self.told.others += 1;
            return;
        }
        *self.kinds.entry(kind).or_default() += 1;
    }

    fn flush(&mut self) -> Result<(), FormatError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.operator.run(&self.batch, &mut self.staged)?;
        let rows = self.staged.rows.iter();
        let rows = rows.flat_map(|piece| piece.from.iter().map(|row| *row as usize));
        let records = self.staged.records.iter().map(|record| record.row);
        let mut written: BTreeSet<usize> = records.chain(rows).collect();
        for bad in std::mem::take(&mut self.staged.bad) {
            written.remove(&bad.row);
            self.refuse(&bad);
        }
        for (row, broken) in std::mem::take(&mut self.staged.halts) {
            written.remove(&row);
            self.refuse(&Bad {
                row,
                reason: DeadLetterReason::Quality,
                message: broken.message.clone(),
                broken: Some(Box::new(broken)),
            });
        }
        self.told.written += written.len() as u64;
        self.count_judged();
        let refused: u64 = self.refused.values().map(|refusal| refusal.count).sum();
        let told = self.told.written + refused;
        self.told.left_out = self.told.selected.saturating_sub(told);
        self.batch.clear();
        Ok(())
    }

    fn refuse(&mut self, bad: &Bad) {
        let broken = bad.broken.as_deref();
        let rule = broken.map(|broken| broken.rule.clone());
        let check = broken.map(|broken| broken.check.clone());
        let (place, offset) = self.batch.place(bad.row);
        let quotes = self.masks && broken.is_none();
        let why = (bad.reason.as_str(), rule.clone(), check.clone());
        let refusal = self.refused.entry(why).or_insert_with(|| PreviewRefusal {
            reason: bad.reason.as_str().to_owned(),
            rule,
            check,
            count: 0,
            at: format!("{}:{offset}", place.number),
            message: (!quotes).then(|| cut(&bad.message)),
        });
        refusal.count += 1;
    }

    fn count_judged(&mut self) {
        for judged in &self.staged.judged {
            let rules = self.operator.inputs.get(judged.input);
            let Some(rules) = rules.and_then(|input| input.rules.as_ref()) else {
                continue;
            };
            let place = |row: u32| {
                let (place, offset) = self.batch.place(judged.rows[row as usize]);
                Some(format!("{}:{offset}", place.number))
            };
            let end = u32::try_from(judged.rows.len()).unwrap_or(u32::MAX);
            let counted = rules.count(&judged.judgement, end, 0, place);
            RuleFigures::add_all(&mut self.told.rules, &counted);
        }
    }
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(WORD);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use headworks_plan::{
        Check, DeadLetterSelection, Delivery, OnBadRecord, OnOverflow, PipelinePlan, Rule,
        RuleAction, StartFrom,
    };

    use super::*;
    use crate::testing::fixture_format::{WordFormats, words};
    use crate::testing::streams_stage;

    fn plan() -> ReplayPlan {
        let rule = Rule {
            name: "sane".into(),
            generation: 1,
            filter: None,
            checks: vec![Check {
                name: "small".into(),
                expression: "n < 10".into(),
                field: None,
                action: RuleAction::DeadLetter,
            }],
        };
        ReplayPlan {
            query: PipelinePlan {
                sql: "SELECT id, 12 / n AS n FROM words WHERE id <> 'left'".into(),
                inputs: vec![words("words", Vec::new())],
                outputs: vec![words("out", vec![rule])],
                delivery: Delivery::ExactlyOnce,
                commit_interval_ms: 10,
                start_from: StartFrom::Earliest,
                on_bad_record: OnBadRecord::DeadLetter,
                on_overflow: OnOverflow::SetNull,
                stages: vec![streams_stage("g", &["words"])],
                accept_data_loss: None,
                verdicts: None,
            },
            id: "id".into(),
            end_ms: None,
            dead_letters: Some(DeadLetterSelection {
                reasons: vec!["Quality".into()],
                ..DeadLetterSelection::default()
            }),
            records_per_second: None,
            begun: false,
            into_pipeline: None,
        }
    }

    fn previewed(masks: bool) -> ReplayPreview {
        let plan = plan();
        let mut preview = Preview::new(&plan, &WordFormats, masks).unwrap();
        let values = ["a 1", "b 2", "left 3", "c 0", "none", "d 4", "e 3"];
        for (offset, value) in (0_i64..).zip(values) {
            let mut headers: RecordHeaders = vec![
                (REASON.into(), b"Quality".to_vec()),
                (PIPELINE.into(), b"shop/p".to_vec()),
            ];
            match value {
                "d 4" => headers[0].1 = b"Late".to_vec(),
                "e 3" => headers.push((crate::dead_letter::TRUNCATED.into(), b"9".to_vec())),
                _ => {}
            }
            preview
                .add(&PreviewRecord {
                    partition: 3,
                    offset,
                    time_ms: Some(100 + offset),
                    key: None,
                    value: Some(value.as_bytes()),
                    headers: &headers,
                })
                .unwrap();
        }
        preview.end(7, true).unwrap()
    }

    #[test]
    fn what_a_replay_would_do_is_told_record_by_record() {
        let told = previewed(false);
        assert_eq!((told.selected, told.truncated, told.written), (5, 1, 1));
        assert_eq!(
            (told.left_out, told.first_ms, told.last_ms),
            (1, Some(100), Some(104))
        );
        assert_eq!(told.kinds.len(), 1);
        let kind = &told.kinds[0];
        assert_eq!(
            (kind.reason.as_str(), kind.by.as_deref(), kind.count),
            ("Quality", Some("shop/p"), 5)
        );
        let mut refused: Vec<(&str, &str, u64)> = Vec::new();
        for one in &told.refused {
            refused.push((&one.reason, &one.at, one.count));
        }
        refused.sort_unstable();
        assert_eq!(
            refused,
            [
                ("Decode", "3:4", 1),
                ("Evaluation", "3:3", 1),
                ("Quality", "3:0", 1)
            ]
        );
        assert!(told.refused.iter().all(|one| one.message.is_some()));
    }

    #[test]
    fn words_that_may_quote_a_masked_field_are_not_kept() {
        let told = previewed(true);
        for one in &told.refused {
            assert_eq!(one.message.is_some(), one.reason == "Quality", "{one:?}");
        }
    }
}
