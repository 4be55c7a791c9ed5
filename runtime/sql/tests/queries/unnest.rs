//! UNNEST: what it reads and gives, row by row, and how much of it.

use arrow::array::{Array, Int32Builder, ListBuilder, StringBuilder};
use headworks_sql::Evaluated;

use super::*;

/// A row: an id, numbers, words, and a text.
type Line = (
    i32,
    Option<Vec<Option<i32>>>,
    Option<Vec<Option<&'static str>>>,
    &'static str,
);

fn lines() -> Catalog {
    Catalog::new().with(
        "lines",
        contract(&[
            ("id", "int"),
            ("nums", "array<int>?"),
            ("words", "array<string>?"),
            ("email", "string"),
        ]),
    )
}

fn batch(lines: &[Line]) -> RecordBatch {
    let mut nums = ListBuilder::new(Int32Builder::new());
    let mut words = ListBuilder::new(StringBuilder::new());
    for (_, numbers, texts, _) in lines {
        match numbers {
            Some(numbers) => nums.append_value(numbers.iter().copied()),
            None => nums.append_null(),
        }
        match texts {
            Some(texts) => words.append_value(texts.iter().copied()),
            None => words.append_null(),
        }
    }
    RecordBatch::try_from_iter([
        (
            "id",
            Arc::new(Int32Array::from_iter_values(lines.iter().map(|l| l.0))) as ArrayRef,
        ),
        ("nums", Arc::new(nums.finish())),
        ("words", Arc::new(words.finish())),
        (
            "email",
            Arc::new(StringArray::from_iter_values(lines.iter().map(|l| l.3))),
        ),
    ])
    .unwrap()
}

fn evaluate(sql: &str, batch: &RecordBatch) -> Result<Evaluated, headworks_sql::EvaluationError> {
    let flow = plan(sql, &lines()).unwrap_or_else(|errors| panic!("{sql}: {errors:?}"));
    let branch = flow.branches().next().unwrap();
    let read: Vec<usize> = branch
        .columns
        .iter()
        .map(|name| batch.schema().index_of(name).unwrap())
        .collect();
    branch.evaluate(&batch.project(&read).unwrap())
}

/// Rows as text, each with the row that it comes from before it.
fn rows(evaluated: &Evaluated) -> Vec<String> {
    let shown = |row: usize| {
        let columns = evaluated.batch.columns().iter().map(|column| {
            if column.is_null(row) {
                "-".to_owned()
            } else {
                arrow::util::display::array_value_to_string(column, row).unwrap()
            }
        });
        let columns: Vec<String> = columns.collect();
        format!("{}: {}", evaluated.rows.value(row), columns.join(" "))
    };
    (0..evaluated.batch.num_rows()).map(shown).collect()
}

fn text<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// Lines by chance.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    fn list<T>(&mut self, of: impl Fn(&mut Dice) -> T) -> Option<Vec<Option<T>>> {
        if self.below(5) == 0 {
            return None;
        }
        let element = |dice: &mut Dice| (dice.below(4) > 0).then(|| of(dice));
        Some((0..self.below(5)).map(|_| element(self)).collect())
    }

    fn line(&mut self) -> Line {
        (
            self.below(6) as i32,
            self.list(|dice| dice.below(7) as i32),
            self.list(|dice| ["x", "y", "z"][dice.below(3) as usize]),
            ["", "a", "bc"][self.below(3) as usize],
        )
    }
}

/// A query, and the rows that a line gives by it.
type Oracle = (&'static str, fn(&Line) -> Vec<String>);

const ORACLES: &[Oracle] = &[
    (
        "SELECT id, n, email FROM lines CROSS JOIN UNNEST(nums) AS t (n)",
        |(id, nums, _, email)| {
            let nums = nums.iter().flatten();
            nums.map(|n| format!("{id} {} {email}", text(*n))).collect()
        },
    ),
    (
        "SELECT id, n, pos FROM lines LEFT JOIN UNNEST(nums) WITH ORDINALITY AS t (n, pos) ON n > id WHERE id <> 3",
        |(id, nums, ..)| {
            let all = nums.iter().flatten().enumerate();
            let kept: Vec<String> = all
                .filter(|(_, n)| n.is_some_and(|n| n > *id))
                .map(|(at, n)| format!("{id} {} {}", text(*n), at + 1))
                .collect();
            match (*id, kept.is_empty()) {
                (3, _) => Vec::new(),
                (_, true) => vec![format!("{id} - -")],
                _ => kept,
            }
        },
    ),
    (
        "SELECT w, n FROM (SELECT * FROM lines WHERE email <> '') LEFT JOIN UNNEST(words) AS a (w) ON TRUE JOIN UNNEST(nums) AS b (n) ON n IS NULL OR w = 'x' WHERE n IS NOT NULL",
        |(_, nums, words, email)| {
            let words: Vec<Option<&str>> = match words {
                Some(words) if !words.is_empty() => words.clone(),
                _ => vec![None],
            };
            let mut rows = Vec::new();
            for word in words.iter().filter(|_| !email.is_empty()) {
                let numbers = nums.iter().flatten().flatten();
                for n in numbers.filter(|_| *word == Some("x")) {
                    rows.push(format!("x {n}"));
                }
            }
            rows
        },
    ),
    (
        "SELECT 7 AS seven FROM lines, UNNEST(ARRAY_CONCAT(nums, ARRAY[id])) AS t (n)",
        |(_, nums, ..)| vec!["7".to_owned(); nums.as_ref().map_or(0, |nums| nums.len() + 1)],
    ),
];

#[test]
fn a_batch_gives_what_its_rows_give_one_by_one() {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    for round in 0..500 {
        let all: Vec<Line> = (0..dice.below(8)).map(|_| dice.line()).collect();
        for (sql, oracle) in ORACLES {
            let expected: Vec<String> = all
                .iter()
                .enumerate()
                .flat_map(|(at, line)| {
                    let rows = oracle(line).into_iter();
                    rows.map(move |row| format!("{at}: {row}"))
                })
                .collect();
            let given = evaluate(sql, &batch(&all)).unwrap();
            assert_eq!(rows(&given), expected, "{round} {sql}\n{all:?}");
            // What is halved begins within its buffers.
            let middle = all.len() / 2;
            let half = batch(&all).slice(middle, all.len() - middle);
            let given = evaluate(sql, &half).unwrap();
            assert_eq!(
                rows(&given).len(),
                all[middle..].iter().map(|l| oracle(l).len()).sum::<usize>(),
                "{round} {sql}"
            );
        }
    }
}

#[test]
fn only_what_is_needed_is_read_and_labels_and_lineage_are_those_of_the_array() {
    let flow = good(
        "SELECT order_id, sku, qty FROM orders LEFT JOIN UNNEST(items) AS t (sku, qty) ON qty > 0",
    );
    assert_eq!(
        columns(&flow),
        ["order_id string", "sku string?", "qty int?"]
    );
    let branch = flow.branches().next().unwrap();
    assert!(branch.multiplies());
    assert_eq!(branch.columns, ["order_id", "items"]);
    let of = |column: usize| {
        let sources = flow.lineage[column].sources.iter();
        sources.map(|s| s.column.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(
        (of(0), of(1), of(2)),
        (vec!["order_id"], vec!["items"], vec!["items"])
    );
    // A letter is a piece of a mail.
    let flow = good("SELECT letter FROM orders CROSS JOIN UNNEST(SPLIT(email, '@')) AS t (letter)");
    assert_eq!(flow.output.columns[0].labels, ["pii"]);
    assert_eq!(flow.branches().next().unwrap().columns, ["email"]);
    let flow = good(
        "SELECT part FROM (SELECT * FROM orders CROSS JOIN UNNEST(SPLIT(email, '@')) AS t (word)) CROSS JOIN UNNEST(SPLIT(word, '.')) AS u (part)",
    );
    assert_eq!(flow.output.columns[0].labels, ["pii"]);
    assert_eq!(flow.lineage[0].sources.first().unwrap().column, "email");
}

#[test]
fn names_without_a_list_are_flinks() {
    let flow = good("SELECT * FROM (SELECT tags FROM orders) CROSS JOIN UNNEST(tags)");
    assert_eq!(
        columns(&flow),
        ["tags map<string,string>", "KEY string", "VALUE string?"]
    );
    let flow = good("SELECT t.* FROM orders CROSS JOIN UNNEST(items) WITH ORDINALITY AS t");
    assert_eq!(
        columns(&flow),
        ["sku string?", "qty int?", "ORDINALITY int"]
    );
    let flow = good("SELECT word FROM orders CROSS JOIN UNNEST(SPLIT(order_id, '-')) AS word");
    assert_eq!(columns(&flow), ["word string?"]);
}

#[test]
fn a_row_that_would_become_too_many_fails_and_so_does_what_would_repeat_too_much() {
    let of = |length: usize, email: &'static str| -> RecordBatch {
        batch(&[(1, Some(vec![Some(1); length]), None, email)])
    };
    let numbers = "SELECT n FROM lines\nCROSS JOIN UNNEST(nums) AS t (n)";
    let given = evaluate(numbers, &of(1 << 18, "")).unwrap();
    assert_eq!(given.rows.len(), 1 << 18);
    let error = evaluate(numbers, &of((1 << 18) + 1, "")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 2, column 1: UNNEST would give more than 262144 rows; send the elements in several records"
    );
    // 1,000 bytes, 70,000 times.
    let long: &'static str = Box::leak("x".repeat(1_000).into_boxed_str());
    let both = "SELECT n, email FROM lines CROSS JOIN UNNEST(nums) AS t (n)";
    let error = evaluate(both, &of(70_000, long)).unwrap_err();
    assert!(
        error.message.contains("more than 64 MiB"),
        "{}",
        error.message
    );
    assert_eq!(
        evaluate(both, &of(60_000, long)).unwrap().rows.len(),
        60_000
    );
    // Nobody asks for it, or it isn't repeated.
    assert!(evaluate(numbers, &of(70_000, long)).is_ok());
    let once: Vec<Line> = (0..70_000)
        .map(|id| (id, Some(vec![Some(1)]), None, long))
        .collect();
    assert_eq!(evaluate(both, &batch(&once)).unwrap().rows.len(), 70_000);
}

#[test]
fn an_error_of_a_row_that_the_filter_before_takes_out_is_none() {
    let all = batch(&[
        (0, Some(vec![Some(1)]), None, ""),
        (2, Some(vec![Some(6)]), None, ""),
    ]);
    let given = evaluate(
        "SELECT q FROM (SELECT nums, id, 6 / id AS q FROM lines WHERE id <> 0) CROSS JOIN UNNEST(nums) AS t (n) WHERE q < n",
        &all,
    )
    .unwrap();
    assert_eq!(rows(&given), ["1: 3"]);
    let error = evaluate(
        "SELECT n FROM lines JOIN UNNEST(nums) AS t (n) ON n / id > 0",
        &all,
    )
    .unwrap_err();
    assert_eq!(error.to_string(), "line 1, column 53: division by zero");
}
