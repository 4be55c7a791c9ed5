//! From the parser's events to nodes. A flaw doesn't end the file: reading goes on at the next `---`.

use std::collections::{BTreeMap, BTreeSet};

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::{Block, Content, Key, Node, Place, scalar};

/// Most values of a file, anchors written out. A folder of manifests has some hundred in a file.
const MOST_VALUES: usize = 1_000_000;

/// Stands for a key that is left out because it came before. No file can have it: a NUL is no YAML.
const TWICE: &str = "\0twice";
const HELM: &str = "this looks like a Helm template, which is no YAML yet: render it first, as in `helm template CHART | headworks validate -`";

/// What is wrong with a file as YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// Where.
    pub place: Place,
    /// What, and what to do.
    pub message: String,
    /// False: it is only worth a warning.
    pub fatal: bool,
}

/// Reads a file's documents, and what is wrong with it.
pub fn read(text: &str) -> (Vec<Node>, Vec<Flaw>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines: Vec<&str> = text.split('\n').collect();
    let (mut documents, mut flaws) = (Vec::new(), Vec::new());
    let mut from = 0;
    loop {
        let part = lines[from..].join("\n");
        let mut builder = Builder {
            lines: &lines,
            skipped: from as u32,
            documents: &mut documents,
            flaws: &mut flaws,
            anchors: BTreeMap::new(),
            values: 0,
        };
        let Some(failed) = builder.run(&part) else {
            break;
        };
        // On at the next document, if there is one.
        let next = (failed as usize..lines.len()).find(|at| lines[*at].starts_with("---"));
        match next {
            Some(next) if next > from => from = next,
            _ => break,
        }
    }
    (documents, flaws)
}

struct Builder<'a> {
    lines: &'a [&'a str],
    /// Lines of the file before what the parser was given.
    skipped: u32,
    documents: &'a mut Vec<Node>,
    flaws: &'a mut Vec<Flaw>,
    anchors: BTreeMap<usize, Node>,
    values: usize,
}

/// A list or map that isn't closed yet.
struct Open {
    node: Node,
    anchor: usize,
    /// A map's key whose value comes next.
    key: Option<Key>,
    names: BTreeSet<String>,
    /// What `<<` brings.
    merged: Vec<(Key, Node)>,
}

impl Builder<'_> {
    /// Reads until the end or the first error; the line (from 0) after which to go on.
    fn run(&mut self, text: &str) -> Option<u32> {
        let mut stack: Vec<Open> = Vec::new();
        for event in Parser::new_from_str(text) {
            let (event, span) = match event {
                Ok(event) => event,
                Err(error) => return Some(self.broken(&error)),
            };
            let place = self.place(span);
            self.values += 1;
            if self.values > MOST_VALUES {
                self.flaw(place, "the file is too large: it has more than a million values once anchors are written out; split it".into());
                return Some(u32::MAX);
            }
            let (node, anchor) = match event {
                Event::DocumentStart(..) => {
                    self.anchors.clear();
                    continue;
                }
                Event::Scalar(text, style, anchor, _) => {
                    let block = Block::of(&text, style, place, self.lines);
                    let content = if style == ScalarStyle::Plain {
                        if scalar::non_finite(&text) {
                            self.flaw(place, format!("kubectl reads {text} as a number that JSON doesn't have, and refuses the file: write it in quotes"));
                        }
                        scalar::plain(&text, block)
                    } else {
                        Content::Text(text.into_owned(), block)
                    };
                    self.warn_of_key(&stack, &content, place);
                    (Node { place, content }, anchor)
                }
                Event::Alias(of) => {
                    let Some(node) = self.anchors.get(&of).cloned() else {
                        self.flaw(place, "an alias within its own anchor: write it out".into());
                        return Some(place.line);
                    };
                    self.values += size(&node);
                    (node, 0)
                }
                Event::SequenceStart(_, anchor, _) | Event::MappingStart(_, anchor, _) => {
                    let content = match event {
                        Event::SequenceStart(..) => Content::List(Vec::new()),
                        _ => Content::Map(Vec::new()),
                    };
                    stack.push(Open {
                        node: Node { place, content },
                        anchor,
                        key: None,
                        names: BTreeSet::new(),
                        merged: Vec::new(),
                    });
                    continue;
                }
                Event::SequenceEnd | Event::MappingEnd => match stack.pop() {
                    Some(open) => (closed(open.node, open.merged, &open.names), open.anchor),
                    None => continue,
                },
                _ => continue,
            };
            if anchor > 0 {
                // A copy: anchors within each other are copies of copies.
                self.values += size(&node);
                self.anchors.insert(anchor, node.clone());
            }
            match stack.last_mut() {
                Some(open) => {
                    if let Some(line) = self.put(open, node) {
                        return Some(line);
                    }
                }
                None => self.documents.push(node),
            }
        }
        None
    }

    fn put(&mut self, open: &mut Open, node: Node) -> Option<u32> {
        match &mut open.node.content {
            Content::List(items) => items.push(node),
            Content::Map(entries) => {
                match open.key.take() {
                    None => {
                        let name = match &node.content {
                            Content::Text(text, _) => text.clone(),
                            Content::List(_) | Content::Map(_) => {
                                let line = self.lines.get(node.place.line as usize - 1);
                                let message = if line.is_some_and(|line| line.contains("{{")) {
                                    HELM
                                } else {
                                    "a key must be a word, not a list or map; quote it if braces belong to it"
                                };
                                self.flaw(node.place, message.into());
                                return Some(node.place.line);
                            }
                            _ => node.to_json_text(),
                        };
                        if name != "<<" && !open.names.insert(name.clone()) {
                            let first = entries.iter().find(|(key, _)| key.name == name);
                            let first = first.map_or(0, |(key, _)| key.place.line);
                            self.flaw(
                            node.place,
                            format!("key \"{name}\" is given twice, first in line {first}: remove one"),
                        );
                            // The first one counts; the rest of the document is worth reading.
                            open.key = Some(Key {
                                name: TWICE.into(),
                                place: node.place,
                            });
                            return None;
                        }
                        open.key = Some(Key {
                            name,
                            place: node.place,
                        });
                    }
                    Some(key) if key.name == TWICE => {}
                    Some(key) if key.name == "<<" => open.merged.extend(merge(node)),
                    Some(key) => entries.push((key, node)),
                }
            }
            _ => {}
        }
        None
    }

    /// `n: 1` is `false: 1` to kubectl.
    fn warn_of_key(&mut self, stack: &[Open], content: &Content, place: Place) {
        let is_key = stack
            .last()
            .is_some_and(|open| open.key.is_none() && matches!(open.node.content, Content::Map(_)));
        if let (true, Content::Bool(value, word)) = (is_key, content)
            && *word != value.to_string()
        {
            self.flaws.push(Flaw {
                place,
                message: format!("kubectl reads the key {word} as {value}: write it in quotes"),
                fatal: false,
            });
        }
    }

    fn place(&self, span: Span) -> Place {
        Place {
            line: span.start.line() as u32 + self.skipped,
            column: span.start.col() as u32 + 1,
        }
    }

    fn flaw(&mut self, place: Place, message: String) {
        self.flaws.push(Flaw {
            place,
            message,
            fatal: true,
        });
    }

    fn broken(&mut self, error: &ScanError) -> u32 {
        let line = error.marker().line() as u32 + self.skipped;
        let place = Place {
            line,
            column: error.marker().col() as u32 + 1,
        };
        let of = |line: u32| self.lines.get(line as usize - 1).copied().unwrap_or("");
        let tab = |line: u32| {
            let text = of(line);
            let blanks = text.len() - text.trim_start_matches([' ', '\t']).len();
            let at = text[..blanks].find('\t')?;
            Some(Place {
                line,
                column: at as u32 + 1,
            })
        };
        let suspects = [line, line + 1, line.saturating_sub(1).max(1)];
        if let Some(place) = suspects.into_iter().find_map(tab) {
            self.flaw(
                place,
                "a tab is used as indentation: YAML takes only blanks; replace it by blanks".into(),
            );
        } else if let Some(place) = suspects.into_iter().find_map(|line| {
            of(line).find("{{").map(|at| Place {
                line,
                column: at as u32 + 1,
            })
        }) {
            self.flaw(place, HELM.into());
        } else {
            let what = error.info();
            let hint = if what.contains("nesting") || what.contains("recursion") {
                "; no Headworks object is nested so deeply"
            } else if what.contains("mapping values are not allowed") {
                "; is a \": \" in a text that needs quotes?"
            } else {
                ""
            };
            self.flaw(place, format!("not YAML: {what}{hint}"));
        }
        line
    }
}

/// A map with what `<<` brings and the map itself doesn't have.
fn closed(mut node: Node, merged: Vec<(Key, Node)>, names: &BTreeSet<String>) -> Node {
    if let Content::Map(entries) = &mut node.content {
        let mut seen = names.clone();
        entries.extend(
            merged
                .into_iter()
                .filter(|(key, _)| seen.insert(key.name.clone())),
        );
    }
    node
}

fn merge(node: Node) -> Vec<(Key, Node)> {
    match node.content {
        Content::Map(entries) => entries,
        Content::List(items) => items.into_iter().flat_map(merge).collect(),
        _ => Vec::new(),
    }
}

fn size(node: &Node) -> usize {
    let below: usize = match &node.content {
        Content::List(items) => items.iter().map(size).sum(),
        Content::Map(entries) => entries.iter().map(|(_, value)| 1 + size(value)).sum(),
        _ => 0,
    };
    1 + below
}
