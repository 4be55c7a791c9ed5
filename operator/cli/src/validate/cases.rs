//! The tests in `spec.tests`: are their streams and columns known, do their records obey the contracts?
//! Whether they pass is `headworks test`'s to say.

use std::collections::BTreeMap;

use headworks_connectors::formats::AsJson;
use headworks_connectors::formats::json::JsonDecoder;
use headworks_engine::format::{Decoder, Formats};
use headworks_plan::{Contract, UnknownFields};

use super::World;
use super::pipelines::{self, Planned};
use crate::finding::{Finding, Severity, hint};
use crate::object::Object;
use crate::rows;
use crate::yaml::{Node, steps};

/// Checks the tests of every Pipeline whose query could be planned.
pub fn check(
    world: &World,
    planned: &BTreeMap<(String, String), Planned>,
    findings: &mut Vec<Finding>,
) {
    for (object, pipeline) in world.pipelines() {
        let key = (object.namespace.clone(), object.name.clone());
        let Some(planned) = planned.get(&key) else {
            continue;
        };
        for at in 0..pipeline.spec.tests.len() {
            let field = format!("spec.tests[{at}]");
            given(world, object, planned, &field, findings);
            letters(object, planned, &field, findings);
            let Some(expected) = object.node.at(&steps(&format!("{field}.expect"))) else {
                continue;
            };
            let columns = rows::contract_of(&planned.dataflow.output);
            for (row, node) in expected.items().iter().enumerate() {
                let field = format!("{field}.expect[{row}]");
                expect(object, planned, &columns, &field, node, findings);
            }
        }
    }
}

fn given(
    world: &World,
    object: &Object,
    planned: &Planned,
    field: &str,
    findings: &mut Vec<Finding>,
) {
    let Some(node) = object.node.at(&steps(&format!("{field}.given"))) else {
        return;
    };
    for (key, records) in node.entries() {
        let field = format!("{field}.given.{}", key.name);
        if !planned.inputs.contains(&key.name) {
            let meant = hint(&key.name, planned.inputs.iter().map(String::as_str));
            findings.push(object.finding(
                key.place,
                &field,
                format!("the query doesn't read a stream of this name{meant}"),
            ));
            continue;
        }
        let Some(contract) = world.contract(&object.namespace, &key.name) else {
            continue;
        };
        for (at, record) in records.items().iter().enumerate() {
            if let Err(message) = obeys(contract, record) {
                let field = format!("{field}[{at}]");
                let mut finding = object.finding(
                    record.place,
                    &field,
                    format!("the record breaks the stream's contract: {message}; a Source would refuse it"),
                );
                // It may be the point of the test.
                finding.severity = Severity::Warning;
                findings.push(finding);
            }
        }
    }
}

fn obeys(contract: &Contract, record: &Node) -> Result<(), String> {
    let mut decoder =
        JsonDecoder::whole(contract, UnknownFields::Reject).map_err(|e| e.to_string())?;
    decoder
        .decode(record.to_json_text().as_bytes())
        .map_err(|error| error.to_string())?;
    // The stream's own format may not be able to say it.
    let batch = decoder.finish().map_err(|e| e.to_string())?;
    let mut encoder = AsJson.encoder(contract).map_err(|e| e.to_string())?;
    encoder
        .encode(&batch, 0, &mut Vec::new())
        .map_err(|error| error.to_string())
}

/// Dead letters that are expected of records that aren't given.
fn letters(object: &Object, planned: &Planned, field: &str, findings: &mut Vec<Finding>) {
    let of = |part: &str| object.node.at(&steps(&format!("{field}.{part}")));
    for (at, letter) in of("deadLetters")
        .map_or(&[][..], Node::items)
        .iter()
        .enumerate()
    {
        let field = format!("{field}.deadLetters[{at}]");
        let Some(stream) = letter.get("stream") else {
            continue;
        };
        let Some(name) = stream.text() else { continue };
        if !planned.inputs.iter().any(|input| input == name) {
            let meant = hint(name, planned.inputs.iter().map(String::as_str));
            findings.push(object.finding(
                stream.place,
                &format!("{field}.stream"),
                format!("the query doesn't read a stream of this name{meant}"),
            ));
            continue;
        }
        let records = of("given").and_then(|given| given.get(name));
        let records = records.map_or(0, |records| records.items().len());
        let number = letter.get("record");
        if let Some(number) = number
            && let Some(wanted) = number.to_json().as_u64()
            && wanted >= records as u64
        {
            findings.push(object.finding(
                number.place,
                &format!("{field}.record"),
                format!("given.{name} has {records} records, and the first is number 0"),
            ));
        }
    }
}

fn expect(
    object: &Object,
    planned: &Planned,
    columns: &Contract,
    field: &str,
    row: &Node,
    findings: &mut Vec<Finding>,
) {
    for (key, value) in row.entries() {
        let field = format!("{field}.{}", key.name);
        if planned.dataflow.output.column(&key.name).is_none() {
            let meant = pipelines::column_hint(planned, &key.name);
            findings.push(object.finding(
                key.place,
                &field,
                format!("the query gives no column of this name{meant}"),
            ));
        } else if let Err(message) = rows::canonical(columns, &key.name, value) {
            findings.push(object.finding(value.place, &field, message));
        }
    }
}
