//! A union of several types as a struct: a field for each of them, of which a value has one.
//!
//! A field is named as Avro's own JSON names a branch, by its type, but without the namespace: `int`, `string`, `Order`.
//! Kafka Connect's and Confluent's SQL do the same.

use std::collections::HashMap;

use super::schema::{Avro, Id, Kind};

/// Most types of a union that is a column. Each value takes a place for every one of them.
pub const MAX_BRANCHES: usize = 64;

/// A union's branches that aren't null, each with the name of its field; `None`: it is no union, or has one such branch
/// at most. Where two of them would have one name, each has its full name, with `_` for its dots.
pub fn branches(avro: &Avro, id: Id) -> Option<Vec<(Id, String)>> {
    let Kind::Union(all) = &avro.node(id).kind else {
        return None;
    };
    let others: Vec<Id> = all
        .iter()
        .copied()
        .filter(|id| !matches!(avro.node(*id).kind, Kind::Null))
        .collect();
    if others.len() < 2 {
        return None;
    }
    let words: Vec<&str> = others.iter().map(|id| avro.node(*id).kind.word()).collect();
    let short = |word: &str| word.rsplit('.').next().unwrap_or_default().to_owned();
    let mut times: HashMap<String, usize> = HashMap::new();
    for word in &words {
        *times.entry(short(word)).or_default() += 1;
    }
    let name = |(id, word): (&Id, &&str)| {
        let alone = short(word);
        let name = match times.get(&alone) {
            Some(1) => alone,
            _ => word.replace('.', "_"),
        };
        (*id, name)
    };
    Some(others.iter().zip(&words).map(name).collect())
}
