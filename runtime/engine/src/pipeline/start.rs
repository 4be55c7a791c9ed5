//! Where reading begins: at the group's commit, or where `startFrom` says if there is none, and never
//! in silence past records that are gone.

use headworks_plan::StartFrom;

use crate::log::{Log, LogError, Partition, Position, Reason};

/// The positions to read from.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) positions: Vec<(Partition, Position)>,
    /// True: some of them aren't in the group's commits yet, and must be before the first record.
    pub(super) fresh: bool,
    /// What the group's commits say.
    pub(super) committed: Vec<(Partition, Option<i64>)>,
}

/// Finds the positions of `partitions`.
///
/// # Errors
/// `NeedsPerson(DataLost)` where a commit points at records that are no longer kept, unless the
/// accepted token names that loss; else what the log says.
pub(super) fn resolve(
    log: &mut impl Log,
    topics: &[String],
    partitions: &[Partition],
    from: impl Fn(Partition) -> StartFrom,
    accepted: Option<&str>,
) -> Result<Start, LogError> {
    let committed = log.committed(partitions)?;
    let offset = |position: &Option<Position>| position.map(|position| position.offset);
    let offsets = partitions
        .iter()
        .copied()
        .zip(committed.iter().map(offset))
        .collect();
    let bounds = log.bounds(partitions)?;
    let mut positions = Vec::with_capacity(partitions.len());
    let mut fresh = false;
    let mut lost: Vec<(String, String)> = Vec::new();
    for ((&partition, committed), bounds) in partitions.iter().zip(committed).zip(bounds) {
        let Some(position) = committed else {
            fresh = true;
            positions.push((partition, first(log, partition, from(partition))?));
            continue;
        };
        if (bounds.earliest..=bounds.end).contains(&position.offset) {
            positions.push((partition, position));
            continue;
        }
        let token = format!(
            "{}/{}@{}",
            topics[usize::from(partition.topic)],
            partition.number,
            position.offset
        );
        if accepted.is_some_and(|accepted| accepted.split(',').any(|entry| entry.trim() == token)) {
            fresh = true;
            positions.push((
                partition,
                Position {
                    offset: bounds.earliest,
                    ..position
                },
            ));
        } else {
            let (earliest, end) = (bounds.earliest, bounds.end);
            let what = if position.offset < earliest {
                format!(
                    "read up to {} but only {earliest} and later are kept",
                    position.offset
                )
            } else {
                format!(
                    "read up to {} but the partition ends at {end} (was the topic made anew?)",
                    position.offset
                )
            };
            lost.push((token, what));
        }
    }
    if lost.is_empty() {
        return Ok(Start {
            positions,
            fresh,
            committed: offsets,
        });
    }
    let each: Vec<String> = lost
        .iter()
        .map(|(token, what)| format!("{}: {what}", token.split('@').next().unwrap_or_default()))
        .collect();
    let token: Vec<&str> = lost.iter().map(|(token, _)| token.as_str()).collect();
    Err(LogError::NeedsPerson {
        reason: Reason::DataLost,
        message: format!(
            "{}; to go on from the oldest record that is kept, annotate the {} with headworks.dev/accept-data-loss: \"{}\"",
            each.join("; "),
            log.reader().kind(),
            token.join(",")
        ),
    })
}

/// Where a partition without a commit begins.
fn first(log: &mut impl Log, partition: Partition, from: StartFrom) -> Result<Position, LogError> {
    let one = [partition];
    match from {
        StartFrom::Earliest => Ok(Position {
            offset: only(log.bounds(&one)?)?.earliest,
            ..Position::default()
        }),
        StartFrom::Time(time) => Ok(Position {
            offset: only(log.offsets_at(&one, time)?)?,
            ..Position::default()
        }),
        StartFrom::Latest => {
            // "Latest" is the moment the pipeline first started, wherever that was; a partition that
            // is new since then belongs to it from its first record.
            let siblings = log.siblings(partition)?;
            let others: Vec<Position> = log.peek(&siblings)?.into_iter().flatten().collect();
            match others.iter().find_map(|position| position.first_start_ms) {
                Some(time) => Ok(Position {
                    offset: only(log.offsets_at(&one, time)?)?,
                    first_start_ms: Some(time),
                    ..Position::default()
                }),
                None if others.is_empty() => {
                    let now = log.wall_ms();
                    Ok(Position {
                        offset: only(log.bounds(&one)?)?.end,
                        first_start_ms: Some(now),
                        ..Position::default()
                    })
                }
                None => Ok(Position {
                    offset: only(log.bounds(&one)?)?.earliest,
                    ..Position::default()
                }),
            }
        }
    }
}

fn only<T>(answers: Vec<T>) -> Result<T, LogError> {
    answers
        .into_iter()
        .next()
        .ok_or_else(|| LogError::Retriable {
            message: "the broker answered about no partition".into(),
        })
}
