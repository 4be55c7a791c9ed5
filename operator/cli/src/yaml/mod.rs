//! YAML and JSON with places: every value and key knows the line and column where it stands.
//!
//! A message that says `spec.to[0].stream` makes people search; one that says `pipelines.yaml:14:15` is a
//! click. So files are read into [`Node`]s, and only then into JSON. Plain words mean what they mean to
//! kubectl (YAML 1.1: `yes` and `on` are true).

mod block;
mod build;
mod scalar;

pub use block::Block;
pub use build::read;

use serde_json::{Map, Value};

/// A place in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// A value and where it begins.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub content: Content,
}

/// What a value is.
#[derive(Clone, Debug)]
pub enum Content {
    /// Nothing, or `null`.
    Null,
    /// True or false, and the word that says so in the file.
    Bool(bool, String),
    /// A number, as JSON writes it and with every digit of the file.
    Number(String),
    /// Text, and how its places are found again.
    Text(String, Block),
    /// A list.
    List(Vec<Node>),
    /// Keys and values, in the file's order; keys are distinct.
    Map(Vec<(Key, Node)>),
}

/// A key and where it stands.
#[derive(Clone, Debug)]
pub struct Key {
    /// The key.
    pub name: String,
    /// Where it begins.
    pub place: Place,
}

/// A step into a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Into a map.
    Key(String),
    /// Into a list.
    Index(usize),
}

impl Node {
    /// The entries of a map; none of anything else.
    pub fn entries(&self) -> &[(Key, Node)] {
        match &self.content {
            Content::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; none of anything else.
    pub fn items(&self) -> &[Node] {
        match &self.content {
            Content::List(items) => items,
            _ => &[],
        }
    }

    /// A map's value.
    pub fn get(&self, key: &str) -> Option<&Node> {
        let found = self.entries().iter().find(|(k, _)| k.name == key);
        found.map(|(_, value)| value)
    }

    /// The text of a string.
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text, _) => Some(text),
            _ => None,
        }
    }

    /// The value at the end of a path.
    pub fn at(&self, path: &[Step]) -> Option<&Node> {
        path.iter().try_fold(self, |node, step| match step {
            Step::Key(key) => node.get(key),
            Step::Index(index) => node.items().get(*index),
        })
    }

    /// The place of the value at the end of a path, or of the last value on the way that is there.
    pub fn place_of(&self, path: &[Step]) -> Place {
        let mut node = self;
        for step in path {
            let next = match step {
                Step::Key(key) => node.get(key),
                Step::Index(index) => node.items().get(*index),
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node.place
    }

    /// As the JSON that kubectl would send: `3.0` is 3.
    pub fn to_json(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(value, _) => Value::Bool(*value),
            Content::Number(text) => scalar::value(text),
            Content::Text(text, _) => Value::String(text.clone()),
            Content::List(items) => items.iter().map(Node::to_json).collect(),
            Content::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(key, value)| (key.name.clone(), value.to_json()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }

    /// As JSON text with every digit of the file.
    pub fn to_json_text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        let quoted = |text: &str| Value::from(text).to_string();
        match &self.content {
            Content::Null => out.push_str("null"),
            Content::Bool(value, _) => out.push_str(if *value { "true" } else { "false" }),
            Content::Number(text) => out.push_str(text),
            Content::Text(text, _) => out.push_str(&quoted(text)),
            Content::List(items) => {
                for (i, item) in items.iter().enumerate() {
                    out.push(if i == 0 { '[' } else { ',' });
                    item.write(out);
                }
                out.push_str(if items.is_empty() { "[]" } else { "]" });
            }
            Content::Map(entries) => {
                for (i, (key, value)) in entries.iter().enumerate() {
                    out.push(if i == 0 { '{' } else { ',' });
                    out.push_str(&quoted(&key.name));
                    out.push(':');
                    value.write(out);
                }
                out.push_str(if entries.is_empty() { "{}" } else { "}" });
            }
        }
    }
}

/// The steps of a path such as `spec.to[0].stream`.
pub fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let mut rest = part;
        if let Some(at) = part.find('[') {
            if at > 0 {
                steps.push(Step::Key(part[..at].to_owned()));
            }
            rest = &part[at..];
            for index in rest.split(['[', ']']).filter(|text| !text.is_empty()) {
                steps.push(
                    index
                        .parse()
                        .map_or_else(|_| Step::Key(index.to_owned()), Step::Index),
                );
            }
            continue;
        }
        steps.push(Step::Key(rest.to_owned()));
    }
    steps
}

/// A path as people write it.
pub fn path(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Key(key) if key.contains('.') => {
                text.push_str(&format!("[{key:?}]"));
            }
            Step::Key(key) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(key);
            }
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Node {
        let (mut documents, flaws) = read(text);
        assert!(flaws.is_empty(), "{flaws:?}");
        documents.remove(0)
    }

    #[test]
    fn a_path_leads_to_a_line_and_a_column() {
        let node = one("spec:\n  to:\n    - stream: a\n    - {stream: b}\n");
        let place = node.place_of(&steps("spec.to[1].stream"));
        assert_eq!((place.line, place.column), (4, 16));
        // What isn't there is said of what should hold it.
        let place = node.place_of(&steps("spec.to[0].table.name"));
        assert_eq!((place.line, place.column), (3, 7));
        assert_eq!(path(&steps("spec.to[1].stream")), "spec.to[1].stream");
    }

    #[test]
    fn words_mean_what_they_mean_to_kubectl() {
        let node = one(
            "{a: yes, b: 'yes', c: 010, d: 1_000, e: 0x1F, f: ~, g: 2026-01-01, h: 5.00, i: .5, j: '', k: 12e3}",
        );
        assert_eq!(
            node.to_json_text(),
            r#"{"a":true,"b":"yes","c":8,"d":1000,"e":31,"f":null,"g":"2026-01-01","h":5.00,"i":0.5,"j":"","k":12e3}"#
        );
    }

    #[test]
    fn anchors_and_merges_are_written_out() {
        let node = one("base: &b {p: 1, q: 2}\nuse:\n  <<: *b\n  q: 3\n");
        assert_eq!(
            node.get("use").map(Node::to_json_text).as_deref(),
            Some(r#"{"q":3,"p":1}"#)
        );
    }

    #[test]
    fn a_key_that_kubectl_reads_as_true_or_false_is_worth_a_warning() {
        let (documents, flaws) = read("n: 1\ntrue: 2\n");
        assert_eq!(flaws.len(), 1, "{flaws:?}");
        assert!(!flaws[0].fatal && flaws[0].message.contains("the key n as false"));
        assert_eq!(documents[0].to_json_text(), r#"{"false":1,"true":2}"#);
    }

    #[test]
    fn anchors_that_multiply_are_refused() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..9 {
            let of = format!("*a{}, ", i - 1).repeat(10);
            text.push_str(&format!("a{i}: &a{i} [{}]\n", of.trim_end_matches(", ")));
        }
        let (_, flaws) = read(&text);
        assert!(flaws[0].message.contains("too large"), "{flaws:?}");
    }

    #[test]
    fn anchors_within_anchors_are_refused_before_they_fill_the_memory() {
        let open: Vec<String> = (0..100).map(|n| format!("&a{n} [")).collect();
        let open = open.concat();
        let text = format!("a: {open}{}{}\n", "x,".repeat(20_000), "]".repeat(100));
        let (_, flaws) = read(&text);
        assert!(flaws[0].message.contains("too large"), "{flaws:?}");
    }

    #[test]
    fn a_line_of_a_megabyte_is_read_at_once() {
        let text = format!("{{\"a\": [{}\"x\"]}}", "\"x\", ".repeat(200_000));
        let begun = std::time::Instant::now();
        let node = one(&text);
        assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
        let Content::Text(_, block) = &node.get("a").unwrap().items()[100_000].content else {
            panic!("a text")
        };
        assert_eq!(block.place(1, 1), None);
    }

    #[test]
    fn what_is_wrong_with_a_file_has_a_place_and_the_next_document_is_read() {
        for (text, line, column, words) in [
            ("a: 1\n\tb: 2\n---\nc: 3\n", 2, 1, "tab"),
            ("a: 1\nb: 2\na: 3\n---\nc: 3\n", 3, 1, "twice"),
            ("a: [1, 2\n---\nc: 3\n", 0, 0, ""),
            ("a: {{ .Values.x }}\n---\nc: 3\n", 1, 0, "helm template"),
        ] {
            let (documents, flaws) = read(text);
            let flaw = flaws.first().unwrap_or_else(|| panic!("{text}"));
            if line > 0 {
                assert_eq!(flaw.place.line, line, "{text}: {flaw:?}");
            }
            if column > 0 {
                assert_eq!(flaw.place.column, column, "{text}: {flaw:?}");
            }
            assert!(flaw.message.contains(words), "{flaw:?}");
            let last = documents.last().unwrap_or_else(|| panic!("{text}"));
            assert_eq!(last.to_json_text(), r#"{"c":3}"#);
        }
    }

    #[test]
    fn a_place_in_a_block_is_a_place_in_the_file() {
        let text = "spec:\n  sql: |\n\n    SELECT a\n      FROM b\n  one: SELECT c\n  two: \"SELECT d\"\n  folded: >\n    SELECT\n    e\n";
        let node = one(text);
        let at = |path: &str, line, column| {
            let node = node.at(&steps(path)).unwrap_or_else(|| panic!("{path}"));
            let Content::Text(_, block) = &node.content else {
                panic!("{path}")
            };
            let place = block.place(line, column);
            place.map(|p| (p.line, p.column))
        };
        assert_eq!(at("spec.sql", 2, 8), Some((4, 12)));
        assert_eq!(at("spec.sql", 3, 8), Some((5, 12)));
        assert_eq!(at("spec.one", 1, 8), Some((6, 15)));
        assert_eq!(at("spec.two", 1, 8), Some((7, 16)));
        assert_eq!(at("spec.folded", 1, 8), None);
    }
}
