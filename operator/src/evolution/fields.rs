//! Two contracts, field by field: what changed, and what can't be read in which direction.

use std::fmt;

use headworks_plan::{Contract, Format};
use headworks_sql::types::DataType;

use super::{
    Fault, definitions,
    types::{Misfit, misfits, promotes},
};

/// How one top-level field of a contract, or one column of a result, changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it was and is, such as `int → bigint`.
    pub change: String,
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.change)
    }
}

/// Every field that is added, removed, or of another type, nullability or label.
pub fn columns(old: &Contract, new: &Contract) -> Vec<Column> {
    let of = |contract: &Contract| -> Vec<(String, String, bool, Vec<String>)> {
        let fields = contract.fields.iter();
        fields
            .map(|f| {
                (
                    f.name.clone(),
                    f.type_.clone(),
                    f.nullable,
                    f.labels.clone(),
                )
            })
            .collect()
    };
    changes(&of(old), &of(new))
}

/// The same of any columns: name, type, whether it may be null, labels.
pub(crate) fn changes(
    old: &[(String, String, bool, Vec<String>)],
    new: &[(String, String, bool, Vec<String>)],
) -> Vec<Column> {
    let nullable = |nullable: bool| if nullable { ", may be null" } else { "" };
    let mut all = Vec::new();
    for (name, type_, null, labels) in old {
        let change = match new.iter().find(|(n, ..)| n == name) {
            None => "is removed".to_owned(),
            Some((_, now, now_null, now_labels)) => {
                let mut parts = Vec::new();
                if type_ != now {
                    parts.push(format!("{type_} → {now}"));
                }
                match (null, now_null) {
                    (false, true) => parts.push("may be null from now on".to_owned()),
                    (true, false) => parts.push("is never null from now on".to_owned()),
                    _ => {}
                }
                let gains = named(now_labels, labels);
                let loses = named(labels, now_labels);
                if !gains.is_empty() {
                    parts.push(format!("gains label {gains}"));
                }
                if !loses.is_empty() {
                    parts.push(format!("loses label {loses}"));
                }
                parts.join(", ")
            }
        };
        if !change.is_empty() {
            all.push(Column {
                name: name.clone(),
                change,
            });
        }
    }
    for (name, type_, null, labels) in new {
        if old.iter().any(|(n, ..)| n == name) {
            continue;
        }
        let labels = if labels.is_empty() {
            String::new()
        } else {
            format!(", labels {}", labels.join(", "))
        };
        all.push(Column {
            name: name.clone(),
            change: format!("is new ({type_}{}{labels})", nullable(*null)),
        });
    }
    all
}

/// Those of `these` that `others` haven't got.
fn named(these: &[String], others: &[String]) -> String {
    let only: Vec<&str> = these
        .iter()
        .filter(|label| !others.contains(label))
        .map(String::as_str)
        .collect();
    only.join(", ")
}

fn fault(field: &str, message: String) -> Fault {
    Fault {
        field: field.to_owned(),
        message,
    }
}

/// What may never change: where a record is, how it is written, and when it was.
pub(super) fn fixed(old: &Contract, new: &Contract) -> Vec<Fault> {
    let mut found = Vec::new();
    if old.format != new.format {
        found.push(fault(
            "",
            format!(
                "format changes from {:?} to {:?}, and the records in the topic stay as they are: make a new DataStream",
                old.format, new.format
            ),
        ));
    }
    if old.key != new.key {
        found.push(fault(
            "",
            format!(
                "key changes from [{}] to [{}], and the records in the topic stay in their partitions: make a new DataStream",
                old.key.join(", "),
                new.key.join(", ")
            ),
        ));
    }
    // Every query with windows names the field. One that comes where none was is nobody's yet.
    if let Some(old) = &old.event_time {
        let was = &old.field;
        let what = match &new.event_time {
            Some(new) if new.field == *was => None,
            Some(new) => Some(format!("changes from {was} to {}", new.field)),
            None => Some(format!("{was} is removed")),
        };
        found.extend(what.map(|what| {
            fault(
                "",
                format!("eventTime {what}, and windows over the stream go by {was}: keep it"),
            )
        }));
    }
    found
}

/// Fields that the new contract hasn't got any more, those within structs too.
pub(super) fn gone(old: &Contract, new: &Contract) -> Vec<Fault> {
    let mut paths = Vec::new();
    for field in &old.fields {
        match new.fields.iter().find(|f| f.name == field.name) {
            None => paths.push(field.name.clone()),
            Some(now) => {
                if let (Ok(old), Ok(new)) = (field.type_.parse(), now.type_.parse()) {
                    gone_within(&field.name, &old, &new, &mut paths);
                }
            }
        }
    }
    paths
        .into_iter()
        .map(|path| {
            let message =
                format!("field \"{path}\" is removed, and queries and clients name it: keep it");
            Fault {
                field: path,
                message,
            }
        })
        .collect()
}

fn gone_within(path: &str, old: &DataType, new: &DataType, paths: &mut Vec<String>) {
    match (old, new) {
        (DataType::Array(old), DataType::Array(new)) | (DataType::Map(old), DataType::Map(new)) => {
            gone_within(&format!("{path}[]"), old, new, paths);
        }
        (DataType::Struct(old), DataType::Struct(new)) => {
            for field in old {
                let path = format!("{path}.{}", field.name);
                match new.iter().find(|f| f.name == field.name) {
                    None => paths.push(path),
                    Some(now) => gone_within(&path, &field.data_type, &now.data_type, paths),
                }
            }
        }
        _ => {}
    }
}

/// A direction of reading, for its words.
#[derive(Clone, Copy)]
enum Reads {
    /// The new contract reads old records.
    Old,
    /// The old contract reads new records.
    New,
}

/// What the new contract can't read of records that were written under the old one.
pub(super) fn unreadable_old(old: &Contract, new: &Contract) -> Vec<Fault> {
    unreadable(old, new, Reads::Old)
}

/// What readers of the old contract can't read of records that are written under the new one.
pub(super) fn unreadable_new(old: &Contract, new: &Contract) -> Vec<Fault> {
    unreadable(new, old, Reads::New)
}

fn unreadable(written: &Contract, read: &Contract, reads: Reads) -> Vec<Fault> {
    let mut found = Vec::new();
    for field in &read.fields {
        let path = field.name.clone();
        let Some(from) = written.fields.iter().find(|f| f.name == field.name) else {
            if !field.nullable
                && let Ok(read) = field.type_.parse()
            {
                found.push(Misfit::Missing { path, read });
            }
            continue;
        };
        if from.nullable && !field.nullable {
            found.push(Misfit::Null { path: path.clone() });
        }
        // One that is no type at all is told elsewhere.
        if let (Ok(from), Ok(to)) = (from.type_.parse(), field.type_.parse()) {
            misfits(read.format, &path, &from, &to, &mut found);
        }
    }
    // A field that Protobuf's wire hasn't got may be its type's default, and Avro's may have one of its own: not missing.
    let defaults = definitions::Defaults::of(read);
    found.retain(|misfit| match misfit {
        Misfit::Missing { path, read } => !defaults.has(path, read),
        _ => true,
    });
    let mut all: Vec<Fault> = found
        .into_iter()
        .map(|misfit| told(misfit, reads, read.format))
        .collect();
    for fault in definitions::faults(written, read) {
        if !all.iter().any(|f| f.field == fault.field) {
            all.push(fault);
        }
    }
    all
}

fn told(misfit: Misfit, reads: Reads, format: Format) -> Fault {
    let (path, message) = match (misfit, reads) {
        (
            Misfit::Type {
                path,
                written,
                read,
            },
            Reads::Old,
        ) => {
            let hint = if promotes(format, &read, &written) {
                format!("not every {written} is one of {read}; ")
            } else {
                String::new()
            };
            let message = format!(
                "field \"{path}\" changes from {written} to {read}: {hint}keep it, and add a new field beside it"
            );
            (path, message)
        }
        (
            Misfit::Type {
                path,
                written,
                read,
            },
            Reads::New,
        ) => {
            let message = format!(
                "field \"{path}\" changes from {read} to {written}, which readers of the contract before can't read: keep it, and add a new field beside it"
            );
            (path, message)
        }
        (Misfit::Null { path }, Reads::Old) => {
            let message = format!(
                "field \"{path}\" becomes required, but records without it may be in the topic: keep {}",
                nullable(&path)
            );
            (path, message)
        }
        (Misfit::Null { path }, Reads::New) => {
            let message = format!(
                "field \"{path}\" may be null from now on, and readers of the contract before require it: keep it required"
            );
            (path, message)
        }
        (Misfit::Missing { path, .. }, Reads::Old) => {
            let message = format!(
                "new field \"{path}\" is required, but the records in the topic don't have it: add {}",
                nullable(&path)
            );
            (path, message)
        }
        (Misfit::Missing { path, .. }, Reads::New) => {
            let message = format!(
                "field \"{path}\" is removed, and readers of the contract before require it: keep it"
            );
            (path, message)
        }
    };
    Fault {
        field: path,
        message,
    }
}

/// How a field is made to allow null.
fn nullable(path: &str) -> &'static str {
    if path.contains('.') {
        "it without NOT NULL"
    } else {
        "nullable: true"
    }
}
