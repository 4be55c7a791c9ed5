//! Random values of a contract's types.

use std::fmt::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use headworks_plan::Contract;
use headworks_schema::protobuf::Known;
use headworks_sql::schema::{Schema, SchemaError};
use headworks_sql::types::DataType;

use super::instant;
use super::limits::{Limit, Limits, within};
use super::seeded_rng::{Purpose, SeededRng};

/// So many keys there are.
const KEYS: u64 = 1_000;
/// Of a hundred values that may be null so many are.
const NULLS: u8 = 10;
const WORDS: [&str; 16] = [
    "amber", "birch", "cedar", "delta", "ember", "flint", "grove", "heron", "iris", "juniper",
    "kelp", "lotus", "maple", "nettle", "opal", "pine",
];

/// Makes records of one contract.
#[derive(Clone, Debug)]
pub(super) struct Random {
    fields: Vec<Node>,
}

/// A value to be made, and what it is in the contract.
#[derive(Clone, Debug)]
struct Node {
    /// `"name":`; empty for elements.
    prefix: String,
    data_type: DataType,
    nullable: bool,
    role: Role,
    /// What its definition allows.
    limit: Option<Limit>,
    /// Which of the definition's oneofs it is in.
    oneof: Option<String>,
    /// Of a map whose keys are numbers (true) or booleans (false).
    keys: Option<bool>,
    /// Fields of a struct, or the one element.
    children: Vec<Node>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Plain,
    /// A part of the key, by its place in it.
    Key(u64),
    EventTime,
}

impl Random {
    /// # Errors
    /// The contract is no contract.
    pub(super) fn new(contract: &Contract) -> Result<Random, SchemaError> {
        let schema = Schema::from_contract(contract)?;
        let around = Around {
            contract,
            limits: &Limits::of(contract),
        };
        let fields = schema.columns.iter();
        let fields = fields.map(|c| {
            Node::new(
                (&c.name, &c.data_type, c.nullable),
                Some(&c.name),
                &c.name,
                around,
            )
        });
        Ok(Random {
            fields: fields.collect(),
        })
    }

    /// Appends record `number`, which happened at `at_ms`.
    pub(super) fn write(&self, seed: u64, number: u64, at_ms: i64, out: &mut String) {
        let mut rng = SeededRng::new(seed, number, Purpose::Content);
        let key = Key {
            seed,
            number: rng.below(KEYS),
        };
        let mut throw = Throw { rng, key, at_ms };
        throw.object(&self.fields, out);
    }
}

/// What nodes are made by.
#[derive(Clone, Copy)]
struct Around<'a> {
    contract: &'a Contract,
    limits: &'a Limits,
}

impl Node {
    /// `path`: the dotted way to it, where only structs are on it. `at`: its place, also in lists and maps.
    fn new(
        (name, data_type, nullable): (&str, &DataType, bool),
        path: Option<&str>,
        at: &str,
        around: Around<'_>,
    ) -> Node {
        let contract = around.contract;
        let key = contract.key.iter().position(|key| Some(&**key) == path);
        let event_time = contract.event_time.as_ref();
        let role = match key {
            _ if event_time.is_some_and(|time| Some(&*time.field) == path) => Role::EventTime,
            Some(place) => Role::Key(place as u64),
            None => Role::Plain,
        };
        let children: Vec<Node> = match data_type {
            DataType::Struct(fields) => fields
                .iter()
                .map(|f| {
                    let path = path.map(|path| format!("{path}.{}", f.name));
                    Node::new(
                        (&f.name, &f.data_type, f.nullable),
                        path.as_deref(),
                        &within(at, &f.name),
                        around,
                    )
                })
                .collect(),
            DataType::Array(item) | DataType::Map(item) => {
                let at = format!("{at}[]");
                vec![Node::new(("", item, false), None, &at, around)]
            }
            _ => Vec::new(),
        };
        // Above a key or the event time nothing may be null either.
        let needed = role != Role::Plain || children.iter().any(Node::is_needed);
        Node {
            prefix: format!("{}:", serde_json::Value::from(name)),
            data_type: data_type.clone(),
            nullable: nullable && !needed && !around.limits.chosen.contains(at),
            role,
            limit: around.limits.values.get(at).cloned(),
            oneof: around.limits.oneofs.get(at).cloned(),
            keys: around.limits.keys.get(&format!("{at}[]")).copied(),
            children,
        }
    }

    fn is_needed(&self) -> bool {
        self.role != Role::Plain || self.children.iter().any(Node::is_needed)
    }
}

/// Which of the keys a record has.
#[derive(Clone, Copy, Debug)]
struct Key {
    seed: u64,
    number: u64,
}

struct Throw {
    rng: SeededRng,
    key: Key,
    at_ms: i64,
}

impl Throw {
    fn object(&mut self, fields: &[Node], out: &mut String) {
        out.push('{');
        let mut chosen: Vec<(&str, usize)> = Vec::new();
        for (i, field) in fields.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            out.push_str(&field.prefix);
            match &field.oneof {
                Some(oneof) if self.member(fields, oneof, &mut chosen) != i => {
                    out.push_str("null");
                }
                _ => self.field(field, out),
            }
        }
        out.push('}');
    }

    /// Which of the fields that are in a oneof is set.
    fn member<'a>(
        &mut self,
        fields: &'a [Node],
        oneof: &'a str,
        chosen: &mut Vec<(&'a str, usize)>,
    ) -> usize {
        if let Some((_, member)) = chosen.iter().find(|(of, _)| *of == oneof) {
            return *member;
        }
        let in_it = |i: &usize| fields[*i].oneof.as_deref() == Some(oneof);
        let members: Vec<usize> = (0..fields.len()).filter(in_it).collect();
        let needed = members.iter().find(|i| fields[**i].is_needed());
        let member = needed
            .copied()
            .unwrap_or_else(|| members[self.rng.below(members.len() as u64) as usize]);
        chosen.push((oneof, member));
        member
    }

    fn field(&mut self, node: &Node, out: &mut String) {
        if node.nullable && self.rng.percent(NULLS) {
            out.push_str("null");
            return;
        }
        match node.role {
            Role::EventTime => {
                let _ = write!(out, "\"{}\"", instant(self.at_ms));
            }
            Role::Key(place) => {
                let key = self.key.number * 64 + place;
                let rng = SeededRng::new(self.key.seed, key, Purpose::Key);
                let own = std::mem::replace(&mut self.rng, rng);
                self.value(node, out);
                self.rng = own;
            }
            Role::Plain => self.value(node, out),
        }
    }

    fn value(&mut self, node: &Node, out: &mut String) {
        let rng = &mut self.rng;
        if let Some(limit) = &node.limit {
            limited(limit, rng, out);
            return;
        }
        let _ = match &node.data_type {
            DataType::Boolean => write!(out, "{}", rng.percent(50)),
            DataType::Int | DataType::BigInt => write!(out, "{}", rng.below(1_000_000)),
            DataType::Float | DataType::Double => {
                write!(out, "{}.{:02}", rng.below(1_000), rng.below(100))
            }
            DataType::Decimal { precision, scale } => {
                let whole = 10_u64.pow(u32::from((precision - scale).min(6)));
                let digits = usize::from((*scale).min(6));
                let fraction = rng.below(10_u64.pow(digits as u32));
                match digits {
                    0 => write!(out, "\"{}\"", rng.below(whole)),
                    _ => write!(out, "\"{}.{fraction:0digits$}\"", rng.below(whole)),
                }
            }
            DataType::String => write!(out, "\"{}-{}\"", rng.of(&WORDS), rng.below(1_000)),
            DataType::Bytes => {
                write!(out, "\"{}\"", STANDARD.encode(rng.any().to_be_bytes()))
            }
            DataType::Date => write!(out, "\"{}\"", date(rng)),
            DataType::Time => write!(out, "\"{}\"", time(rng)),
            DataType::Timestamp(_) => write!(out, "\"{}T{}\"", date(rng), time(rng)),
            DataType::TimestampLtz(_) => write!(out, "\"{}T{}Z\"", date(rng), time(rng)),
            DataType::Array(_) => {
                out.push('[');
                for i in 0..self.rng.below(4) {
                    if i > 0 {
                        out.push(',');
                    }
                    self.field(&node.children[0], out);
                }
                out.push(']');
                Ok(())
            }
            DataType::Map(_) => {
                out.push('{');
                let most = if node.keys == Some(false) { 3 } else { 4 };
                for i in 0..self.rng.below(most) {
                    let comma = if i > 0 { "," } else { "" };
                    let _ = match node.keys {
                        None => write!(out, "{comma}\"{}\":", WORDS[i as usize]),
                        Some(true) => write!(out, "{comma}\"{i}\":"),
                        Some(false) => write!(out, "{comma}\"{}\":", i > 0),
                    };
                    self.field(&node.children[0], out);
                }
                out.push('}');
                Ok(())
            }
            DataType::Struct(_) => {
                self.object(&node.children, out);
                Ok(())
            }
        };
    }
}

/// A value that its definition allows.
fn limited(limit: &Limit, rng: &mut SeededRng, out: &mut String) {
    let _ = match limit {
        Limit::Symbols(symbols) => {
            let symbol = rng.below(symbols.len() as u64) as usize;
            write!(out, "{}", serde_json::Value::from(symbols[symbol].as_str()))
        }
        Limit::Bytes(size) => {
            let mut bytes = Vec::with_capacity(size + 8);
            while bytes.len() < *size {
                bytes.extend_from_slice(&rng.any().to_be_bytes());
            }
            write!(out, "\"{}\"", STANDARD.encode(&bytes[..*size]))
        }
        Limit::Present => write!(out, "true"),
        Limit::Json(Known::List) => write!(out, "\"[{}]\"", rng.below(1_000)),
        Limit::Json(Known::Value) => write!(out, "\"{}\"", rng.below(1_000)),
        Limit::Json(_) => write!(out, "\"{{\\\"n\\\":{}}}\"", rng.below(1_000)),
        Limit::Uuid => {
            // Of version 4, as its bits say (RFC 9562).
            let (a, b) = (rng.any(), rng.any());
            write!(
                out,
                "\"{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}\"",
                a >> 32,
                a >> 16 & 0xffff,
                a & 0xfff,
                b >> 48 & 0x3fff | 0x8000,
                b & 0xffff_ffff_ffff
            )
        }
    };
}

fn date(rng: &mut SeededRng) -> String {
    format!("2025-{:02}-{:02}", 1 + rng.below(12), 1 + rng.below(28))
}

fn time(rng: &mut SeededRng) -> String {
    format!(
        "{:02}:{:02}:{:02}",
        rng.below(24),
        rng.below(60),
        rng.below(60)
    )
}
