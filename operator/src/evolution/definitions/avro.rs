//! Avro: what its schema resolution makes of two schemas whose SQL types fit each other.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use headworks_schema::avro::union::branches;
use headworks_schema::avro::{Avro, Id, Kind, Logical};

use super::{DEEPEST, Fault, join};

/// Paths at which a number of one kind on the wire means something else.
pub(super) fn misread(written: &Avro, read: &Avro) -> Vec<String> {
    let of = |avro: &Avro| {
        let mut all: BTreeMap<String, (Wire, Logical)> = BTreeMap::new();
        walk(avro, avro.root(), "", 0, &mut |path, found| {
            if let Found::Leaf(wire, logical) = found {
                all.insert(path.to_owned(), (wire, logical));
            }
        });
        all
    };
    let read = of(read);
    let changed = of(written).into_iter().filter(|(path, (wire, was))| {
        read.get(path)
            .is_some_and(|(now_wire, now)| wire == now_wire && differ(*was, *now))
    });
    changed.map(|(path, _)| path).collect()
}

/// Whether the same bytes mean something else.
fn differ(was: Logical, now: Logical) -> bool {
    match (was, now) {
        (Logical::Decimal { scale: a, .. }, Logical::Decimal { scale: b, .. }) => a != b,
        // Of text, whether it is checked to be a UUID.
        (Logical::Uuid | Logical::None, Logical::Uuid | Logical::None) => false,
        _ => was != now,
    }
}

/// Kinds that Avro doesn't resolve to each other ("Schema Resolution"), although both are one SQL type.
pub(super) fn kinds(written: &Avro, read: &Avro, faults: &mut Vec<Fault>) {
    let of = |avro: &Avro| {
        let mut all: BTreeMap<String, Wire> = BTreeMap::new();
        walk(avro, avro.root(), "", 0, &mut |path, found| {
            if let Found::Leaf(wire, _) = found {
                all.insert(path.to_owned(), wire);
            }
        });
        all
    };
    let read = of(read);
    for (path, was) in of(written) {
        let Some(now) = read.get(&path) else {
            continue;
        };
        if !was.resolves(*now) {
            let message = format!(
                "field \"{path}\" changes from Avro's {was} to {now}, and no reader can resolve that: keep it, and add a new field beside it"
            );
            faults.push(Fault {
                field: path,
                message,
            });
        }
    }
}

/// Symbols that are told of one enum.
const MOST_TOLD: usize = 5;

/// Symbols that the reader's enum hasn't got, and has no default for.
///
/// A short text can put one enum with thousands of symbols in thousands of places: nothing is copied for a place, and
/// two enums are compared once.
pub(super) fn symbols(written: &Avro, read: &Avro, faults: &mut Vec<Fault>) {
    let of = |avro: &Avro| {
        let mut all: BTreeMap<String, Id> = BTreeMap::new();
        walk(avro, avro.root(), "", 0, &mut |path, found| {
            if let Found::Enum(id) = found {
                all.insert(path.to_owned(), id);
            }
        });
        all
    };
    let places = of(read);
    let mut compared: HashMap<(Id, Id), Option<String>> = HashMap::new();
    for (path, was) in of(written) {
        let Some(now) = places.get(&path) else {
            continue;
        };
        let lost = compared
            .entry((was, *now))
            .or_insert_with(|| lost(&written.node(was).kind, &read.node(*now).kind));
        if let Some(lost) = lost {
            let message = format!(
                "field \"{path}\": an enum that is to be read hasn't got {lost}, which is written: keep the symbols, or give the enum a default"
            );
            faults.push(Fault {
                field: path,
                message,
            });
        }
    }
}

/// The symbols that the reader's enum can't make anything of, in words.
fn lost(written: &Kind, read: &Kind) -> Option<String> {
    let (
        Kind::Enum { symbols: was, .. },
        Kind::Enum {
            symbols: now,
            default: None,
            ..
        },
    ) = (written, read)
    else {
        return None;
    };
    let known: HashSet<&str> = now.iter().map(String::as_str).collect();
    let all: Vec<&str> = was
        .iter()
        .map(String::as_str)
        .filter(|symbol| !known.contains(symbol))
        .collect();
    let told = all.iter().take(MOST_TOLD).copied().collect::<Vec<_>>();
    match all.len().saturating_sub(told.len()) {
        _ if all.is_empty() => None,
        0 => Some(told.join(", ")),
        more => Some(format!("{} and {more} more", told.join(", "))),
    }
}

/// What a value without parts is on Avro's wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed(usize),
    Enum,
}

impl Wire {
    fn of(kind: &Kind) -> Option<Wire> {
        Some(match kind {
            Kind::Boolean => Wire::Boolean,
            Kind::Int => Wire::Int,
            Kind::Long => Wire::Long,
            Kind::Float => Wire::Float,
            Kind::Double => Wire::Double,
            Kind::Bytes => Wire::Bytes,
            Kind::String => Wire::String,
            Kind::Fixed { size, .. } => Wire::Fixed(*size),
            Kind::Enum { .. } => Wire::Enum,
            Kind::Null | Kind::Array(_) | Kind::Map(_) | Kind::Union(_) | Kind::Record { .. } => {
                return None;
            }
        })
    }

    /// Whether Avro reads the one as the other.
    fn resolves(self, read: Wire) -> bool {
        use Wire as W;
        self == read
            || matches!(
                (self, read),
                (W::Int, W::Long | W::Float | W::Double)
                    | (W::Long, W::Float | W::Double)
                    | (W::Float, W::Double)
                    | (W::String, W::Bytes)
                    | (W::Bytes, W::String)
            )
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wire::Fixed(size) => write!(f, "fixed({size})"),
            other => f.write_str(&format!("{other:?}").to_lowercase()),
        }
    }
}

pub(super) enum Found {
    Default,
    Enum(Id),
    /// Of several types.
    Union(Id),
    Record,
    Leaf(Wire, Logical),
}

/// Types of a union that the reader's hasn't got, and unions that are no union for the other: nobody could resolve them,
/// although a union of several types and a record may be the same struct.
pub(super) fn unions(written: &Avro, read: &Avro, faults: &mut Vec<Fault>) {
    let has = |avro: &Avro| (0..avro.nodes().len()).any(|id| branches(avro, id).is_some());
    if !has(written) && !has(read) {
        return;
    }
    let of = |avro: &Avro| {
        let mut all: BTreeMap<String, Option<Vec<String>>> = BTreeMap::new();
        walk(avro, avro.root(), "", 0, &mut |path, found| {
            let names = match found {
                Found::Union(id) => {
                    let names = branches(avro, id).unwrap_or_default().into_iter();
                    Some(names.map(|(_, name)| name).collect())
                }
                Found::Record => None,
                _ => return,
            };
            all.insert(path.to_owned(), names);
        });
        all
    };
    let read = of(read);
    for (path, was) in of(written) {
        let message = match (&was, read.get(&path)) {
            (Some(_), Some(None)) => format!(
                "field \"{path}\" changes from a union to a record, and no reader can resolve that: keep it, and add a new field beside it"
            ),
            (None, Some(Some(_))) => format!(
                "field \"{path}\" changes from a record to a union, and no reader can resolve that: keep it, and add a new field beside it"
            ),
            (Some(was), Some(Some(now))) => match was.iter().find(|name| !now.contains(name)) {
                Some(name) => format!(
                    "field \"{path}\": a union that is to be read hasn't got the type {name}, which is written: keep it"
                ),
                None => continue,
            },
            _ => continue,
        };
        faults.push(Fault {
            field: path,
            message,
        });
    }
}

/// Calls `on` for each field with a default, each enum, union of several types and record, and each value without parts, by its path.
pub(super) fn walk(
    avro: &Avro,
    id: Id,
    path: &str,
    depth: usize,
    on: &mut impl FnMut(&str, Found),
) {
    if depth > DEEPEST {
        return;
    }
    let node = avro.node(id);
    if let Some(wire) = Wire::of(&node.kind) {
        on(path, Found::Leaf(wire, node.logical));
    }
    match &node.kind {
        Kind::Record { fields, .. } => {
            on(path, Found::Record);
            for field in fields {
                let path = join(path, &field.name);
                if field.default.is_some() {
                    on(&path, Found::Default);
                }
                walk(avro, field.node, &path, depth + 1, on);
            }
        }
        Kind::Array(inner) | Kind::Map(inner) => {
            walk(avro, *inner, &format!("{path}[]"), depth + 1, on);
        }
        // Of several types each is a field of its own.
        Kind::Union(all) => match branches(avro, id) {
            Some(branches) => {
                on(path, Found::Union(id));
                for (branch, name) in branches {
                    walk(avro, branch, &join(path, &name), depth + 1, on);
                }
            }
            None => {
                for branch in all {
                    walk(avro, *branch, path, depth + 1, on);
                }
            }
        },
        Kind::Enum { .. } => on(path, Found::Enum(id)),
        _ => {}
    }
}
