//! The table: found or made, and compared with the query's columns before a row is written.

use headworks_plan::{StoreReason, TableOutput};
use headworks_sql::schema::Schema;
use tokio_postgres::{Client, Error};

use super::fault::{Fault, Place};
use super::holds::HoldsStatements;
use super::offsets::{self, Statements};
use super::quoted;
use super::types::{self, Found};
use crate::stores::StoreFault;

/// What is found out about a table at the start of a session.
#[derive(Debug)]
pub(super) struct Target {
    /// Schema and name, quoted.
    pub(super) name: String,
    pub(super) statements: Statements,
    /// How its rows are counted. Absent: rows have a key and replace each other, or nobody keeps counts to compare with.
    pub(super) holds: Option<HoldsStatements>,
}

struct Table {
    oid: u32,
    schema: String,
    name: String,
    kind: String,
    persistence: String,
}

/// Finds the table or makes it, checks it, and makes the table of offsets beside it.
pub(super) async fn prepare(
    client: &Client,
    place: &Place,
    plan: &TableOutput,
    columns: &Schema,
) -> Result<Target, StoreFault> {
    let mismatch = |said: String| place.trouble(StoreReason::TableMismatch, said);
    for key in &plan.key {
        if columns.column(key).is_none() {
            return Err(mismatch(format!(
                "table {}: the key names the column \"{key}\", the query doesn't give it: add it to the SELECT",
                plan.table
            )));
        }
    }
    let table = find_or_make(client, place, plan, columns).await?;
    let name = format!("{}.{}", quoted(&table.schema), quoted(&table.name));
    if !["r", "p"].contains(&table.kind.as_str()) {
        return Err(mismatch(format!(
            "{name} is no table (a view?); name a table that rows can be written to"
        )));
    }
    if table.persistence != "p" {
        return Err(mismatch(format!(
            "{name} isn't kept over a crash of the server: ALTER TABLE {name} SET LOGGED"
        )));
    }
    let fault = |error| trouble(place, &error, &format!("looking at {name}"));
    let found = described(client, table.oid).await.map_err(fault)?;
    let mut wrong = compare(&name, &found, columns, &plan.key);
    if wrong.is_empty()
        && !plan.key.is_empty()
        && !is_key(client, table.oid, &plan.key).await.map_err(fault)?
    {
        wrong.push(format!(
            "there is no unique index on exactly the key: ALTER TABLE {name} ADD PRIMARY KEY ({})",
            list(&plan.key)
        ));
    }
    if !wrong.is_empty() {
        return Err(mismatch(format!(
            "the query doesn't fit {name}: {}",
            wrong.join("; ")
        )));
    }
    let counts = make_offsets(client, place, &table.schema).await?;
    let counted = counts && plan.key.is_empty();
    Ok(Target {
        statements: Statements::new(&table.schema, counts),
        holds: counted.then(|| HoldsStatements::new(&table.schema, &name)),
        name,
    })
}

/// Column names as SQL lists them.
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    names
        .into_iter()
        .map(|name| quoted(name))
        .collect::<Vec<_>>()
        .join(", ")
}

fn trouble(place: &Place, error: &Error, doing: &str) -> StoreFault {
    match place.fault(error, doing) {
        Fault::Store(trouble) => trouble,
        Fault::Rows { message, .. } => {
            place.trouble(StoreReason::TableMismatch, format!("{doing}: {message}"))
        }
    }
}

/// The name as the user wrote it, quoted: `"reporting"."orders"`.
fn written(table: &str) -> String {
    table
        .splitn(2, '.')
        .map(quoted)
        .collect::<Vec<_>>()
        .join(".")
}

async fn find(client: &Client, name: &str) -> Result<Option<Table>, Error> {
    let row = client
        .query_opt(
            "SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text, c.relpersistence::text \
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.oid = to_regclass($1::text)",
            &[&name],
        )
        .await?;
    row.map(|row| {
        Ok(Table {
            oid: row.try_get(0)?,
            schema: row.try_get(1)?,
            name: row.try_get(2)?,
            kind: row.try_get(3)?,
            persistence: row.try_get(4)?,
        })
    })
    .transpose()
}

async fn find_or_make(
    client: &Client,
    place: &Place,
    plan: &TableOutput,
    columns: &Schema,
) -> Result<Table, StoreFault> {
    let name = written(&plan.table);
    let fault = |error| trouble(place, &error, &format!("looking for {name}"));
    if let Some(table) = find(client, &name).await.map_err(fault)? {
        return Ok(table);
    }
    let statement = create(&name, columns, &plan.key);
    let missing = |said: String| place.trouble(StoreReason::TableNotFound, said);
    if !plan.create {
        return Err(missing(format!(
            "there is no table {name}: make it ({statement}), or set create: true for it in the Pipeline"
        )));
    }
    let answer = client.batch_execute(&statement).await;
    // Another stage may have made it at the same moment.
    if let Err(error) = answer
        && !is_there_already(&error)
    {
        return Err(trouble(
            place,
            &error,
            &format!("making {name}: {statement}"),
        ));
    }
    let found = find(client, &name).await.map_err(fault)?;
    found.ok_or_else(|| missing(format!("there is no table {name}, though it was just made")))
}

/// The statement that makes the table.
fn create(name: &str, columns: &Schema, key: &[String]) -> String {
    let mut parts: Vec<String> = columns
        .columns
        .iter()
        .map(|column| {
            let null = if column.nullable && !key.contains(&column.name) {
                ""
            } else {
                " NOT NULL"
            };
            format!(
                "{} {}{null}",
                quoted(&column.name),
                types::made(&column.data_type)
            )
        })
        .collect();
    if !key.is_empty() {
        parts.push(format!("PRIMARY KEY ({})", list(key)));
    }
    format!("CREATE TABLE IF NOT EXISTS {name} ({})", parts.join(", "))
}

/// IF NOT EXISTS doesn't wait for another session that makes the same.
fn is_there_already(error: &Error) -> bool {
    error
        .code()
        .is_some_and(|code| ["23505", "42P07", "42710"].contains(&code.code()))
}

/// Sees to it that the table of offsets is there. True: it has the columns of counts.
async fn make_offsets(client: &Client, place: &Place, schema: &str) -> Result<bool, StoreFault> {
    let statements = Statements::new(schema, true);
    let name = format!("{}.{}", quoted(schema), offsets::TABLE);
    let fault = |error| trouble(place, &error, &format!("looking for {name}"));
    if let Some(found) = find(client, &name).await.map_err(fault)? {
        return counts(client, &name, found.oid, &statements)
            .await
            .map_err(fault);
    }
    match client.batch_execute(&statements.create).await {
        Err(error) if !is_there_already(&error) => Err(trouble(
            place,
            &error,
            &format!(
                "making {name}, which keeps how far each pipeline has come (make it yourself if the user may not: {})",
                statements.create
            ),
        )),
        Err(_) => match find(client, &name).await.map_err(fault)? {
            Some(found) => counts(client, &name, found.oid, &statements)
                .await
                .map_err(fault),
            None => Ok(false),
        },
        Ok(()) => Ok(true),
    }
}

/// True: the table of offsets has the columns of counts, or they could be added.
async fn counts(
    client: &Client,
    name: &str,
    oid: u32,
    statements: &Statements,
) -> Result<bool, Error> {
    let found = client
        .query_one(
            "SELECT count(*) FROM pg_attribute WHERE attrelid = $1 AND NOT attisdropped AND attname IN ('counts', 'counted_epoch')",
            &[&oid],
        )
        .await?;
    if found.try_get::<_, i64>(0)? == 2 {
        return Ok(true);
    }
    let Err(error) = client.batch_execute(&statements.add_counts).await else {
        return Ok(true);
    };
    tracing::info!(%error, "{name} can't be given columns for counts: the table's stage isn't audited");
    client.batch_execute("ROLLBACK").await?;
    Ok(false)
}

async fn described(client: &Client, oid: u32) -> Result<Vec<Found>, Error> {
    let rows = client
        .query(
            "SELECT a.attname::text, COALESCE(b.typname, t.typname)::text, \
             CASE WHEN b.oid IS NULL THEN a.atttypmod ELSE t.typtypmod END, \
             COALESCE(b.typtype, t.typtype)::text = 'e', format_type(a.atttypid, a.atttypmod), \
             a.attnotnull, a.atthasdef OR a.attidentity <> '', a.attgenerated <> '' OR a.attidentity = 'a' \
             FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
             LEFT JOIN pg_type b ON t.typtype = 'd' AND b.oid = t.typbasetype \
             WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            &[&oid],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Found {
                name: row.try_get(0)?,
                type_name: row.try_get(1)?,
                modifier: row.try_get(2)?,
                is_enum: row.try_get(3)?,
                shown: row.try_get(4)?,
                not_null: row.try_get(5)?,
                has_default: row.try_get(6)?,
                generated: row.try_get(7)?,
            })
        })
        .collect()
}

/// True if a unique index that ON CONFLICT can use is on exactly these columns.
async fn is_key(client: &Client, oid: u32, key: &[String]) -> Result<bool, Error> {
    let mut key = key.to_vec();
    key.sort();
    let row = client
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid \
             AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL AND \
             (SELECT array_agg(a.attname::text ORDER BY a.attname::text COLLATE \"C\") FROM pg_attribute a \
              WHERE a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])) \
             = $2::text[])",
            &[&oid, &key],
        )
        .await?;
    row.try_get(0)
}

/// Everything that keeps the query's rows out of the table, each with its remedy.
fn compare(table: &str, found: &[Found], columns: &Schema, key: &[String]) -> Vec<String> {
    let mut wrong = Vec::new();
    for column in &columns.columns {
        let (name, given) = (quoted(&column.name), &column.data_type);
        let made = types::made(given);
        let Some(there) = found.iter().find(|there| there.name == column.name) else {
            wrong.push(format!(
                "column {name}: the query gives it ({given}), the table doesn't have it: ALTER TABLE {table} ADD COLUMN {name} {made}"
            ));
            continue;
        };
        if there.generated {
            wrong.push(format!(
                "column {name}: the server makes its values: leave it out of the SELECT"
            ));
        } else if !types::takes(there, given) {
            wrong.push(format!(
                "column {name}: the query gives {given}, the table has {}: ALTER TABLE {table} ALTER COLUMN {name} TYPE {made}, or CAST it in the query",
                there.shown
            ));
        } else if key.contains(&column.name) && !there.not_null {
            wrong.push(format!(
                "column {name}: it belongs to the key and may be null, and nulls never meet: ALTER TABLE {table} ALTER COLUMN {name} SET NOT NULL"
            ));
        }
    }
    for there in found {
        let needed = there.not_null && !there.has_default && !there.generated;
        if needed && columns.column(&there.name).is_none() {
            let name = quoted(&there.name);
            wrong.push(format!(
                "column {name}: the table requires a value ({}), the query gives none: add it to the SELECT, or ALTER TABLE {table} ALTER COLUMN {name} SET DEFAULT …",
                there.shown
            ));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use headworks_sql::schema::Column;
    use headworks_sql::types::DataType;

    use super::*;

    fn schema() -> Schema {
        let column = |name: &str, data_type, nullable| Column {
            name: name.into(),
            data_type,
            nullable,
            labels: Vec::new(),
        };
        Schema {
            columns: vec![
                column("id", DataType::BigInt, false),
                column(
                    "a \"b\"",
                    DataType::Decimal {
                        precision: 12,
                        scale: 2,
                    },
                    true,
                ),
                column("at", DataType::TimestampLtz(3), true),
            ],
        }
    }

    #[test]
    fn a_table_is_made_from_the_querys_columns() {
        assert_eq!(
            create(&written("reporting.orders"), &schema(), &["id".into()]),
            "CREATE TABLE IF NOT EXISTS \"reporting\".\"orders\" (\"id\" bigint NOT NULL, \
             \"a \"\"b\"\"\" numeric(12,2), \"at\" timestamptz, PRIMARY KEY (\"id\"))"
        );
    }

    #[test]
    fn each_column_that_does_not_fit_is_named_with_both_types_and_the_remedy() {
        let column = |name: &str, type_name: &str, shown: &str, not_null| Found {
            name: name.into(),
            type_name: type_name.into(),
            modifier: -1,
            is_enum: false,
            shown: shown.into(),
            not_null,
            has_default: false,
            generated: false,
        };
        let found = [
            column("id", "int8", "bigint", false),
            column("at", "timestamp", "timestamp without time zone", false),
            column("who", "text", "text", true),
        ];
        let wrong = compare("\"orders\"", &found, &schema(), &["id".into()]);
        assert_eq!(
            wrong,
            [
                "column \"id\": it belongs to the key and may be null, and nulls never meet: ALTER TABLE \"orders\" ALTER COLUMN \"id\" SET NOT NULL",
                "column \"a \"\"b\"\"\": the query gives it (decimal(12,2)), the table doesn't have it: ALTER TABLE \"orders\" ADD COLUMN \"a \"\"b\"\"\" numeric(12,2)",
                "column \"at\": the query gives timestamp_ltz(3), the table has timestamp without time zone: ALTER TABLE \"orders\" ALTER COLUMN \"at\" TYPE timestamptz, or CAST it in the query",
                "column \"who\": the table requires a value (text), the query gives none: add it to the SELECT, or ALTER TABLE \"orders\" ALTER COLUMN \"who\" SET DEFAULT …",
            ]
        );
    }
}
