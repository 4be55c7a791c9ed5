//! What a Pipeline's earlier queries wrote, and whether a query that begins anew may write there, too.
//!
//! A Reset takes away progress and state; what was written stays, because a table or a stream isn't the Pipeline's alone and
//! nobody knows which of its rows are. A query with another key or window would write its rows beside those that are there: where
//! rows are appended each thing is counted twice, and where they replace each other by key, those whose keys no longer
//! come stay for ever. So a query that begins anew writes where none of its Pipeline's earlier ones did, unless an annotation that
//! names the new state says that it may. Pure.

use std::collections::BTreeSet;

use headworks_crds::{ANNOTATION_ACCEPT_MIXED_RESULTS, PipelineSpec, PipelineStatus};
use headworks_plan::names::version;

use crate::connectors::stores::table_name;
use crate::reason::ConditionReason;
use crate::retry::Error;

/// Most that a status keeps of earlier targets; the oldest are forgotten.
const MOST: usize = 64;
/// The token of a query that needs no state.
const STATELESS: &str = "stateless";

/// A target in a status: `stream/NAME` or `table/STORE/NAME`.
fn stream(name: &str) -> String {
    format!("stream/{name}")
}

/// `orders` and `public.orders` are mostly one.
fn table(store: &str, name: &str) -> String {
    format!("table/{store}/{}", table_name(name))
}

/// What a spec writes.
pub fn wanted(spec: &PipelineSpec) -> BTreeSet<String> {
    let streams = spec.to.iter().filter_map(|t| t.stream.as_deref());
    let tables = spec.to.iter().filter_map(|t| t.table.as_ref());
    streams
        .map(stream)
        .chain(tables.map(|t| table(&t.store, &t.name)))
        .collect()
}

/// What the query in force writes.
fn in_force(status: &PipelineStatus) -> impl Iterator<Item = String> {
    let tables = status.tables.iter().filter_map(|t| t.split_once('/'));
    let streams = status.outputs.iter().map(|name| stream(name));
    streams.chain(tables.map(|(store, name)| table(store, name)))
}

/// True: the spec's targets are those of the query in force, by their names.
pub fn are_as_in_force(spec: &PipelineSpec, status: &PipelineStatus) -> bool {
    wanted(spec) == in_force(status).collect()
}

/// The token that permits a query to write where another has: it names the state, so it permits no other query.
pub fn token(fingerprint: Option<&str>) -> String {
    fingerprint.map_or_else(|| STATELESS.to_owned(), version)
}

/// Targets of the spec that hold results of an earlier query, in words; empty if there are none. `changed`: the query begins anew,
/// so that the one in force is an earlier one.
pub fn mixed(spec: &PipelineSpec, status: &PipelineStatus, changed: bool) -> Vec<String> {
    let mut earlier: BTreeSet<String> = status.earlier_targets.iter().cloned().collect();
    if changed {
        earlier.extend(in_force(status));
        earlier.extend(status.former_targets.iter().cloned());
    }
    let both = wanted(spec).into_iter().filter(|t| earlier.contains(t));
    both.map(|target| target.replacen('/', " ", 1)).collect()
}

/// Whether the new query may write where it wants to. `accepted` is the annotation's value.
///
/// # Errors
/// `ResultsWouldMix`, with the ways on.
pub fn check(
    spec: &PipelineSpec,
    status: &PipelineStatus,
    changed: bool,
    fingerprint: Option<&str>,
    accepted: Option<&str>,
) -> Result<(), Error> {
    let mixed = mixed(spec, status, changed);
    let token = token(fingerprint);
    if mixed.is_empty() || accepted == Some(token.as_str()) {
        return Ok(());
    }
    let list = mixed.join(", ");
    Err(Error::stalled(
        ConditionReason::ResultsWouldMix,
        format!(
            "spec.to: {list}: an earlier query of this Pipeline wrote there, and a Reset takes away progress and state, never results: those of two queries would stand beside each other. Name another stream or table in spec.to; or empty what is there (or take it as it is) and annotate {ANNOTATION_ACCEPT_MIXED_RESULTS}: \"{token}\"; or undo the change"
        ),
    ))
}

/// A query was reset: what it wrote is an earlier query's from now on.
pub fn went(status: &mut PipelineStatus) {
    let former = std::mem::take(&mut status.former_targets);
    let gone: Vec<String> = in_force(status).chain(former).collect();
    keep(&mut status.earlier_targets, gone);
}

/// The query in force is about to write what the spec says: where it wrote until now and doesn't any more stays its own.
pub fn moves(spec: &PipelineSpec, status: &mut PipelineStatus) {
    let wanted = wanted(spec);
    let gone: Vec<String> = in_force(status).filter(|t| !wanted.contains(t)).collect();
    status.former_targets.retain(|t| !wanted.contains(t));
    keep(&mut status.former_targets, gone);
}

/// Adds what isn't there; the oldest are forgotten.
fn keep(list: &mut Vec<String>, more: Vec<String>) {
    for target in more {
        if !list.contains(&target) {
            list.push(target);
        }
    }
    list.drain(..list.len().saturating_sub(MOST));
}

/// Where a query runs that was let write there: what is there is its own from now on. Before it runs, another may take its place.
pub fn taken(spec: &PipelineSpec, status: &mut PipelineStatus) {
    if status.group.is_none() {
        return;
    }
    let wanted = wanted(spec);
    status.earlier_targets.retain(|t| !wanted.contains(t));
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spec(to: Value) -> PipelineSpec {
        serde_json::from_value(json!({"sql": "", "to": to})).unwrap()
    }

    fn status(status: Value) -> PipelineStatus {
        serde_json::from_value(status).unwrap()
    }

    const NEW: &str = "89abcdef0000";

    fn refused(
        spec: &PipelineSpec,
        status: &PipelineStatus,
        accepted: Option<&str>,
    ) -> Option<String> {
        let outcome = check(spec, status, true, Some(NEW), accepted);
        outcome.err().map(|error| error.message().to_owned())
    }

    #[test]
    fn a_query_that_begins_anew_writes_where_the_one_before_did_not() {
        let ran =
            status(json!({"group": "g.1", "outputs": ["counts"], "tables": ["w/public.totals"]}));
        let same = spec(json!([{"table": {"store": "w", "name": "totals", "key": ["k"]}}]));
        let told = refused(&same, &ran, None).unwrap();
        for word in [
            "table w/totals",
            "accept-mixed-results: \"89abcdef\"",
            "spec.to",
        ] {
            assert!(told.contains(word), "{word}: {told}");
        }
        assert!(refused(&spec(json!([{"stream": "counts"}])), &ran, None).is_some());
        // A stream and a table of one name are two; so are tables of two stores.
        for other in [
            json!([{"stream": "totals"}]),
            json!([{"table": {"store": "x", "name": "totals"}}]),
            json!([{"table": {"store": "w", "name": "hourly"}}]),
        ] {
            assert_eq!(refused(&spec(other), &ran, None), None);
        }
        // The same query, whose targets are its own.
        assert_eq!(check(&same, &ran, false, Some(NEW), None), Ok(()));
    }

    #[test]
    fn a_permission_is_for_one_state() {
        let ran = status(json!({"group": "g.1", "outputs": ["counts"]}));
        let same = spec(json!([{"stream": "counts"}]));
        assert_eq!(refused(&same, &ran, Some("89abcdef")), None);
        assert!(refused(&same, &ran, Some("01234567")).is_some());
        assert!(refused(&same, &ran, Some("true")).is_some());
        assert!(check(&same, &ran, true, None, Some("stateless")).is_ok());
    }

    #[test]
    fn a_way_back_is_no_way_round() {
        let mut status = status(json!({"group": "g.1", "outputs": ["minutes"]}));
        went(&mut status);
        assert_eq!(status.earlier_targets, ["stream/minutes"]);
        // The hours run by now, and somebody wants to write them beside the minutes.
        status.outputs = vec!["hours".into()];
        let both = spec(json!([{"stream": "hours"}, {"stream": "minutes"}]));
        assert!(check(&both, &status, false, Some(NEW), None).is_err());
        // Or goes back to the minutes, which begin anew and would be there twice.
        let minutes = spec(json!([{"stream": "minutes"}]));
        assert!(check(&minutes, &status, true, Some(NEW), None).is_err());
        // Accepted, it is the query's own as soon as that runs, whatever becomes of the annotation.
        assert!(check(&both, &status, false, Some(NEW), Some("89abcdef")).is_ok());
        let group = status.group.take();
        taken(&both, &mut status);
        assert!(check(&both, &status, false, Some("another"), None).is_err());
        status.group = group;
        taken(&both, &mut status);
        assert!(check(&both, &status, false, Some(NEW), None).is_ok());
    }

    #[test]
    fn a_target_that_was_taken_out_before_is_remembered() {
        let mut status = status(json!({"group": "g.1", "outputs": ["minutes"]}));
        let hours = spec(json!([{"stream": "hours"}]));
        // The same query writes elsewhere.
        moves(&hours, &mut status);
        status.outputs = vec!["hours".into()];
        assert_eq!(status.former_targets, ["stream/minutes"]);
        let minutes = spec(json!([{"stream": "minutes"}]));
        // It may come back; another query mayn't write there.
        assert!(check(&minutes, &status, false, Some(NEW), None).is_ok());
        assert!(check(&minutes, &status, true, Some(NEW), None).is_err());
        let mut back = status.clone();
        moves(&minutes, &mut back);
        assert_eq!(back.former_targets, ["stream/hours"]);
        went(&mut status);
        assert!(status.former_targets.is_empty());
        assert_eq!(status.earlier_targets, ["stream/hours", "stream/minutes"]);
        // Nothing changes where nothing moves.
        let mut same = PipelineStatus {
            outputs: vec!["hours".into()],
            ..PipelineStatus::default()
        };
        let before = same.clone();
        moves(&hours, &mut same);
        assert_eq!(same, before);
    }

    #[test]
    fn what_is_kept_of_the_past_is_bounded() {
        let mut status = PipelineStatus::default();
        for n in 0..100 {
            status.outputs = vec![format!("s{n}")];
            went(&mut status);
        }
        assert_eq!(status.earlier_targets.len(), MOST);
        assert_eq!(status.earlier_targets.last().unwrap(), "stream/s99");
    }
}
