//! Rows of a result as people write them and as the engine gives them: brought into one form, so that
//! `5.00` equals `"5.00"` where the column is a decimal, and an instant equals itself in another zone.

use std::collections::BTreeMap;

use headworks_connectors::formats::json::{JsonDecoder, JsonEncoder};
use headworks_engine::format::{Decoder, Encoder};
use headworks_plan::{Contract, Field};
use headworks_sql::schema::Schema;

use crate::yaml::Node;

/// A row by column: each value in the form in which the engine writes it.
pub type Row = BTreeMap<String, String>;

/// The contract of a stream that holds just these columns.
pub fn contract_of(output: &Schema) -> Contract {
    let fields = output.columns.iter().map(|column| Field {
        name: column.name.clone(),
        type_: column.data_type.to_string(),
        nullable: column.nullable,
        labels: column.labels.clone(),
    });
    Contract {
        fields: fields.collect(),
        ..Contract::default()
    }
}

/// A column's value in the engine's form; or what is wrong with it.
pub fn canonical(columns: &Contract, name: &str, value: &Node) -> Result<String, String> {
    let field = columns.fields.iter().find(|field| field.name == name);
    let field = field.ok_or_else(|| format!("there is no column \"{name}\""))?;
    // What JSON has no number for, as the engine shows it.
    if let (Some(text @ ("NaN" | "Infinity" | "-Infinity")), "float" | "double") =
        (value.text(), field.type_.as_str())
    {
        return Ok(serde_json::Value::from(text).to_string());
    }
    let one = Contract {
        fields: vec![Field {
            nullable: true,
            ..field.clone()
        }],
        ..Contract::default()
    };
    let names = [name.to_owned()];
    let mut decoder = JsonDecoder::pruned(&one, &names).map_err(|e| e.to_string())?;
    let key = serde_json::Value::from(name).to_string();
    let record = format!("{{{key}:{}}}", value.to_json_text());
    decoder.decode(record.as_bytes()).map_err(|error| {
        error
            .refused()
            .map_or_else(String::new, |refused| refused.message)
    })?;
    let batch = decoder.finish().map_err(|e| e.to_string())?;
    let mut out = Vec::new();
    JsonEncoder::new(&one)
        .and_then(|mut encoder| encoder.encode(&batch, 0, &mut out))
        .map_err(|e| e.to_string())?;
    let row = parse(&out);
    Ok(row.get(name).cloned().unwrap_or_default())
}

/// Takes an encoded row apart.
pub fn parse(encoded: &[u8]) -> Row {
    let raw: BTreeMap<String, &serde_json::value::RawValue> =
        serde_json::from_slice(encoded).unwrap_or_default();
    raw.into_iter()
        .map(|(name, value)| (name, value.get().to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    #[test]
    fn values_are_equal_by_their_type() {
        let field = |name: &str, type_: &str| Field::new(name, type_, false);
        let columns = Contract {
            fields: vec![
                field("amount", "decimal(12,2)"),
                field("at", "timestamp_ltz(3)"),
                field("n", "bigint"),
                field("tags", "array<string>"),
            ],
            ..Contract::default()
        };
        let of = |name: &str, text: &str| {
            let (documents, _) = yaml::read(text);
            canonical(&columns, name, &documents[0])
        };
        assert_eq!(of("amount", "5"), of("amount", "'5.00'"));
        assert_ne!(of("amount", "5.01"), of("amount", "5"));
        assert_eq!(
            of("at", "2026-01-01T01:00:00+01:00"),
            of("at", "2026-01-01T00:00:00.000Z")
        );
        assert_eq!(of("n", "7").as_deref(), Ok("7"));
        assert_eq!(of("n", "null").as_deref(), Ok("null"));
        assert_eq!(of("tags", "[a, b]").as_deref(), Ok(r#"["a","b"]"#));
        assert!(of("n", "seven").is_err());
        assert!(of("m", "7").is_err());
    }
}
