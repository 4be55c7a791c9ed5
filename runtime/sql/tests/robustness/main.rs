//! Random text never makes the planner panic, and what it accepts can be evaluated.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it fails"
)]

mod words;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use headworks_plan::{Contract, EventTime, Field};
use headworks_sql::keyed::over::OverFunction;
use headworks_sql::keyed::{Aggregate, Changes, Keyed, KeyedRows, Operator};
use headworks_sql::{Catalog, Dataflow, inputs, plan};

use words::{FORMS, LEAVES, WORDS};

/// SplitMix64: small, seeded, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

fn catalog() -> Catalog {
    let fields = [
        ("i", "int"),
        ("s", "string"),
        ("m", "decimal(12,2)"),
        ("d", "double"),
        ("o", "boolean"),
        ("ts", "timestamp(3)"),
        ("tz", "timestamp_ltz(6)"),
        ("dt", "date"),
        ("xs", "array<int>"),
        ("mp", "map<string,int>"),
        ("st", "struct<a int, b string>"),
    ];
    let fields = fields
        .iter()
        .map(|(n, t)| Field::new(*n, *t, true))
        .collect();
    Catalog::new().with(
        "t",
        Contract {
            fields,
            event_time: Some(EventTime {
                field: "tz".into(),
                max_out_of_orderness_ms: 0,
                idle_timeout_ms: None,
            }),
            ..Contract::default()
        },
    )
}

/// What every keyed half keeps to.
fn check_keyed(sql: &str, flow: &Dataflow, by: &KeyedRows, keyed: &Keyed) {
    let (rows, results) = (by.schema.columns.len(), keyed.results.columns.len());
    assert!(by.keys <= rows, "{sql}");
    assert!(keyed.window.is_none() || by.time == Some(by.keys), "{sql}");
    let windows = if keyed.window.is_some() { 3 } else { 0 };
    let own = match &keyed.operator {
        Operator::Aggregate(all) => {
            let read = |a: &Aggregate| a.argument.into_iter().chain(a.filter);
            assert!(all.iter().flat_map(read).all(|i| i < rows), "{sql}");
            all.len()
        }
        Operator::Rank(rank) => {
            assert!(
                rank.limit > 0 && rank.order.iter().all(|o| o.column < rows),
                "{sql}"
            );
            rows - by.keys + 1
        }
        Operator::Over(over) => {
            let read = over.functions.iter().flat_map(|function| match function {
                OverFunction::Aggregate(a) => [a.argument, a.filter],
                OverFunction::Lag {
                    column, default, ..
                } => [Some(*column), *default],
                _ => [None, None],
            });
            assert!(read.flatten().all(|i| i < rows), "{sql}");
            rows - by.keys + over.functions.len()
        }
        Operator::TemporalJoin(join) => {
            let both = || join.left.iter().chain(&join.right);
            let marks = [by.keys + 1, by.keys + 2];
            assert_eq!([join.side, join.deleted], marks, "{sql}");
            assert!(
                both().all(|row| *row < rows && !marks.contains(row)),
                "{sql}"
            );
            assert_eq!(both().count(), results, "{sql}");
            results
        }
        Operator::WindowJoin(of) => {
            let both = || of.join.left.iter().chain(&of.join.right);
            let marks = [by.keys + 1, by.keys + 2];
            assert_eq!([of.join.side, of.last], marks, "{sql}");
            assert!(
                both().all(|row| *row < rows && !marks.contains(row)),
                "{sql}"
            );
            assert_eq!(both().count(), results, "{sql}");
            results
        }
        Operator::IntervalJoin(join) => {
            let both = || join.left.iter().chain(&join.right);
            assert!(
                join.lower <= join.upper && join.side == by.keys + 1,
                "{sql}"
            );
            assert!(both().all(|row| *row < rows && *row != join.side), "{sql}");
            assert_eq!(both().count(), results, "{sql}");
            results
        }
    };
    // The results of a join have no columns of their own for the key.
    let keys = if keyed.operator.is_join() { 0 } else { by.keys };
    assert_eq!(results, keys + windows + own, "{sql}");
    for column in &keyed.finish.columns {
        assert!(keyed.results.column(column).is_some(), "{sql}: {column}");
    }
    assert_eq!(keyed.finish.output_schema, flow.output.to_arrow(), "{sql}");
    match flow.changes() {
        Changes::Append => assert!(keyed.by_event_time(), "{sql}"),
        Changes::Upsert { key } => {
            assert!(!keyed.by_event_time() && key.len() == by.keys, "{sql}");
            assert!(key.iter().all(|i| *i < flow.output.columns.len()), "{sql}");
        }
    }
}

fn probe(sql: &str, catalog: &Catalog) -> bool {
    let _ = inputs(sql);
    let flow = match plan(sql, catalog) {
        Ok(flow) => flow,
        Err(errors) => {
            assert!(!errors.is_empty() && errors.len() <= 10, "{sql}");
            assert!(
                errors.iter().all(|e| e.line >= 1 && e.column >= 1),
                "{sql}: {errors:?}"
            );
            return false;
        }
    };
    for (by, keyed) in flow.stateful() {
        check_keyed(sql, &flow, by, keyed);
    }
    for branch in flow.branches() {
        if let Some((by, _)) = flow.stateful().next() {
            assert_eq!(branch.output_schema, by.schema.to_arrow(), "{sql}");
        }
        let columns: Vec<ArrayRef> = branch
            .input_schema
            .fields()
            .iter()
            .map(|f| new_null_array(f.data_type(), 3))
            .collect();
        let batch = RecordBatch::try_new(branch.input_schema.clone(), columns).unwrap();
        match branch.evaluate(&batch) {
            Ok(done) => assert_eq!(done.batch.num_rows(), done.rows.len()),
            Err(error) => assert!(!error.message.contains("internal"), "{sql}: {error}"),
        }
    }
    true
}

#[test]
fn random_tokens_never_panic() {
    let (catalog, mut random, mut accepted) = (catalog(), Random(7), 0);
    for _ in 0..20_000 {
        let count = 1 + random.below(25);
        let mut sql = String::from("SELECT ");
        for _ in 0..count {
            sql += WORDS[random.below(WORDS.len())];
            sql.push(' ');
        }
        if random.below(3) > 0 {
            sql += "AS x FROM t";
        }
        accepted += usize::from(probe(&sql, &catalog));
    }
    assert!(
        accepted > 20,
        "only {accepted} were accepted: the test reaches too little"
    );
}

#[test]
fn random_expressions_are_accepted_often_and_never_panic() {
    fn expression(random: &mut Random, depth: usize) -> String {
        if depth == 0 || random.below(5) == 0 {
            return LEAVES[random.below(LEAVES.len())].to_owned();
        }
        let form = FORMS[random.below(FORMS.len())];
        form.split('#')
            .enumerate()
            .map(|(i, part)| {
                if i == 0 {
                    part.to_owned()
                } else {
                    expression(random, depth - 1) + part
                }
            })
            .collect()
    }
    let (catalog, mut random, mut accepted) = (catalog(), Random(11), 0);
    for round in 0..20_000 {
        let sql = format!(
            "SELECT {} AS x FROM t",
            expression(&mut random, 1 + round % 4)
        );
        accepted += usize::from(probe(&sql, &catalog));
    }
    assert!(
        accepted > 1500,
        "only {accepted} were accepted: the test reaches too little"
    );
}

#[test]
fn random_queries_with_state_are_planned_whole() {
    const FROM: &[&str] = &[
        "t",
        "t",
        "(SELECT * FROM t UNION ALL SELECT * FROM t WHERE i > 1)",
        "(SELECT i * 2 AS i, s, m, d, o, tz, dt, xs FROM t)",
        "TABLE(TUMBLE(TABLE t, DESCRIPTOR(tz), INTERVAL '1' HOUR))",
        "TABLE(CUMULATE(TABLE t, DESCRIPTOR(tz), INTERVAL '1' HOUR, INTERVAL '1' DAY))",
        "TABLE(SESSION(TABLE t PARTITION BY s, DESCRIPTOR(tz), INTERVAL '1' HOUR))",
    ];
    const KEYS: &[&str] = &[
        "i",
        "s",
        "m",
        "o",
        "dt",
        "UPPER(s)",
        "i + 1",
        "d",
        "window_start, window_end",
        "window_start, window_end",
        "TUMBLE(tz, INTERVAL '1' DAY)",
        "HOP(tz, INTERVAL '1' HOUR, INTERVAL '1' DAY)",
    ];
    const ITEMS: &[&str] = &[
        "COUNT(*)",
        "COUNT(DISTINCT s)",
        "SUM(i) FILTER (WHERE o)",
        "SUM(m) / COUNT(*)",
        "MAX(d)",
        "LISTAGG(UPPER(s))",
        "i",
        "UPPER(s) || 'x'",
        "window_start",
        "TUMBLE_START(tz, INTERVAL '1' DAY)",
        "xs",
        "1",
    ];
    const RANKS: &[&str] = &[
        "PARTITION BY s ORDER BY tz DESC",
        "PARTITION BY i, s ORDER BY tz",
        "PARTITION BY window_start, window_end ORDER BY d DESC, i",
        "PARTITION BY s, window_start, window_end ORDER BY tz",
    ];
    let (catalog, mut random, mut accepted) = (catalog(), Random(17), 0);
    for _ in 0..4_000 {
        let mut pick = |from: &[&'static str]| from[random.below(from.len())];
        let kind = pick(&["group", "group", "rank", "over"]);
        let sql = if kind == "over" {
            format!(
                "SELECT {} AS x, {} OVER (PARTITION BY {} ORDER BY tz {}) AS y FROM {}",
                pick(&["m", "i + 1", "UPPER(s)", "xs"]),
                pick(&[
                    "COUNT(*)",
                    "SUM(i)",
                    "MAX(d)",
                    "LAG(m)",
                    "LAG(s, 2, 'x')",
                    "RANK()"
                ]),
                pick(&["s", "i", "UPPER(s)", "d", "window_start"]),
                pick(&[
                    "",
                    "ROWS 2 PRECEDING",
                    "RANGE INTERVAL '1' HOUR PRECEDING",
                    "DESC"
                ]),
                pick(FROM),
            )
        } else if kind == "rank" {
            format!(
                "SELECT s, i, {} AS x FROM (SELECT *, ROW_NUMBER() OVER ({}) AS rn FROM {}) WHERE rn {}",
                pick(&["m", "rn", "xs", "i + 1"]),
                pick(RANKS),
                pick(FROM),
                pick(&["= 1", "<= 1", "< 3", "= 1 AND m > 1"]),
            )
        } else {
            let keys = [pick(KEYS), pick(KEYS)];
            let shown = keys
                .iter()
                .filter(|k| !k.contains("window") && !k.contains("tz"));
            let shown = shown.enumerate().map(|(i, k)| format!("{k} AS k{i}, "));
            format!(
                "SELECT {}{} AS x, {} AS y FROM {} GROUP BY {} {}",
                shown.collect::<String>(),
                pick(ITEMS),
                pick(ITEMS),
                pick(FROM),
                keys.join(", "),
                pick(&["", "HAVING COUNT(*) > 1", "HAVING SUM(i) > MIN(m)"]),
            )
        };
        accepted += usize::from(probe(&sql, &catalog));
    }
    assert!(
        accepted > 400,
        "only {accepted} were accepted: the test reaches too little"
    );
}

#[test]
fn random_bytes_never_panic() {
    let (catalog, mut random) = (catalog(), Random(13));
    for _ in 0..20_000 {
        let bytes: Vec<u8> = (0..random.below(60)).map(|_| random.next() as u8).collect();
        probe(&String::from_utf8_lossy(&bytes), &catalog);
        let mut sql = "SELECT UPPER(s) || 'ü' AS x, st.a FROM t WHERE i > 1 AND s LIKE 'a%'"
            .to_owned()
            .into_bytes();
        for _ in 0..=random.below(3) {
            let at = random.below(sql.len());
            match random.below(3) {
                0 => sql[at] = random.next() as u8,
                1 => sql.truncate(at.max(1)),
                _ => sql.insert(at, b"()'`,.*[]-/"[random.below(11)]),
            }
        }
        probe(&String::from_utf8_lossy(&sql), &catalog);
    }
}

/// Queries that go deep, each a level more for each step.
fn deep(shape: usize, depth: usize) -> String {
    let wrapped = |open: &str, leaf: &str, close: &str| {
        format!(
            "SELECT {}{leaf}{} AS x FROM t",
            open.repeat(depth),
            close.repeat(depth)
        )
    };
    let chain = |step: &str| {
        let steps: Vec<String> = (1..=depth)
            .map(|at| format!("a{at} AS (SELECT {step} AS i, s, o FROM a{})", at - 1))
            .collect();
        let all = steps.join(", ");
        format!("WITH a0 AS (SELECT i, s, o FROM t), {all} SELECT i, s, o FROM a{depth}")
    };
    match shape {
        0 => wrapped("(", "1", ")"),
        1 => wrapped("- ", "i", ""),
        2 => wrapped("UPPER(", "s", ")"),
        3 => wrapped("COALESCE(NULLIF(", "i", ", 1), 2)"),
        4 => wrapped("CASE WHEN o THEN ", "i", " ELSE 1 END"),
        5 => wrapped("CASE i WHEN 1 THEN 2 ELSE ", "i", " END"),
        6 => wrapped("CAST(", "i", " AS BIGINT)"),
        7 => wrapped("", "i", " + i"),
        8 => wrapped("CONCAT_WS(',', s, ", "s", ")"),
        9 => wrapped("ARRAY[", "i", "][1]"),
        10 => format!("SELECT i FROM t WHERE {} o", "NOT ".repeat(depth)),
        11 => format!(
            "SELECT i FROM t WHERE {}o{}",
            "(o AND NOT ".repeat(depth),
            ")".repeat(depth)
        ),
        12 => format!(
            "SELECT i, s FROM {} t {}",
            "(SELECT i, s FROM ".repeat(depth),
            ")".repeat(depth)
        ),
        13 => format!("{}SELECT i FROM t{}", "(".repeat(depth), ")".repeat(depth)),
        14 => format!(
            "SELECT SUM({}i{}) AS n, s FROM t GROUP BY s",
            "ABS(".repeat(depth),
            ")".repeat(depth)
        ),
        15 => chain("i"),
        16 => chain("i + 1"),
        _ => chain("CASE WHEN o THEN i ELSE 1 END"),
    }
}

/// What a thread with that much stack gives.
fn on_stack<T: Send + 'static>(bytes: usize, work: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::Builder::new().stack_size(bytes).spawn(work);
    thread.unwrap().join().unwrap()
}

/// The operator's workers and a pod's stages have 2 MiB, and whoever writes a query isn't always a friend.
#[test]
fn the_deepest_queries_that_are_accepted_take_no_more_stack_than_there_is() {
    for shape in 0..18 {
        let deepest = on_stack(256 << 20, move || {
            let catalog = catalog();
            let accepted = |depth: usize| plan(&deep(shape, depth), &catalog).is_ok();
            assert!(accepted(1), "{}", deep(shape, 1));
            let (mut fits, mut fails) = (1, 2_000);
            while fits + 1 < fails {
                let middle = usize::midpoint(fits, fails);
                if accepted(middle) {
                    fits = middle;
                } else {
                    fails = middle;
                }
            }
            fits
        });
        // Where a level doubles what is below it, size ends it before depth does.
        assert!(deepest >= 10, "{deepest} of {}", deep(shape, 1));
        for depth in [deepest, deepest + 1, 2_000] {
            on_stack(512 << 10, move || probe(&deep(shape, depth), &catalog()));
        }
    }
}
