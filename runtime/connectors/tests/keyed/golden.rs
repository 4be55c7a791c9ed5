//! The files of cases: read, compared and written.

use std::fmt::{self, Write as _};
use std::path::PathBuf;

use serde_json::Value;

/// A file of cases.
pub struct File {
    path: PathBuf,
    /// What stands before the first case.
    head: String,
    /// In order.
    pub cases: Vec<Case>,
}

/// A query and its answers.
pub struct Case {
    /// What it shows.
    pub name: String,
    /// The query.
    pub sql: String,
    /// What Flink said.
    pub flink: Answer,
    /// The same, as it is written.
    flink_text: String,
    /// What we say instead, and why.
    pub ours: Option<(String, Answer)>,
}

/// What a query gives.
pub enum Answer {
    /// Columns with their types in Flink's words, and rows as arrays in any order.
    Rows { columns: String, rows: Vec<Value> },
    /// It isn't run; some words of the reason.
    Refused(String),
}

/// Every file of a folder beside this one.
pub fn files(folder: &str) -> Vec<File> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/keyed");
    let mut paths: Vec<_> = std::fs::read_dir(beside.join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "golden"))
        .collect();
    paths.sort();
    paths.into_iter().map(File::read).collect()
}

impl File {
    fn read(path: PathBuf) -> File {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut parts = text.split("\n=== ");
        let head = parts.next().unwrap().to_owned();
        File {
            path,
            head,
            cases: parts.map(Case::read).collect(),
        }
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.path
            .file_name()
            .unwrap()
            .to_string_lossy()
            .into_owned()
    }

    /// Writes it again.
    pub fn write(&self) {
        let mut text = self.head.clone();
        for case in &self.cases {
            write!(
                text,
                "\n=== {}\n{}\n--- flink\n{}\n",
                case.name,
                case.sql,
                case.flink_text.trim_end()
            )
            .unwrap();
            if let Some((reason, answer)) = &case.ours {
                write!(text, "--- headworks: {reason}\n{answer}").unwrap();
            }
        }
        std::fs::write(&self.path, text).unwrap();
    }
}

impl Case {
    fn read(text: &str) -> Case {
        let (name, rest) = text.split_once('\n').unwrap();
        let (sql, answers) = rest
            .split_once("\n--- flink\n")
            .unwrap_or_else(|| panic!("{name}: no answer of Flink's; `make parity` asks for it"));
        let (flink, ours) = match answers.split_once("--- headworks:") {
            Some((flink, ours)) => (flink, Some(ours)),
            None => (answers, None),
        };
        Case {
            name: name.to_owned(),
            sql: sql.to_owned(),
            flink: Answer::read(flink),
            flink_text: flink.to_owned(),
            ours: ours.map(|ours| {
                let (reason, answer) = ours.split_once('\n').unwrap();
                (reason.trim().to_owned(), Answer::read(answer))
            }),
        }
    }
}

impl Answer {
    fn read(text: &str) -> Answer {
        let mut lines = text.lines().filter(|line| !line.is_empty());
        let first = lines.next().unwrap();
        for word in ["refused: ", "failed: "] {
            if let Some(why) = first.strip_prefix(word) {
                return Answer::Refused(why.to_owned());
            }
        }
        Answer::Rows {
            columns: first.to_owned(),
            rows: lines
                .map(|line| serde_json::from_str(line).unwrap())
                .collect(),
        }
    }

    /// True if both mean the same: of two refusals the words may differ.
    pub fn equals(&self, other: &Answer) -> bool {
        match (self, other) {
            (Answer::Refused(_), Answer::Refused(_)) => true,
            (Answer::Rows { .. }, Answer::Rows { .. }) => self.plain() == other.plain(),
            _ => false,
        }
    }

    /// As it is listed: a refusal by its first words, without the place.
    pub fn short(self) -> Answer {
        match self {
            Answer::Refused(why) => {
                let words = why.split_once(": ").map_or(&*why, |(_, words)| words);
                let end = words.find([';', ':']).unwrap_or(words.len());
                Answer::Refused(words[..end].to_owned())
            }
            rows @ Answer::Rows { .. } => rows,
        }
    }

    /// True if `answer` is what is listed here: the same rows, or a refusal with these words.
    pub fn describes(&self, answer: &Answer) -> bool {
        match (self, answer) {
            (Answer::Refused(words), Answer::Refused(said)) => said.contains(words),
            _ => self.equals(answer),
        }
    }

    /// In a form in which equal answers are equal.
    fn plain(&self) -> (String, Vec<String>) {
        match self {
            Answer::Refused(why) => (why.clone(), Vec::new()),
            Answer::Rows { columns, rows } => {
                let mut rows: Vec<String> = rows.iter().map(|row| plain(row).to_string()).collect();
                rows.sort();
                (without_lengths(columns), rows)
            }
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Refused(why) => writeln!(f, "refused: {why}"),
            Answer::Rows { columns, rows } => {
                writeln!(f, "{columns}")?;
                let mut rows: Vec<String> = rows.iter().map(Value::to_string).collect();
                rows.sort();
                rows.iter().try_for_each(|row| writeln!(f, "{row}"))
            }
        }
    }
}

/// Flink's texts have a length where it knows one, and its times of day digits; ours have neither.
fn without_lengths(columns: &str) -> String {
    let mut out = String::new();
    let mut rest = columns;
    while let Some(at) = ["VARCHAR(", "CHAR(", "TIME("]
        .iter()
        .filter_map(|word| rest.find(&format!(" {word}")))
        .min()
    {
        let (before, found) = rest.split_at(at + 1);
        let end = found.find(')').unwrap() + 1;
        out += before;
        out += if found.starts_with("TIME") {
            "TIME"
        } else {
            "STRING"
        };
        rest = &found[end..];
    }
    out + rest
}

/// Numbers in one way of writing: 3.0 is 3. Of a fraction 14 digits count: the last ones of a sum depend on
/// the order in which its parts are put together, and so on when epochs end.
fn plain(value: &Value) -> Value {
    match value {
        Value::Array(values) => values.iter().map(plain).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), plain(value)))
            .collect(),
        Value::Number(number) if number.as_i64().is_none() => {
            fraction(number.as_f64().unwrap()).into()
        }
        Value::Number(number) => number.to_string().into(),
        other => other.clone(),
    }
}

fn fraction(number: f64) -> String {
    let rounded: f64 = format!("{number:.13e}").parse().unwrap();
    rounded.to_string()
}

#[test]
fn answers_are_equal_up_to_order_and_ways_of_writing() {
    let read = |text| Answer::read(text);
    let a = read("a INT, t TIME(3), c CHAR(1), v VARCHAR(2000)\n[1,3.0]\n[null,\"1\"]\n[1,3.0]\n");
    assert!(a.equals(&read(
        "a INT, t TIME, c STRING, v STRING\n[1,3]\n[1,3]\n[null,\"1\"]\n"
    )));
    assert!(read("d DOUBLE\n[0.05]\n").equals(&read("d DOUBLE\n[0.05000000000000001]\n")));
    assert!(!read("d DOUBLE\n[0.05]\n").equals(&read("d DOUBLE\n[0.0500000000001]\n")));
    for other in [
        "a INT, t TIME, c STRING, v STRING\n[1,3]\n[null,\"1\"]\n",
        "a INT, t TIME, c STRING, v STRING\n[1,3]\n[1,3]\n[null,1.5]\n",
        "a BIGINT, t TIME, c STRING, v STRING\n[1,3]\n[1,3]\n[null,\"1\"]\n",
        "refused: no\n",
    ] {
        assert!(!a.equals(&read(other)), "{other}");
    }
}
