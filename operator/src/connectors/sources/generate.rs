//! Records that are made up.

use headworks_crds::{GenerateSource, Quantity, SourceSpec, Template};
use headworks_plan::{self as plan, SourceConnection};

use super::{Owner, Pods, SourceConnector, SourceKind};

pub(super) const KIND: SourceKind = SourceKind {
    field: "generate",
    reasons: &[],
    of,
};

fn of(spec: &SourceSpec) -> Option<&dyn SourceConnector> {
    spec.generate.as_ref().map(|it| it as &dyn SourceConnector)
}

impl SourceConnector for GenerateSource {
    fn check(&self, into: &str) -> Result<(), String> {
        template(self, into).map(|_| ())
    }

    /// The group belongs to the name, so that the sequence goes on after a delete and re-create.
    fn connect(&self, owner: &Owner<'_>) -> Result<SourceConnection, String> {
        let small = |percent: i32| u8::try_from(percent.clamp(0, 100)).unwrap_or(0);
        let disorder = self.disorder.as_ref();
        let (installation, key) = (owner.installation, owner.key);
        Ok(SourceConnection::Generate(plan::GenerateSource {
            records_per_second: self.records_per_second.value(),
            seed: u64::try_from(self.seed).unwrap_or(0),
            template: template(self, owner.into)?,
            disorder_percent: disorder.map_or(0, |d| small(d.percent)),
            disorder_by_ms: disorder.map_or(0, |d| d.by.millis()),
            faulty_percent: small(self.faulty_percent),
            limit: self.limit.as_ref().map(Quantity::value),
            group: format!(
                "headworks.{installation}.{}.{}.generate",
                key.namespace, key.name
            ),
        }))
    }

    /// Its records are one sequence.
    fn pods(&self) -> Pods {
        Pods::One
    }

    fn suspended(&self) -> &'static str {
        "spec.suspend is true: no records are made"
    }
}

/// What made-up records are like. Where the spec doesn't say which of a template's records, the stream's name does.
///
/// # Errors
/// Neither says it, or records are named without a template.
fn template(generate: &GenerateSource, into: &str) -> Result<Option<plan::Template>, String> {
    let named = generate.records.map(plan::ShopRecords::from);
    let Some(Template::Shop) = generate.template else {
        if named.is_some() {
            return Err(
                "spec.generate.records: records are chosen from a template; add template: shop, or take records away for random values".to_owned(),
            );
        }
        return Ok(None);
    };
    let records = named.or(match into {
        "clicks" => Some(plan::ShopRecords::Clicks),
        "orders" => Some(plan::ShopRecords::Orders),
        "inventory" => Some(plan::ShopRecords::Inventory),
        "feedback" => Some(plan::ShopRecords::Feedback),
        _ => None,
    });
    let Some(records) = records else {
        return Err(format!(
            "spec.generate.records: template shop has clicks, orders, inventory and feedback, and stream {into} is named like none of them: say which of the four"
        ));
    };
    Ok(Some(plan::Template::Shop(records)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(generate: &Value, into: &str) -> Result<Option<plan::Template>, String> {
        template(&serde_json::from_value(generate.clone()).unwrap(), into)
    }

    #[test]
    fn the_stream_s_name_chooses_where_the_spec_does_not() {
        let shop = json!({"recordsPerSecond": "1", "template": "shop"});
        assert_eq!(
            of(&shop, "feedback").unwrap(),
            Some(plan::Template::Shop(plan::ShopRecords::Feedback))
        );
        let orders = json!({"recordsPerSecond": "1", "template": "shop", "records": "orders"});
        assert_eq!(
            of(&orders, "feedback").unwrap(),
            Some(plan::Template::Shop(plan::ShopRecords::Orders))
        );
        assert_eq!(of(&json!({"recordsPerSecond": "1"}), "x").unwrap(), None);
    }

    #[test]
    fn what_cannot_be_chosen_is_said_with_the_choice() {
        let shop = json!({"recordsPerSecond": "1", "template": "shop"});
        let error = of(&shop, "events").unwrap_err();
        for word in [
            "spec.generate.records",
            "clicks, orders, inventory and feedback",
            "events",
        ] {
            assert!(error.contains(word), "{word}: {error}");
        }
        let error = of(
            &json!({"recordsPerSecond": "1", "records": "orders"}),
            "orders",
        )
        .unwrap_err();
        assert!(error.contains("template: shop"), "{error}");
    }
}
