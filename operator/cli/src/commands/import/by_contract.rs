//! Expectations about types and columns: a stream's contract keeps them for every record, so they need no check. What is about all
//! columns becomes one of the contract itself, which may change.

use headworks_crds::{QualityCheck, SchemaCheck, SchemaColumn};
use headworks_operator::planning::rules::schema_match;
use headworks_sql::types::DataType;

use super::draft::{Drafted, Fate};
use super::fields::Field;
use super::suite::Ask;
use crate::yaml::{Content, Node};

type Fated = Result<Fate, String>;

const NO_CONTRACT: &str =
    "is kept by the stream's contract, or isn't: name the stream's file with -f";

/// Whether values of a type are what a tool calls so: names of pandas, of SQL and of Spark. None: the name isn't known.
fn is_called(data_type: &DataType, name: &str) -> Option<bool> {
    let plain = name.to_ascii_lowercase();
    let plain = plain.split('(').next().unwrap_or_default().trim();
    let plain = plain.strip_suffix("type").unwrap_or(plain);
    let fits = match plain {
        "int" | "integer" | "int32" => matches!(data_type, DataType::Int | DataType::BigInt),
        "int64" | "bigint" | "long" | "big_integer" | "biginteger" => {
            matches!(data_type, DataType::Int | DataType::BigInt)
        }
        "float" | "float64" | "double" | "double_precision" | "real" | "float32" => {
            matches!(data_type, DataType::Float | DataType::Double)
        }
        "decimal" | "numeric" | "number" => matches!(data_type, DataType::Decimal { .. }),
        "str" | "string" | "text" | "varchar" | "char" | "nvarchar" | "string_" => {
            matches!(data_type, DataType::String)
        }
        "bool" | "boolean" | "bool_" => matches!(data_type, DataType::Boolean),
        "bytes" | "binary" | "varbinary" | "bytea" | "blob" => matches!(data_type, DataType::Bytes),
        "date" => matches!(data_type, DataType::Date),
        "time" => matches!(data_type, DataType::Time),
        "datetime" | "datetime64" | "datetime64[ns]" | "timestamp" | "timestamp_ntz" => {
            matches!(data_type, DataType::Timestamp(_))
        }
        "timestamptz" | "timestamp_ltz" | "datetime64[ns, utc]" => {
            matches!(data_type, DataType::TimestampLtz(_))
        }
        "list" | "array" => matches!(data_type, DataType::Array(_)),
        "dict" | "map" => matches!(data_type, DataType::Map(_) | DataType::Struct(_)),
        _ => return None,
    };
    Some(fits)
}

fn typed(ask: &Ask, names: &[&str]) -> Fated {
    let field = ask.field("column")?;
    let Some(data_type) = &field.data_type else {
        return Err(NO_CONTRACT.into());
    };
    let verdicts: Vec<Option<bool>> = names.iter().map(|n| is_called(data_type, n)).collect();
    let shown = names.join(", ");
    if verdicts.contains(&Some(true)) {
        return Ok(Fate::Holds(format!(
            "the contract says that {} is {data_type}: every record is held to it",
            field.path
        )));
    }
    if verdicts.contains(&None) {
        return Err(format!(
            "whether {data_type}, as the contract has {}, is {shown} isn't known",
            field.path
        ));
    }
    Err(format!(
        "the contract says that {} is {data_type}, which isn't {shown}: it would fail for every record",
        field.path
    ))
}

/// `expect_column_values_to_be_of_type`.
pub fn of_type(ask: &Ask) -> Fated {
    typed(ask, &[ask.text("type_")?])
}

/// `expect_column_values_to_be_in_type_list`.
pub fn in_type_list(ask: &Ask) -> Fated {
    if ask.get("type_list").is_none() {
        return Ok(Fate::Holds("no type_list: it is true of any data".into()));
    }
    let names: Vec<&str> = ask
        .items("type_list")?
        .iter()
        .filter_map(Node::text)
        .collect();
    typed(ask, &names)
}

/// `expect_column_to_exist`.
pub fn exists(ask: &Ask) -> Fated {
    let field = ask.field("column")?;
    let (Some(_), Some(schema)) = (&field.data_type, ask.schema) else {
        return Err(NO_CONTRACT.into());
    };
    if let Some(index) = ask.get("column_index") {
        let at = schema.names().position(|name| name == field.path);
        let wanted = match &index.content {
            Content::Number(text) => text.parse().ok(),
            _ => None,
        };
        if at.is_none() || at != wanted {
            return Err(format!(
                "{} isn't the contract's field number {}, counted from 0",
                field.path,
                index.to_json_text()
            ));
        }
    }
    Ok(Fate::Holds(format!("the contract has {}", field.path)))
}

/// Most fields of a check.
const MOST_FIELDS: usize = 256;

/// A check of the contract, which stays when that changes. What it lacks today is told.
fn columns(ask: &Ask, key: &str, exact: bool, ordered: bool) -> Fated {
    let mut columns: Vec<SchemaColumn> = Vec::new();
    for item in ask.items(key)? {
        let name = item.text();
        let name = name.ok_or_else(|| format!("{key} has an item that is no name"))?;
        // What isn't there today is no reason to ask less.
        let field = Field::of(name, None)?;
        if columns.iter().any(|column| column.name == field.path) {
            return Err(format!("{key} has {name} twice"));
        }
        columns.push(SchemaColumn {
            name: field.path,
            type_: None,
        });
    }
    if columns.is_empty() || columns.len() > MOST_FIELDS {
        return Err(format!("a schema check has 1 to {MOST_FIELDS} fields"));
    }
    let schema = SchemaCheck {
        columns,
        exact,
        ordered,
    };
    let lacks = ask
        .schema
        .and_then(|there| schema_match::lacks(&schema, there));
    let note = lacks.map(|lacks| format!("fails as the contract is now: {lacks}"));
    let check = QualityCheck {
        schema: Some(schema),
        ..QualityCheck::default()
    };
    let name = if ordered {
        "columns-in-order"
    } else {
        "columns"
    };
    Ok(Fate::Check(Box::new(
        Drafted::new(name, check).noting(note),
    )))
}

/// `expect_table_columns_to_match_set`: exactly these, unless `exact_match` is false.
pub fn columns_in_set(ask: &Ask) -> Fated {
    let exact = ask.get("exact_match").is_none() || ask.flag("exact_match")?;
    columns(ask, "column_set", exact, false)
}

/// `expect_table_columns_to_match_ordered_list`: these and no others, in this order.
pub fn columns_in_order(ask: &Ask) -> Fated {
    columns(ask, "column_list", true, true)
}

fn number(ask: &Ask, key: &str) -> Result<Option<usize>, String> {
    match ask.get(key).map(|node| &node.content) {
        None => Ok(None),
        Some(Content::Number(text)) => text
            .parse()
            .map(Some)
            .map_err(|_| format!("{key} is no whole number")),
        Some(_) => Err(format!("{key} is no number")),
    }
}

fn counted(ask: &Ask, min: Option<usize>, max: Option<usize>) -> Fated {
    let count = ask.schema.ok_or(NO_CONTRACT)?.columns.len();
    if min.is_some_and(|min| count < min) || max.is_some_and(|max| count > max) {
        return Err(format!("the contract has {count} fields"));
    }
    Ok(Fate::Holds(format!("the contract has {count} fields")))
}

/// `expect_table_column_count_to_equal`.
pub fn count(ask: &Ask) -> Fated {
    let value = number(ask, "value")?;
    value.ok_or("value is missing")?;
    counted(ask, value, value)
}

/// `expect_table_column_count_to_be_between`.
pub fn count_between(ask: &Ask) -> Fated {
    let strict = |key: &str| Ok::<_, String>(usize::from(ask.flag(key)?));
    let (above, below) = (strict("strict_min")?, strict("strict_max")?);
    let min = number(ask, "min_value")?.map(|min| min.saturating_add(above));
    let max = number(ask, "max_value")?;
    if below == 1 && max == Some(0) {
        return Err("no contract has fewer than 0 fields".into());
    }
    counted(ask, min, max.map(|max| max.saturating_sub(below)))
}
