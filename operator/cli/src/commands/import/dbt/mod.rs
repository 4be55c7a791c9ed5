//! Tests of dbt: the property files (`schema.yml`) of models, seeds, snapshots and sources.
//!
//! A test of dbt is a query for rows that are wrong, and a comparison with null finds none: so a null passes `accepted_values`.
//! Values are written into the query as Jinja prints them, which is Python's way: `yes` is `True`, and nothing is `None`.

mod freshness;
mod values;

use headworks_crds::{CheckSeverity, FieldCheck, QualityCheck, ValuesCheck};
use headworks_sql::schema::Schema;

use super::draft::{Drafted, Fate, Import, Part, Terms};
use super::fields::Field;
use super::of_sets;
use crate::finding::hint;
use crate::yaml::{Content, Key, Node};
use values::{is_rendered, plain, quoted};

/// Lists of what has columns and tests.
const LISTS: [&str; 3] = ["models", "seeds", "snapshots"];
/// What may stand beside a test's arguments.
const ABOUT: [&str; 17] = [
    "name",
    "description",
    "config",
    "arguments",
    "severity",
    "where",
    "enabled",
    "error_if",
    "warn_if",
    "fail_calc",
    "limit",
    "tags",
    "meta",
    "store_failures",
    "store_failures_as",
    "alias",
    "test_name",
];

/// What has columns: a model, or a table of a source.
pub struct Relation<'a> {
    /// Its name; of a table, `source.table`.
    pub name: String,
    node: &'a Node,
}

/// True for a property file.
pub fn is_properties(node: &Node) -> bool {
    LISTS
        .iter()
        .chain(&["sources"])
        .any(|list| node.get(list).is_some())
}

/// What a file has tests of, or could.
pub fn relations(node: &Node) -> Vec<Relation<'_>> {
    let name = |node: &Node| {
        node.get("name")
            .and_then(Node::text)
            .unwrap_or("(none)")
            .to_owned()
    };
    let mut all = Vec::new();
    for list in LISTS {
        for model in node.get(list).map_or(&[][..], Node::items) {
            all.push(Relation {
                name: name(model),
                node: model,
            });
        }
    }
    for source in node.get("sources").map_or(&[][..], Node::items) {
        for table in source.get("tables").map_or(&[][..], Node::items) {
            all.push(Relation {
                name: format!("{}.{}", name(source), name(table)),
                node: table,
            });
        }
    }
    all
}

/// Takes in all tests of a relation.
pub fn read(file: &str, relation: &Relation, schema: Option<&Schema>, import: &mut Import) {
    let mut add = |node: &Node, column: Option<&str>| {
        for key in ["data_tests", "tests"] {
            for test in node.get(key).map_or(&[][..], Node::items) {
                one(file, test, column, schema, import);
            }
        }
    };
    add(relation.node, None);
    for column in relation.node.get("columns").map_or(&[][..], Node::items) {
        add(
            column,
            Some(column.get("name").and_then(Node::text).unwrap_or_default()),
        );
    }
    freshness::read(file, relation, import);
}

/// A test: its kind, and the node with its arguments where there is one.
fn named(test: &Node) -> Option<(String, Option<&Node>)> {
    if let Some(kind) = test.text() {
        return Some((kind.to_owned(), None));
    }
    if let Some(kind) = test.get("test_name").and_then(Node::text) {
        return Some((kind.to_owned(), Some(test)));
    }
    let kinds = test
        .entries()
        .iter()
        .filter(|(key, _)| !ABOUT.contains(&key.name.as_str()));
    match kinds.collect::<Vec<_>>()[..] {
        [(Key { name, .. }, value)] => Some((name.clone(), Some(value))),
        _ => None,
    }
}

fn one(
    file: &str,
    test: &Node,
    column: Option<&str>,
    schema: Option<&Schema>,
    import: &mut Import,
) {
    let found = named(test);
    let kind = found.as_ref().map_or("a test", |(kind, _)| kind.as_str());
    let asked = Asked {
        beside: test,
        within: found.as_ref().and_then(|(_, node)| *node),
    };
    let of = column.map_or_else(String::new, |column| format!(" of {column}"));
    let called = asked.about("name").and_then(Node::text);
    let called = called.map_or_else(String::new, |name| format!(" ({name})"));
    let part = Part {
        file: file.to_owned(),
        place: test.place,
        title: format!("{kind}{of}{called}"),
    };
    let fate = match &found {
        None => {
            Err("has no type, or several: a test is a name, or one name with its arguments".into())
        }
        Some((kind, _)) => asked.translate(kind, column, schema),
    };
    import.add(part, fate);
}

/// A test's arguments and configuration, wherever they stand.
struct Asked<'a> {
    /// The test itself, with what stands beside its type.
    beside: &'a Node,
    /// What stands under its type.
    within: Option<&'a Node>,
}

impl<'a> Asked<'a> {
    fn there(node: Option<&'a Node>) -> Option<&'a Node> {
        node.filter(|node| !matches!(node.content, Content::Null))
    }

    fn about(&self, key: &str) -> Option<&'a Node> {
        let within = self.within.and_then(|node| node.get(key));
        Self::there(within.or_else(|| self.beside.get(key)))
    }

    /// An argument: under `arguments`, or beside the configuration as before dbt 1.10.
    fn argument(&self, key: &str) -> Option<&'a Node> {
        let nested = self.about("arguments").and_then(|node| node.get(key));
        Self::there(nested.or_else(|| self.within.and_then(|node| node.get(key))))
    }

    /// Arguments by name.
    fn arguments(&self) -> Vec<&'a str> {
        let nested = self.about("arguments").map_or(&[][..], Node::entries);
        let plain = self.within.map_or(&[][..], Node::entries);
        let plain = plain
            .iter()
            .filter(|(key, _)| !ABOUT.contains(&key.name.as_str()));
        nested
            .iter()
            .chain(plain)
            .map(|(key, _)| key.name.as_str())
            .collect()
    }

    /// A setting: under `config`, or beside it.
    fn config(&self, key: &str) -> Option<&'a Node> {
        let nested = self.about("config").and_then(|node| node.get(key));
        Self::there(nested).or_else(|| self.about(key))
    }

    fn translate(
        &self,
        kind: &str,
        column: Option<&str>,
        schema: Option<&Schema>,
    ) -> Result<(Fate, Terms), String> {
        if self
            .config("enabled")
            .is_some_and(|node| matches!(node.content, Content::Bool(false, _)))
        {
            return Ok((
                Fate::Holds("enabled is false: dbt doesn't run it".into()),
                Terms::default(),
            ));
        }
        let fate = match kind {
            "not_null" => self.not_null(column, schema)?,
            "accepted_values" => self.accepted_values(column, schema)?,
            "unique" => self.unique(column, schema)?,
            "relationships" => {
                return Err(
                    "is of two tables as they are now: where the other one is a compacted stream, write a references check, which asks what it held when the record happened"
                        .into(),
                );
            }
            other if other.contains('.') => {
                return Err(
                    "is of a package, whose SQL isn't in this file: write an expression check"
                        .into(),
                );
            }
            other => {
                let known = ["not_null", "accepted_values", "unique", "relationships"];
                return Err(format!(
                    "is a test of the project, whose SQL isn't in this file: write an expression check{}",
                    hint(other, known)
                ));
            }
        };
        Ok((fate, self.terms(schema)?))
    }

    fn terms(&self, schema: Option<&Schema>) -> Result<Terms, String> {
        let word = |key: &str| {
            self.config(key)
                .map(|node| (node, node.text().map(str::to_lowercase)))
        };
        let severity = match word("severity") {
            None => CheckSeverity::Error,
            Some((_, Some(word))) if word == "error" => CheckSeverity::Error,
            Some((_, Some(word))) if word == "warn" => CheckSeverity::Warn,
            Some((node, _)) => {
                return Err(format!(
                    "its severity {} isn't known: error or warn",
                    node.to_json_text()
                ));
            }
        };
        if let Some((node, text)) = word("fail_calc")
            && text.as_deref().map(str::trim) != Some("count(*)")
        {
            return Err(format!(
                "fail_calc {}: a check counts the rows that fail",
                node.to_json_text()
            ));
        }
        // Of an error, what it warns of as well changes nothing: any row fails it already.
        let limit = match severity {
            CheckSeverity::Error => "error_if",
            CheckSeverity::Warn => "warn_if",
        };
        if let Some(node) = self.config(limit) {
            let text: String = node.text().unwrap_or_default().split_whitespace().collect();
            if !matches!(text.as_str(), "!=0" | "<>0" | ">0" | ">=1") {
                return Err(format!(
                    "{limit} {}: a number of rows may fail, and a threshold is a share of them: write the threshold that you mean",
                    node.to_json_text()
                ));
            }
        }
        let filter = match self.config("where") {
            None => None,
            Some(node) => {
                let sql = node.text().ok_or("where is no text")?.trim();
                is_rendered(sql, "where")?;
                super::is_condition(sql, schema).map_err(|why| format!("where: {why}"))?;
                Some(sql.to_owned())
            }
        };
        Ok(Terms {
            severity,
            filter,
            threshold: None,
        })
    }

    /// The column that the test is about: that which it stands under, or its argument.
    fn field(&self, column: Option<&str>, schema: Option<&Schema>) -> Result<Field, String> {
        let named = self.argument("column_name").and_then(Node::text);
        let name = column.or(named).ok_or("names no column")?;
        is_rendered(name, "the column's name")?;
        Field::of(name, schema)
    }

    fn knows(&self, known: &[&str]) -> Result<(), String> {
        for name in self.arguments() {
            if !known.contains(&name) && !matches!(name, "column_name" | "model") {
                return Err(format!(
                    "its argument {name} isn't known{}",
                    hint(name, known.iter().copied())
                ));
            }
        }
        Ok(())
    }

    fn not_null(&self, column: Option<&str>, schema: Option<&Schema>) -> Result<Fate, String> {
        self.knows(&[])?;
        let field = self.field(column, schema)?;
        let name = self.called(&field, "not-null");
        let not_null = Some(FieldCheck { field: field.path });
        Ok(Fate::Check(Box::new(Drafted::new(
            name,
            QualityCheck {
                not_null,
                ..QualityCheck::default()
            },
        ))))
    }

    /// dbt's query leaves nulls out, as the check does.
    fn unique(&self, column: Option<&str>, schema: Option<&Schema>) -> Result<Fate, String> {
        self.knows(&[])?;
        let field = self.field(column, schema)?;
        let name = self.called(&field, "unique");
        Ok(of_sets::of_key(name, vec![field.path]))
    }

    fn accepted_values(
        &self,
        column: Option<&str>,
        schema: Option<&Schema>,
    ) -> Result<Fate, String> {
        self.knows(&["values", "quote"])?;
        let field = self.field(column, schema)?;
        let quotes = match self.argument("quote").map(|node| &node.content) {
            None => true,
            Some(Content::Bool(value, _)) => *value,
            Some(_) => return Err("quote is neither true nor false".into()),
        };
        let items = self.argument("values").map(|node| &node.content);
        let Some(Content::List(items)) = items else {
            return Err("values is no list".into());
        };
        let mut values: Vec<String> = Vec::new();
        for item in items {
            let value = if quotes {
                quoted(&field, item)?
            } else {
                plain(&field, item)?
            };
            if !values.contains(&value) {
                values.push(value);
            }
        }
        if values.is_empty() {
            return Err("values is empty, which dbt makes a faulty query of".into());
        }
        if values.len() > 256 || values.iter().any(|value| value.chars().count() > 256) {
            return Err("more than 256 values, or one of more than 256 characters, which a check doesn't take".into());
        }
        let name = self.called(&field, "accepted");
        let accepted = Some(ValuesCheck {
            field: field.path,
            values,
        });
        Ok(Fate::Check(Box::new(Drafted::new(
            name,
            QualityCheck {
                accepted,
                ..QualityCheck::default()
            },
        ))))
    }

    /// The test's own name, or what it is about.
    fn called(&self, field: &Field, what: &str) -> String {
        let named = self.about("name").and_then(Node::text);
        named.map_or_else(|| format!("{}-{what}", field.path), str::to_owned)
    }
}

#[cfg(test)]
mod tests;
