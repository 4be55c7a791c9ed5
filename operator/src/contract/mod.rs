//! What a contract is: read from a DataStream's spec, its definition, the names of its topics, its fingerprint, and how an accepted
//! one is written down. Whether a new one may follow an old one is asked in `evolution`.
//!
//! A contract has two parts. What every record obeys (fields, key, which field is the event time, format) is
//! accepted, numbered and written down ([`obeyed`]). How its readers go about it (how long they wait for
//! stragglers, that a record replaces another) is taken from the spec whenever somebody reads the stream
//! ([`as_read`]): changing it makes no new contract and breaks nobody.
//!
//! Pure: admission, the reconcile and the command line ask the same.

pub mod definition;
pub mod references;
pub mod revision;
pub mod topic_name;
mod wanted;

use definition::Fault;
use headworks_crds::{DataStreamSpec, MAX_EVENT_TIME_MS};
use headworks_plan::{Contract, EventTime};
use headworks_sql::{schema::Schema, types::DataType};
pub use wanted::wanted;

use crate::names::digest;

/// The contract that a spec describes; a definition only where one stands in the spec ([`definition::complete`] adds the
/// derived one).
///
/// # Errors
/// Where an inline definition can't be read, a label names no field, or a text that it needs may not be called so.
pub fn read(spec: &DataStreamSpec) -> Result<Contract, Fault> {
    read_after(spec, None)
}

/// As [`read`], after `before`, the one in force, if there is one: what texts are called in it they may be called.
///
/// # Errors
/// Those of [`read`].
pub fn read_after(spec: &DataStreamSpec, before: Option<&Contract>) -> Result<Contract, Fault> {
    references::check_names(spec, before)?;
    let (fields, definition) = definition::read(spec)?;
    Ok(Contract {
        fields,
        key: spec.key.clone(),
        compacted: spec.compacted,
        event_time: event_time(spec),
        format: spec.format.into(),
        definition,
        ..Contract::default()
    })
}

/// As [`read`]; a contract that can't be read has no fields, which [`check`] refuses.
pub fn contract(spec: &DataStreamSpec) -> Contract {
    read(spec).unwrap_or_else(|_| Contract {
        key: spec.key.clone(),
        compacted: spec.compacted,
        event_time: event_time(spec),
        format: spec.format.into(),
        ..Contract::default()
    })
}

fn event_time(spec: &DataStreamSpec) -> Option<EventTime> {
    spec.event_time.as_ref().map(|e| EventTime {
        field: e.field.clone(),
        // A spec out of bounds is refused, but what is accepted already may be read meanwhile.
        max_out_of_orderness_ms: e.max_out_of_orderness.millis().min(MAX_EVENT_TIME_MS),
        idle_timeout_ms: Some(e.idle_timeout.millis().min(MAX_EVENT_TIME_MS)).filter(|ms| *ms > 0),
    })
}

/// Checks types, names, key and event time; the message names the field.
pub fn check(contract: &Contract) -> Result<(), String> {
    check_at(contract, "spec.schema")
}

/// As [`check`]; `place` is where the spec says the contract ([`definition::place`]).
pub fn check_at(contract: &Contract, place: &str) -> Result<(), String> {
    Schema::from_contract(contract)
        .map(|_| ())
        .map_err(|error| format!("{place}: {error}"))
}

/// One spelling a type, so that a change of blanks is no change of the contract.
fn canonical(text: &str) -> String {
    text.parse::<DataType>()
        .map_or_else(|_| text.to_owned(), |t| t.to_string())
}

/// The part of a contract that is accepted, and stays as it is until another one is.
pub fn obeyed(contract: &Contract) -> Contract {
    Contract {
        compacted: false,
        registered: None,
        earlier: Vec::new(),
        event_time: contract.event_time.as_ref().map(|time| EventTime {
            field: time.field.clone(),
            max_out_of_orderness_ms: 0,
            idle_timeout_ms: None,
        }),
        ..contract.clone()
    }
}

/// An accepted contract as readers see it: with the part that the spec says anew.
pub fn as_read(accepted: &Contract, spec: &DataStreamSpec) -> Contract {
    let now = event_time(spec);
    let same_field = |time: &EventTime| {
        let now = now.as_ref().filter(|n| n.field == time.field);
        now.unwrap_or(time).clone()
    };
    Contract {
        compacted: spec.compacted,
        event_time: accepted.event_time.as_ref().map(same_field),
        ..accepted.clone()
    }
}

/// Contracts that say the same of records have equal fingerprints. Docs and comments say nothing of records.
pub fn fingerprint(contract: &Contract) -> String {
    let said = Contract {
        definition: contract.definition.as_ref().map(definition::essence),
        ..obeyed(contract)
    };
    let text = serde_json::to_string(&said).unwrap_or_default();
    digest(text.as_bytes())[..16].to_owned()
}

#[cfg(test)]
mod tests {

    use super::*;

    fn spec(extra: &serde_json::Value) -> DataStreamSpec {
        let mut spec = serde_json::json!({"schema": [{"name": "id", "type": "string"},
            {"name": "at", "type": "timestamp_ltz(3)"}], "key": ["id"]});
        spec.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn how_a_stream_is_read_is_no_part_of_what_is_accepted() {
        let plain = serde_json::json!({"eventTime": {"field": "at"}});
        let patient = serde_json::json!({"compacted": true,
            "eventTime": {"field": "at", "maxOutOfOrderness": "1m", "idleTimeout": "0s"}});
        let (plain, patient) = (spec(&plain), spec(&patient));
        let accepted = obeyed(&contract(&plain));
        // As it was written down before there was anything else to say of event time.
        assert_eq!(
            serde_json::to_value(&accepted).unwrap()["eventTime"],
            serde_json::json!({"field": "at", "maxOutOfOrdernessMs": 0})
        );
        assert_eq!(obeyed(&contract(&patient)), accepted);
        assert_eq!(fingerprint(&contract(&patient)), fingerprint(&accepted));

        let time = as_read(&accepted, &plain).event_time.unwrap();
        assert_eq!(
            (time.max_out_of_orderness_ms, time.idle_timeout_ms),
            (5_000, Some(30_000))
        );
        let read = as_read(&accepted, &patient);
        let time = read.event_time.unwrap();
        assert!(read.compacted);
        assert_eq!(
            (time.max_out_of_orderness_ms, time.idle_timeout_ms),
            (60_000, None)
        );
        // Another field isn't accepted yet, or never: what is said of it isn't about the one in force.
        let other = spec(&serde_json::json!({"eventTime": {"field": "id"}}));
        assert_eq!(as_read(&accepted, &other).event_time, accepted.event_time);
    }

    #[test]
    fn the_spelling_of_a_type_is_not_part_of_the_contract() {
        assert_eq!(
            canonical("array< struct<a int> >"),
            canonical("array<struct<a int>>")
        );
    }
}
