//! A Source's spec by itself, beyond what its schema says. Pure: the command line asks the same.

use headworks_crds::{GenerateSource, SourceSpec, Template};
use headworks_plan as plan;

use crate::{connection::NeededSecret, retry::Error};

/// Checks that there is one way in, and that what it says goes together.
///
/// # Errors
/// `InvalidSpec`, with the place in the spec and the remedy.
pub fn check(spec: &SourceSpec) -> Result<(), Error> {
    match (&spec.http, &spec.generate) {
        (Some(_), None) => Ok(()),
        (None, Some(generate)) => template(generate, &spec.into).map(|_| ()),
        _ => Err(Error::stalled(
            "InvalidSpec",
            "spec: a Source needs exactly one way in: http or generate",
        )),
    }
}

/// The Secrets that the spec names.
pub fn secrets(spec: &SourceSpec) -> Vec<NeededSecret> {
    let http = spec.http.as_ref();
    let bearer = http.and_then(|h| h.auth.as_ref()?.bearer.as_ref());
    let token = bearer.map(|b| NeededSecret {
        name: b.secret.name.clone(),
        keys: vec![b.secret.key.clone()],
        purpose: "the bearer token, from spec.http.auth.bearer.secret".into(),
    });
    let certificate = http.and_then(|h| h.tls.as_ref()).map(|tls| NeededSecret {
        name: tls.secret_name.clone(),
        keys: vec!["tls.crt".into(), "tls.key".into()],
        purpose: "the certificate, from spec.http.tls.secretName".into(),
    });
    token.into_iter().chain(certificate).collect()
}

/// What made-up records are like. Where the spec doesn't say which of a template's records, the stream's name does.
///
/// # Errors
/// `InvalidSpec`, where neither says it, or where records are named without a template.
pub fn template(generate: &GenerateSource, into: &str) -> Result<Option<plan::Template>, Error> {
    let named = generate.records.map(plan::ShopRecords::from);
    let Some(Template::Shop) = generate.template else {
        if named.is_some() {
            return Err(Error::stalled(
                "InvalidSpec",
                "spec.generate.records: records are chosen from a template; add template: shop, or take records away for random values",
            ));
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
        return Err(Error::stalled(
            "InvalidSpec",
            format!(
                "spec.generate.records: template shop has clicks, orders, inventory and feedback, and stream {into} is named like none of them: say which of the four"
            ),
        ));
    };
    Ok(Some(plan::Template::Shop(records)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(generate: &Value, into: &str) -> Result<Option<plan::Template>, Error> {
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
            assert!(error.message().contains(word), "{word}: {error}");
        }
        let error = of(
            &json!({"recordsPerSecond": "1", "records": "orders"}),
            "orders",
        )
        .unwrap_err();
        assert!(error.message().contains("template: shop"), "{error}");
    }
}
