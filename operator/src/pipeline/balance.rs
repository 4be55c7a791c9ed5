//! The continuous audit: the condition `Balanced`, by what the stages count beside their positions. Pure, but for where the counts
//! come from.
//!
//! Pods say what they have counted, and when and why they began to. Whether that was the first time, only the status knows: a group
//! that was counted before, and is counted from some other place on, has had its commits set or deleted by somebody else.

use std::collections::BTreeSet;

use headworks_crds::{
    ANNOTATION_ACCEPT_IMBALANCE, AuditReset, Condition, Pipeline, PipelineStatus, StageAudit,
    TableAudit, conditions::BALANCED,
};
use headworks_plan::{CountsBegun, Reason, StageCounts};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use crate::{
    context::Context,
    names::Key,
    reason::ConditionReason,
    reports::Counted,
    retry::Error,
    status::{set, unknown},
    workload::figures::instant,
};

/// Most stages that a status shows: as many as the API takes.
const MOST_STAGES: usize = 32;

/// Takes in what the pods have counted, and says whether it adds up.
pub fn settle(pipeline: &Pipeline, key: &Key, status: &mut PipelineStatus, context: &Context) {
    let figures = context.reports.figures(key);
    if let Some(counted) = figures.and_then(|figures| figures.counted) {
        take_in(&mut status.audit.audit, &counted);
    }
    let lost = context.reports.problem(key, |problem| {
        problem.reason.as_str() == Reason::DataLost.as_str()
            || problem.reason.as_str() == Reason::StateOffsetMismatch.as_str()
    });
    let shared = context.flows.shared(key);
    let shared = shared
        .into_keys()
        .filter_map(|target| target.strip_prefix("table/").map(str::to_owned));
    let audited = Audited {
        stages: &status.audit.audit,
        tables: &status.tables,
        shared: shared.collect(),
        accepted: pipeline
            .annotations()
            .get(ANNOTATION_ACCEPT_IMBALANCE)
            .map_or("", String::as_str),
        lost: lost.map(|problem| problem.message),
    };
    let conditions = &mut status.conditions;
    audited.say(conditions, pipeline.metadata.generation, Timestamp::now());
}

/// Brings what is known of the stages to what was counted.
fn take_in(known: &mut Vec<StageAudit>, counted: &Counted) {
    if counted.older {
        // What it does goes uncounted. Counting begins anew after it.
        for stage in known.iter_mut() {
            stage.since = None;
        }
        return;
    }
    for counts in &counted.stages {
        // Pods that read under another group beside the known one, such as on trial, have counts of their own.
        let is_beside = counted.stages.iter().any(|other| {
            other.stage == counts.stage
                && other.group != counts.group
                && known
                    .iter()
                    .any(|stage| stage.stage == other.stage && stage.group == other.group)
        });
        if is_beside {
            continue;
        }
        let at = known.iter().position(|stage| stage.stage == counts.stage);
        if at.is_none() && known.len() >= MOST_STAGES {
            // No Pipeline has so many: a pod makes them up.
            continue;
        }
        let at = at.unwrap_or_else(|| {
            known.push(StageAudit {
                stage: counts.stage.clone(),
                ..StageAudit::default()
            });
            known.len() - 1
        });
        stage(&mut known[at], counts, counted.settled);
    }
    if counted.settled {
        known.retain(|stage| {
            counted
                .stages
                .iter()
                .any(|counts| counts.stage == stage.stage)
        });
    }
    known.sort_by(|a, b| a.stage.cmp(&b.stage));
}

fn stage(known: &mut StageAudit, counts: &StageCounts, settled: bool) {
    if known.group != counts.group {
        // Another query's, which counts from its own beginning.
        *known = StageAudit {
            stage: counts.stage.clone(),
            group: counts.group.clone(),
            ..StageAudit::default()
        };
    }
    if let Some(begun) = &counts.begun
        && was_read(known, &begun.place)
    {
        let seconds = |time: Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| {
            time.map(|time| time.0.as_second())
        };
        let reset = known.reset.as_ref().and_then(|reset| reset.time.as_ref());
        let last =
            seconds(known.since.as_ref()).map(|since| since.max(seconds(reset).unwrap_or(since)));
        if last.is_some_and(|last| begun.at_ms.div_euclid(1_000) > last) {
            known.reset = Some(AuditReset {
                time: instant(begun.at_ms),
                deleted: begun.fresh,
                place: begun.place.clone(),
                moved: moved(known, counts, begun),
            });
        }
    }
    if !settled {
        known.missing = known.missing.max(whole(counts.missing));
        known.extra = known.extra.max(whole(counts.extra));
        if known.place.is_none() {
            known.place.clone_from(&counts.place);
        }
        return;
    }
    // With other inputs it was counted from another time on.
    let since = known.since.take().filter(|_| known.topics == counts.topics);
    *known = StageAudit {
        stage: counts.stage.clone(),
        group: counts.group.clone(),
        topics: counts.topics.clone(),
        since: since.or_else(|| counts.began_ms.and_then(instant)),
        position: whole(counts.position),
        read: whole(counts.read),
        dropped: whole(counts.dropped),
        dead_letters: whole(counts.dead_letters),
        written: whole(counts.written),
        missing: whole(counts.missing),
        extra: whole(counts.extra),
        place: counts.place.clone(),
        reset: known.reset.take(),
        table: counts.table.as_ref().map(|table| TableAudit {
            rows: whole(table.rows),
            expected: whole(table.expected),
        }),
    };
}

/// True for a place in a topic that was read before: a query may be given other inputs.
fn was_read(known: &StageAudit, place: &str) -> bool {
    let topic = place.rsplit_once('[').map_or(place, |(topic, _)| topic);
    known.topics.iter().any(|known| known == topic)
}

/// By how many offsets the positions were moved: where counting began anew, less where they were known to be last.
fn moved(known: &StageAudit, counts: &StageCounts, begun: &CountsBegun) -> Option<i64> {
    let began_at = counts.position.saturating_sub(counts.counted);
    let all = begun.partitions > 0 && begun.partitions == counts.owned;
    all.then(|| whole(began_at).saturating_sub(known.position))
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// What is known, and what of it counts.
struct Audited<'a> {
    stages: &'a [StageAudit],
    /// As `store/table`, in the order of the stages that write them.
    tables: &'a [String],
    /// Those that somebody else writes, too: what they hold says nothing of this Pipeline.
    shared: BTreeSet<String>,
    /// What a person has taken for known.
    accepted: &'a str,
    /// What a pod says of records that are gone, or of a state that isn't where its positions are.
    lost: Option<String>,
}

/// Something that doesn't add up, and the token by which it is taken for known.
struct Imbalance {
    reason: ConditionReason,
    message: String,
    token: String,
}

impl Audited<'_> {
    fn say(&self, conditions: &mut Vec<Condition>, generation: Option<i64>, now: Timestamp) {
        if let Some(message) = &self.lost {
            let error = Error::stalled(ConditionReason::RecordsMissing, message.clone());
            set(
                conditions,
                BALANCED,
                Err::<(ConditionReason, _), _>(&error),
                generation,
                now,
            );
            return;
        }
        let is_accepted = |one: &Imbalance| {
            let mut tokens = self.accepted.split(',').map(str::trim);
            tokens.any(|token| token == one.token)
        };
        let all: Vec<Imbalance> = self
            .stages
            .iter()
            .flat_map(|stage| self.of(stage))
            .collect();
        let (accepted, open): (Vec<_>, Vec<_>) = all.into_iter().partition(is_accepted);
        if let Some(first) = open.first() {
            let words: Vec<&str> = open.iter().map(|one| one.message.as_str()).collect();
            let tokens = accepted.iter().chain(&open).map(|one| one.token.as_str());
            let tokens: Vec<&str> = tokens.collect();
            let message = format!(
                "{}; once you know why, and have put it right or taken it as it is, annotate the Pipeline with {ANNOTATION_ACCEPT_IMBALANCE}: \"{}\"",
                words.join("; "),
                tokens.join(",")
            );
            let error = Error::stalled(first.reason, message);
            set(
                conditions,
                BALANCED,
                Err::<(ConditionReason, _), _>(&error),
                generation,
                now,
            );
            return;
        }
        if self.stages.is_empty() || self.stages.iter().any(|stage| stage.since.is_none()) {
            let message = "the pods haven't counted yet what they read and write, or one of an earlier release counts nothing";
            unknown(
                conditions,
                BALANCED,
                (ConditionReason::NotCounted, message),
                generation,
                now,
            );
            return;
        }
        let figures: Vec<String> = self.stages.iter().map(figures).collect();
        let words: Vec<&str> = accepted.iter().map(|one| one.message.as_str()).collect();
        let known = if words.is_empty() {
            String::new()
        } else {
            format!("; taken for known: {}", words.join("; "))
        };
        let message = format!("{}{known}", figures.join("; "));
        let well = Ok((ConditionReason::Accounted, message.as_str()));
        set(conditions, BALANCED, well, generation, now);
    }

    /// What doesn't add up of a stage.
    fn of(&self, stage: &StageAudit) -> Vec<Imbalance> {
        let name = &stage.stage;
        let place = stage
            .place
            .as_ref()
            .map(|place| format!(", the first at {place}"));
        let place = place.unwrap_or_default();
        let mut all = Vec::new();
        if stage.missing > 0 {
            all.push(Imbalance {
                reason: ConditionReason::RecordsMissing,
                message: format!(
                    "{name}: {} records were passed over unread, or their results weren't written{place}",
                    stage.missing
                ),
                token: format!("{name}/missing/{}", stage.missing),
            });
        }
        if stage.extra > 0 {
            all.push(Imbalance {
                reason: ConditionReason::RecordsRepeated,
                message: format!(
                    "{name}: {} records were read again though they had been counted, or their results were written twice{place}",
                    stage.extra
                ),
                token: format!("{name}/extra/{}", stage.extra),
            });
        }
        if let Some(reset) = &stage.reset {
            all.push(of_reset(name, &stage.group, reset));
        }
        all.extend(self.of_table(stage));
        all
    }

    fn of_table(&self, stage: &StageAudit) -> Option<Imbalance> {
        let held = stage.table.as_ref()?;
        let at: usize = stage.stage.rsplit_once('-')?.1.parse().ok()?;
        let table = self.tables.get(at).map_or("its table", String::as_str);
        if held.rows == held.expected || self.shared.contains(table) {
            return None;
        }
        let (rows, expected) = (held.rows, held.expected);
        let what = if rows < expected {
            format!("{} rows are gone", expected.saturating_sub(rows))
        } else {
            format!(
                "{} rows are there that it hasn't written",
                rows.saturating_sub(expected)
            )
        };
        Some(Imbalance {
            reason: ConditionReason::TableDiffers,
            message: format!(
                "{}: {table} holds {rows} rows and should hold {expected}: {what}; if others write or delete there, accept it",
                stage.stage
            ),
            token: format!("{}/table", stage.stage),
        })
    }
}

fn of_reset(stage: &str, group: &str, reset: &AuditReset) -> Imbalance {
    let time = reset.time.as_ref().map_or(0, |time| time.0.as_second());
    let what = if reset.deleted {
        "were deleted (by hand, or because no pod ran for longer than offsets.retention.minutes)"
    } else {
        "were set by somebody else (kafka-consumer-groups --reset-offsets?)"
    };
    let by = match reset.moved {
        Some(by) if by > 0 => format!("about {by} records are missing from the results"),
        Some(by) if by < 0 => format!(
            "about {} records are in the results again",
            by.unsigned_abs()
        ),
        Some(_) => "to where they were".to_owned(),
        None => "records are missing from the results, or are there again".to_owned(),
    };
    Imbalance {
        reason: ConditionReason::PositionsSet,
        message: format!(
            "{stage}: the commits of group {group} {what}, and it reads on from {}: {by}",
            reset.place
        ),
        token: format!("{stage}/set/{time}"),
    }
}

/// What a stage did, in numbers.
fn figures(stage: &StageAudit) -> String {
    let StageAudit {
        stage: name,
        read,
        written,
        dead_letters,
        dropped,
        ..
    } = stage;
    let table = stage.table.as_ref();
    let table = table.map(|table| format!(", {} rows in the table", table.rows));
    format!(
        "{name}: {read} records read, {written} written, {dead_letters} dead letters, {dropped} dropped{}",
        table.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests;
