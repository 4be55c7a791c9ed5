//! Labels go where values go: each way through a query, and the ways that are none.

// All of this is test: a helper may fail it as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use headworks_plan::{Contract, EventTime, Field};
use headworks_sql::{Catalog, plan};

/// Customers: every field carries a label of its own name, but for `id` and `at`.
fn contract() -> Contract {
    let field = |name: &str, type_: &str, nullable: bool, labelled: bool| Field {
        name: name.into(),
        type_: type_.into(),
        nullable,
        labels: labelled.then(|| name.to_owned()).into_iter().collect(),
    };
    Contract {
        fields: vec![
            field("id", "string", false, false),
            field("mail", "string", true, true),
            field("name", "string", false, true),
            field("age", "int", true, true),
            field("home", "struct<city string, zip string>", false, true),
            field("tags", "array<string>", false, true),
            field("seen", "timestamp_ltz(3)", false, false),
        ],
        event_time: Some(EventTime {
            field: "seen".into(),
            max_out_of_orderness_ms: 0,
            idle_timeout_ms: None,
        }),
        ..Contract::default()
    }
}

/// `column: labels <- sources`, a line a column.
fn told(sql: &str) -> String {
    let catalog = Catalog::new()
        .with("people", contract())
        .with("others", contract());
    let flow = plan(sql, &catalog).unwrap_or_else(|errors| panic!("{sql}: {errors:?}"));
    let lines = flow.output.columns.iter().zip(&flow.lineage);
    lines
        .map(|(column, lineage)| {
            assert_eq!(column.name, lineage.column);
            let sources: Vec<String> = lineage
                .sources
                .iter()
                .map(|s| format!("{}.{}", s.stream, s.column))
                .collect();
            format!(
                "{}: {} <- {}",
                column.name,
                column.labels.join(" "),
                sources.join(" ")
            )
        })
        .map(|line| line.replace(":  <- ", ": - <- ").trim_end().to_owned() + "\n")
        .collect()
}

/// One golden file a way.
fn golden(name: &str, sql: &str) {
    insta::assert_snapshot!(name, told(sql));
}

#[test]
fn through_expressions() {
    golden(
        "through_expressions",
        "SELECT id, UPPER(mail) AS m, name || '-' || id AS n, CAST(age AS STRING) AS a, age + 1 AS b, 'x' AS x, COALESCE(mail, name) AS c FROM people",
    );
}

#[test]
fn through_structs_and_collections() {
    golden(
        "through_structs_and_collections",
        "SELECT home.city AS city, tags[1] AS tag, CARDINALITY(tags) AS n FROM people",
    );
}

/// A CASE says something of what it asks.
#[test]
fn through_the_branches_and_conditions_of_case() {
    golden(
        "through_the_branches_and_conditions_of_case",
        "SELECT CASE WHEN age > 17 THEN 'adult' ELSE 'child' END AS class, CASE id WHEN 'a' THEN mail ELSE name END AS either, IF(mail IS NULL, 0, 1) AS has FROM people",
    );
}

/// WHERE decides which rows there are, not what is in them.
#[test]
fn not_through_where() {
    golden(
        "not_through_where",
        "SELECT id FROM people WHERE mail LIKE '%@a.example' AND age > 3",
    );
}

#[test]
fn through_sub_queries_and_with() {
    golden(
        "through_sub_queries_and_with",
        "WITH a AS (SELECT id, mail AS m FROM people), b AS (SELECT m, id FROM a WHERE m IS NOT NULL) SELECT x.m AS address, id FROM (SELECT * FROM b) AS x",
    );
}

#[test]
fn through_both_sides_of_a_union() {
    golden(
        "through_both_sides_of_a_union",
        "SELECT id, mail AS contact FROM people UNION ALL SELECT id, name FROM others",
    );
}

/// Keys of groups come out in their own column; the groups' figures are of their arguments.
#[test]
fn through_aggregates() {
    golden(
        "through_aggregates",
        "SELECT name, COUNT(*) AS n, MAX(age) AS oldest, SUM(CAST(CHAR_LENGTH(mail) AS INT)) AS letters, LISTAGG(mail) AS all_of_them, MIN(age) + COUNT(*) AS mixed FROM people GROUP BY name",
    );
}

/// What a FILTER asks decides which values count, as a CASE does.
#[test]
fn through_the_filter_of_an_aggregate() {
    golden(
        "through_the_filter_of_an_aggregate",
        "SELECT id, COUNT(*) FILTER (WHERE age > 17) AS adults, MAX(mail) FILTER (WHERE name = 'x') AS last FROM people GROUP BY id",
    );
}

/// How many values there are says something of a column that may be null; of one that never is it says COUNT(*).
#[test]
fn through_count() {
    golden(
        "through_count",
        "SELECT id, COUNT(mail) AS mails, COUNT(name) AS names, COUNT(DISTINCT name) AS different FROM people GROUP BY id",
    );
}

#[test]
fn not_through_having() {
    golden(
        "not_through_having",
        "SELECT id, COUNT(*) AS n FROM people GROUP BY id HAVING MAX(age) > 3",
    );
}

#[test]
fn through_windows() {
    golden(
        "through_windows",
        "SELECT window_start, name, MAX(mail) AS m, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE people, DESCRIPTOR(seen), INTERVAL '1' HOUR)) GROUP BY window_start, window_end, name",
    );
}

#[test]
fn through_group_windows_and_sessions() {
    golden(
        "through_group_windows_and_sessions",
        "SELECT SESSION_START(seen, INTERVAL '1' MINUTE) AS began, mail, LAST_VALUE(age) AS a FROM people GROUP BY SESSION(seen, INTERVAL '1' MINUTE), mail",
    );
}

#[test]
fn through_distinct() {
    golden("through_distinct", "SELECT DISTINCT mail, id FROM people");
}

/// A number is made of what it is ordered by; which rows it keeps is as in WHERE.
#[test]
fn through_row_number() {
    golden(
        "through_row_number",
        "SELECT id, mail, rn FROM (SELECT id, mail, name, ROW_NUMBER() OVER (PARTITION BY window_start, window_end, name ORDER BY age DESC) AS rn FROM TABLE(TUMBLE(TABLE people, DESCRIPTOR(seen), INTERVAL '1' HOUR))) WHERE rn <= 3",
    );
}

#[test]
fn through_the_last_row_of_a_key() {
    golden(
        "through_the_last_row_of_a_key",
        "SELECT id, mail, age FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY id ORDER BY seen DESC) AS rn FROM people) WHERE rn = 1",
    );
}

#[test]
fn through_a_union_below_an_aggregate() {
    golden(
        "through_a_union_below_an_aggregate",
        "SELECT who, MAX(age) AS a FROM (SELECT mail AS who, age FROM people UNION ALL SELECT name, 1 FROM others) GROUP BY who",
    );
}

/// What OVER gives has the labels of what it is made of; of the key and the order, ranks those of the order alone.
#[test]
fn through_over() {
    let sql = "SELECT id, LAG(mail, 1, name) OVER w AS before, MAX(age) FILTER (WHERE name <> 'x') OVER w AS oldest, COUNT(*) OVER w AS c, RANK() OVER w AS r
               FROM people WINDOW w AS (PARTITION BY id ORDER BY seen)";
    assert_eq!(
        told(sql),
        "id: - <- people.id\n\
         before: mail name <- people.mail people.name\n\
         oldest: age name <- people.age people.name\n\
         c: - <-\n\
         r: - <- people.seen\n"
    );
}

#[test]
fn a_join_s_columns_are_labelled_by_their_own_side() {
    let sql = "SELECT a.id, a.mail, b.mail AS other_mail, CONCAT(a.name, b.name) AS both_names, b.seen AS then_seen, a.id AS again, b.id AS other
               FROM people AS a LEFT JOIN others AS b ON a.id = b.id AND a.mail = b.mail AND b.seen BETWEEN a.seen AND a.seen + INTERVAL '1' HOUR";
    assert_eq!(
        told(sql),
        "id: - <- people.id\n\
         mail: mail <- people.mail\n\
         other_mail: mail <- others.mail\n\
         both_names: name <- others.name people.name\n\
         then_seen: - <- others.seen\n\
         again: - <- people.id\n\
         other: - <- others.id\n"
    );
}
