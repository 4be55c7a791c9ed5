//! Definitions of earlier contracts that a plan holds, so that pods read old records without the registry.

use std::collections::BTreeSet;

use headworks_plan::{Definition, KnownSchema};

use crate::contract::revision::Revision;

/// Contracts back from the one in force whose definitions a plan holds.
const KNOWN: i32 = 10;
/// Text of earlier definitions that a plan holds for a stream, in bytes; those beyond are asked from the registry.
const KNOWN_BYTES: usize = 128 << 10;

/// The last contracts' definitions with their ids, from contracts that come newest first.
fn near(
    force: &Revision,
    contracts: impl Iterator<Item = Revision>,
) -> impl Iterator<Item = (i32, Definition, Vec<u32>)> {
    contracts.filter_map(|accepted| {
        let near = accepted.version <= force.version
            && accepted.version > force.version.saturating_sub(KNOWN)
            && accepted.topic == force.topic;
        let definition = accepted.contract.definition.filter(|_| near)?;
        Some((accepted.version, definition, accepted.schema_ids))
    })
}

/// Definitions of the last contracts, by the ids that they have had: what a pod reads old records with while the
/// registry is away. Without the one in force under its present `id`, which stands in the contract.
///
/// By contracts' numbers, not by which of their ConfigMaps are there still: removing an old one changes no plan.
pub fn known(
    force: &Revision,
    id: u32,
    contracts: impl Iterator<Item = Revision>,
) -> Vec<KnownSchema> {
    let mut seen = BTreeSet::from([id]);
    let mut room = KNOWN_BYTES;
    let mut known = Vec::new();
    for (version, definition, mut ids) in near(force, contracts) {
        // One that was given meanwhile may or may not stand there yet.
        if version == force.version {
            ids.clone_from(&force.schema_ids);
        }
        for id in ids.into_iter().rev() {
            if definition.bytes() <= room && seen.insert(id) {
                room -= definition.bytes();
                known.push(KnownSchema {
                    id,
                    schema: definition.schema.clone(),
                    references: definition.references.clone(),
                });
            }
        }
    }
    known
}

/// Definitions of the contracts before the one in force, newest first, for records that carry no ids.
pub fn earlier(force: &Revision, contracts: impl Iterator<Item = Revision>) -> Vec<Definition> {
    let mut room = KNOWN_BYTES;
    let mut all: Vec<Definition> = force.contract.definition.iter().cloned().collect();
    for (_, definition, _) in near(force, contracts) {
        if definition.bytes() <= room && !all.contains(&definition) {
            room -= definition.bytes();
            all.push(definition);
        }
    }
    // The first is the one in force.
    all.split_off(1.min(all.len()))
}

#[cfg(test)]
mod tests {
    use headworks_plan::{Contract, Field, Format, ReferencedSchema};

    use super::*;

    fn accepted(version: i32, text: &str, ids: &[u32]) -> Revision {
        Revision {
            version,
            contract: Contract {
                fields: vec![Field {
                    name: "id".into(),
                    type_: "string".into(),
                    nullable: false,
                    labels: vec![],
                }],
                format: Format::Avro,
                definition: Some(Definition::new(text)),
                ..Contract::default()
            },
            topic: "shop.orders".into(),
            platform: "default".into(),
            kept: vec![],
            schema_ids: ids.to_vec(),
            compatibility: None,
            used: vec![],
        }
    }

    fn ids(known: &[KnownSchema]) -> Vec<u32> {
        known.iter().map(|k| k.id).collect()
    }

    #[test]
    fn a_plan_holds_the_last_definitions_by_every_id_they_had() {
        let force = accepted(12, "v12", &[20, 25]);
        let contracts = [
            accepted(13, "v13", &[31]),
            force.clone(),
            accepted(11, "v11", &[19]),
            accepted(10, "v10", &[]),
            accepted(3, "v3", &[7, 19]),
            accepted(2, "v2", &[6]),
        ];
        let known = known(&force, 25, contracts.clone().into_iter());
        // Not a newer one, not the one in force under its present id, not those too far back; of one id the newest.
        assert_eq!(ids(&known), [20, 19, 7]);
        assert_eq!(known[1].schema, "v11");
        let earlier = earlier(&force, contracts.into_iter());
        let texts: Vec<&str> = earlier.iter().map(|d| d.schema.as_str()).collect();
        assert_eq!(texts, ["v11", "v10", "v3"]);
    }

    #[test]
    fn old_definitions_come_with_the_texts_that_they_need() {
        let needing = |version: i32, text: &str| {
            let mut accepted = accepted(version, "same", &[version.unsigned_abs()]);
            let definition = accepted.contract.definition.as_mut().unwrap();
            definition.references = vec![ReferencedSchema {
                name: "geo.Address".into(),
                text: text.into(),
            }];
            accepted
        };
        let force = needing(3, "now");
        let contracts = [force.clone(), needing(2, "was"), needing(1, "was")];
        let known = known(&force, 3, contracts.clone().into_iter());
        assert_eq!(ids(&known), [2, 1]);
        assert_eq!(known[0].references[0].text, "was");
        let earlier = earlier(&force, contracts.into_iter());
        assert_eq!(earlier.len(), 1);
        assert_eq!(earlier[0].references[0].text, "was");
    }

    #[test]
    fn removing_an_old_contract_changes_no_plan() {
        let force = accepted(12, "v12", &[12]);
        let of = |oldest: i32| {
            let contracts = (oldest..=12)
                .rev()
                .map(|n| accepted(n, &format!("v{n}"), &[n.unsigned_abs()]));
            known(&force, 12, contracts)
        };
        assert_eq!(of(1), of(3));
    }

    #[test]
    fn what_a_plan_holds_is_bounded() {
        let force = accepted(9, "now", &[9]);
        let large = "x".repeat(KNOWN_BYTES / 2);
        let contracts = (1..9)
            .rev()
            .map(|n| accepted(n, &large, &[n.unsigned_abs()]));
        assert_eq!(ids(&known(&force, 9, contracts)), [8, 7]);
    }
}
