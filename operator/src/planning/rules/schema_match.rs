//! Checks of a stream's contract: whether it has the fields that a rule asks for. Pure; no record is looked at, since the contract in
//! force holds each of them to it.

use std::{collections::BTreeMap, str::FromStr};

use headworks_crds::{QualityCheck, QualityRuleSpec, SchemaCheck, SpecFault};
use headworks_plan::Contract;
use headworks_sql::{schema::Schema, types::DataType};

use super::expressions::column;

/// How a contract stands to a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matched {
    /// What the contract lacks, or has besides; none: it is as the check asks.
    pub lacks: Option<String>,
}

/// The checks of a rule that are about the contract, by their names.
pub fn of(spec: &QualityRuleSpec, contract: &Contract) -> BTreeMap<String, Matched> {
    // Of a contract that is none, everything is said elsewhere.
    let Ok(schema) = Schema::from_contract(contract) else {
        return BTreeMap::new();
    };
    let checks = spec.checks.iter().enumerate();
    let found = checks.filter_map(|(index, check)| {
        let lacks = lacks(check.schema.as_ref()?, &schema);
        Some((check.called(index), Matched { lacks }))
    });
    found.collect()
}

/// The checks that fail as the contract is now, each with its place. No fault of the rule: it says what ought to be.
pub fn failing(spec: &QualityRuleSpec, contract: &Contract) -> Vec<SpecFault> {
    let found = of(spec, contract);
    let checks = spec.checks.iter().enumerate();
    let failing = checks.filter_map(|(index, check)| {
        let lacks = found.get(&check.called(index))?.lacks.as_ref()?;
        let message = format!(
            "fails as the contract of DataStream {} is now: {lacks}",
            spec.stream
        );
        check.schema.as_ref()?;
        Some(SpecFault::at(&format!("checks[{index}].schema"), message))
    });
    failing.collect()
}

/// The first thing in which a contract isn't as a check asks, in words; none: it is.
pub fn lacks(check: &SchemaCheck, schema: &Schema) -> Option<String> {
    for asked in &check.columns {
        let Ok(found) = column(schema, "schema", &asked.name) else {
            return Some(format!("no {}", asked.name));
        };
        let wanted = asked.type_.as_deref().map(DataType::from_str);
        if let Some(Ok(wanted)) = wanted
            && wanted != found.data_type
        {
            return Some(format!("{} is {}", asked.name, found.data_type));
        }
    }
    let top = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    if check.exact {
        let asked: Vec<String> = check.columns.iter().map(|c| top(&c.name)).collect();
        let mut there = schema.columns.iter().map(|column| column.name.as_str());
        if let Some(besides) = there.find(|name| !asked.iter().any(|one| one == name)) {
            return Some(format!("{besides} besides"));
        }
    }
    if check.ordered {
        let mut at = 0;
        for asked in &check.columns {
            let place = schema.columns.iter().position(|c| c.name == asked.name);
            let place = place.unwrap_or_default();
            if place < at {
                return Some(format!("{} stands earlier", asked.name));
            }
            at = place;
        }
    }
    None
}

/// What is wrong with a check whatever the contract is: a type that is none, a name that stands twice.
pub fn own_faults(check: &QualityCheck, index: usize) -> Vec<SpecFault> {
    let columns = check.schema.iter().flat_map(|of| &of.columns).enumerate();
    let mut names: Vec<&str> = Vec::new();
    let mut faults = Vec::new();
    for (at, column) in columns {
        let place = |field: &str| format!("checks[{index}].schema.columns[{at}].{field}");
        if let Some(text) = &column.type_
            && let Err(error) = DataType::from_str(text)
        {
            faults.push(SpecFault::at(&place("type"), error.to_string()));
        }
        if names.contains(&column.name.as_str()) {
            let message = format!("\"{}\" stands there already", column.name);
            faults.push(SpecFault::at(&place("name"), message));
        }
        names.push(&column.name);
    }
    faults
}

#[cfg(test)]
mod tests {
    use headworks_plan::Field;
    use serde_json::{Value, json};

    use super::*;

    fn lacks_of(check: Value) -> Option<String> {
        let field = |name: &str, data_type: &str| Field::new(name, data_type, true);
        let contract = Contract {
            fields: vec![
                field("id", "string"),
                field("amount", "decimal(12,2)"),
                field("customer", "struct<mail string, age int>"),
            ],
            ..Contract::default()
        };
        let check = json!([{"name": "c", "schema": check}]);
        let spec = QualityRuleSpec::new("orders", serde_json::from_value(check).unwrap());
        of(&spec, &contract).remove("c").unwrap().lacks
    }

    #[test]
    fn a_contract_has_what_is_asked_for_or_it_is_said_what_it_lacks() {
        let id = json!({"name": "id"});
        let amount = json!({"name": "amount", "type": "DECIMAL(12, 2)"});
        let mail = json!({"name": "customer.mail", "type": "string"});
        for (check, lacks) in [
            (json!({"columns": [id, amount, mail]}), None),
            (json!({"columns": [amount, id], "exact": false}), None),
            (json!({"columns": [id, amount, mail], "exact": true}), None),
            (
                json!({"columns": [id, amount], "exact": true}),
                Some("customer besides"),
            ),
            (json!({"columns": [{"name": "coupon"}]}), Some("no coupon")),
            (
                json!({"columns": [{"name": "customer.name"}]}),
                Some("no customer.name"),
            ),
            (
                json!({"columns": [{"name": "amount", "type": "decimal(12,3)"}]}),
                Some("amount is decimal(12,2)"),
            ),
            (
                json!({"columns": [id, {"name": "customer"}], "ordered": true}),
                None,
            ),
            (
                json!({"columns": [amount, id], "ordered": true}),
                Some("id stands earlier"),
            ),
        ] {
            assert_eq!(lacks_of(check.clone()).as_deref(), lacks, "{check}");
        }
    }
}
