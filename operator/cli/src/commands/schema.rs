//! `headworks schema`: a stream's contract in the words of other tools: Avro, Protobuf, JSON Schema.

use std::path::PathBuf;

use headworks_plan::{Contract, Format};
use headworks_schema::{avro, json_schema, protobuf};

use crate::object::Object;
use crate::{End, output};

/// Arguments of `headworks schema`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// NAME or NAMESPACE/NAME of a DataStream. May be left out where the files hold one.
    name: Option<String>,
    /// Files or folders, or - for standard input.
    #[arg(short = 'f', long = "filename", value_name = "PATH", required = true)]
    files: Vec<PathBuf>,
    /// Namespace of objects that name none.
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// In whose words. Absent: those of the stream's own format.
    #[arg(short, long, value_enum)]
    output: Option<Words>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Words {
    /// An Avro schema.
    Avro,
    /// A Protobuf file (proto3).
    Protobuf,
    /// A JSON Schema (draft 7).
    JsonSchema,
}

/// Prints it.
pub fn run(arguments: &Arguments) -> End {
    let checked = match super::load(&arguments.files, &arguments.namespace, true) {
        Ok(checked) => checked,
        Err(end) => return end,
    };
    let fits = |object: &Object| {
        arguments.name.as_deref().is_none_or(|name| {
            let (namespace, name) = name
                .split_once('/')
                .map_or((None, name), |(namespace, name)| (Some(namespace), name));
            name == object.name && namespace.is_none_or(|n| n == object.namespace)
        })
    };
    let found: Vec<_> = checked
        .world
        .contracts()
        .filter(|(object, _)| fits(object))
        .collect();
    let [(object, contract)] = found[..] else {
        if found.is_empty() {
            output::note("headworks: no such DataStream, or its contract isn't right:");
            for finding in &checked.findings {
                output::note(&finding.to_string());
            }
            return End::Problems;
        }
        output::note("headworks: there are several DataStreams: name one as NAMESPACE/NAME");
        return End::Usage;
    };
    match said(object, contract, arguments.output) {
        Ok(text) => {
            output::line(text.trim_end());
            End::Fine
        }
        Err(message) => {
            output::note(&format!("headworks: {}: {message}", object.title()));
            End::Problems
        }
    }
}

/// The contract in those words. In the stream's own it is the definition itself, as it is registered.
fn said(object: &Object, contract: &Contract, words: Option<Words>) -> Result<String, String> {
    let words = words.unwrap_or(match contract.format {
        Format::Json => Words::JsonSchema,
        Format::Avro => Words::Avro,
        Format::Protobuf => Words::Protobuf,
    });
    let own = match (words, contract.format) {
        (Words::Avro, Format::Avro) | (Words::Protobuf, Format::Protobuf) => {
            contract.definition.clone()
        }
        _ => None,
    };
    if let Some(definition) = own {
        for referenced in &definition.references {
            output::note(&format!("headworks: it needs {}, too", referenced.name));
        }
        return Ok(definition.schema);
    }
    let name = format!("{}.{}", object.namespace, object.name);
    let made = match words {
        Words::Avro => avro::from_contract(contract, &name),
        Words::Protobuf => protobuf::from_contract(contract, &name, None),
        Words::JsonSchema => json_schema::from_contract(contract, &name),
    };
    made.map(|definition| definition.schema)
        .map_err(|error| error.to_string())
}
