//! How much is held in memory of what others can make: objects and bytes, by namespace.
//!
//! A tenant that makes a hundred thousand labelled objects fills its own share, and nobody else's. What isn't held is no loss of
//! truth: where a store has no answer the API server is asked.

use std::collections::{HashMap, HashSet};

/// The most that is held of one kind and one namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Objects.
    pub objects: usize,
    /// Bytes.
    pub bytes: usize,
}

impl Bound {
    /// No bound.
    pub const NONE: Self = Self {
        objects: usize::MAX,
        bytes: usize::MAX,
    };
    /// Children: of some five thousand Pipelines or Sources with all their pods, or a thousand streams with ten contracts each.
    pub const CHILDREN: Self = Self {
        objects: 20_000,
        bytes: 64 << 20,
    };
}

/// Something isn't held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// True: the first of its namespace.
    pub first: bool,
}

/// What is held of one kind.
#[derive(Debug)]
pub struct Load {
    bound: Bound,
    held: HashMap<String, (usize, usize)>,
    full: HashSet<String>,
}

impl Load {
    /// Nothing yet.
    pub fn new(bound: Bound) -> Self {
        Self {
            bound,
            held: HashMap::new(),
            full: HashSet::new(),
        }
    }

    /// Takes one more, or another size of one that had `before` bytes.
    ///
    /// # Errors
    /// The namespace has its share.
    pub fn put(
        &mut self,
        namespace: &str,
        before: Option<usize>,
        size: usize,
    ) -> Result<(), Refusal> {
        let (objects, bytes) = self.held.get(namespace).copied().unwrap_or_default();
        let objects = objects + usize::from(before.is_none());
        let bytes = (bytes - before.unwrap_or(0)).saturating_add(size);
        if objects > self.bound.objects || bytes > self.bound.bytes {
            let first = self.full.insert(namespace.to_owned());
            return Err(Refusal { first });
        }
        self.held.insert(namespace.to_owned(), (objects, bytes));
        Ok(())
    }

    /// One is gone.
    pub fn take(&mut self, namespace: &str, size: usize) {
        let Some((objects, bytes)) = self.held.get_mut(namespace) else {
            return;
        };
        *objects = objects.saturating_sub(1);
        *bytes = bytes.saturating_sub(size);
        if *objects == 0 {
            self.held.remove(namespace);
        }
        self.full.remove(namespace);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_fills_its_own_share_and_nobody_elses() {
        let mut load = Load::new(Bound {
            objects: 3,
            bytes: 100,
        });
        let first = |first| Err(Refusal { first });
        for _ in 0..3 {
            assert_eq!(load.put("greedy", None, 10), Ok(()));
        }
        assert_eq!(load.put("greedy", None, 10), first(true));
        assert_eq!(load.put("greedy", None, 10), first(false), "said once");
        assert_eq!(load.put("shop", None, 90), Ok(()));
        assert_eq!(load.put("shop", None, 11), first(true), "bytes");
        // One that grows beyond is refused, too; the caller lets it go.
        assert_eq!(load.put("greedy", Some(10), 80), Ok(()));
        assert_eq!(load.put("greedy", Some(80), 81), first(false));
        load.take("greedy", 80);
        assert_eq!(load.put("greedy", None, 10), Ok(()));
    }
}
