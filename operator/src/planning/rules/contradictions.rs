//! Checks that no value can pass together: ranges and lengths that don't meet, accepted values of which none is left. Every record
//! with a value in that field would fail, whatever it holds.

use std::collections::BTreeMap;

use headworks_crds::{QualityCheck, QualityRuleSpec, SpecFault};
use headworks_plan::Contract;
use headworks_sql::schema::Schema;

use super::{Named, expressions, values::Value};

/// What checks let pass of one field, each with the check's number.
#[derive(Default)]
struct Field {
    /// (check, least, is that too little).
    least: Vec<(usize, Value, bool)>,
    /// (check, greatest, is that too much).
    most: Vec<(usize, Value, bool)>,
    shortest: Vec<(usize, i64)>,
    longest: Vec<(usize, i64)>,
    accepted: Vec<(usize, Vec<Value>)>,
    forbidden: Vec<(usize, Vec<Value>)>,
}

/// Two checks that contradict, by their numbers, and why.
type Contradiction = (usize, usize, &'static str);

/// What contradicts within a rule that is right otherwise.
pub fn of(spec: &QualityRuleSpec, schema: &Schema) -> Vec<SpecFault> {
    let places = spec.checks.iter().enumerate();
    let places = places.map(|(index, check)| (format!("checks[{index}]"), check));
    found(places, schema)
        .into_iter()
        .map(|(place, message)| SpecFault::at(&place, message))
        .collect()
}

/// What contradicts between two rules of a stream that judge the same records, in words; empty where nothing does.
pub fn between(one: Named<'_>, other: Named<'_>, contract: &Contract) -> Vec<String> {
    let same_records = one.spec.filter == other.spec.filter;
    let Ok(schema) = Schema::from_contract(contract) else {
        return Vec::new();
    };
    let alone = |rule: Named<'_>| super::plan(rule, contract).is_ok();
    if !same_records || !alone(one) || !alone(other) {
        return Vec::new();
    }
    let checks = |rule: Named<'_>| -> Vec<(String, QualityCheck)> {
        let all = rule.spec.checks.iter().enumerate();
        all.map(|(index, check)| {
            let place = format!("check {} of QualityRule {}", check.called(index), rule.name);
            (place, check.clone())
        })
        .collect()
    };
    let both: Vec<_> = checks(one).into_iter().chain(checks(other)).collect();
    let both = both.iter().map(|(place, check)| (place.clone(), check));
    found(both, &schema)
        .into_iter()
        .map(|(place, message)| format!("{place} {message}"))
        .collect()
}

/// Contradictions among checks, each at the later of them.
fn found<'a>(
    checks: impl Iterator<Item = (String, &'a QualityCheck)>,
    schema: &Schema,
) -> Vec<(String, String)> {
    let mut fields: BTreeMap<&str, Field> = BTreeMap::new();
    let mut places = Vec::new();
    for (number, (place, check)) in checks.enumerate() {
        places.push(place);
        let Some(name) = check.field() else { continue };
        fields.entry(name).or_default().note(number, check, schema);
    }
    let told = |(name, field): (&str, Field)| {
        let (one, other, why) = field.contradiction()?;
        let (first, second) = (places.get(one.min(other))?, places.get(one.max(other))?);
        let message = format!(
            "contradicts {first}: {why}, so every record with a value in {name} would fail; correct one of them"
        );
        Some((second.clone(), message))
    };
    fields.into_iter().filter_map(told).collect()
}

impl Field {
    fn note(&mut self, number: usize, check: &QualityCheck, schema: &Schema) {
        if let Some(range) = &check.range
            && let Ok((min, max)) = expressions::bounds(range, schema)
        {
            self.least
                .extend(min.map(|min| (number, min, range.min_exclusive)));
            self.most
                .extend(max.map(|max| (number, max, range.max_exclusive)));
        }
        if let Some(length) = &check.length {
            self.shortest.extend(length.min.map(|min| (number, min)));
            self.longest.extend(length.max.map(|max| (number, max)));
        }
        for (kind, values, into) in [
            ("accepted", &check.accepted, &mut self.accepted),
            ("forbidden", &check.forbidden, &mut self.forbidden),
        ] {
            if let Some(values) = values
                && let Ok(list) = expressions::list(kind, values, schema)
            {
                into.push((number, list));
            }
        }
    }

    /// The first contradiction.
    fn contradiction(&self) -> Option<Contradiction> {
        for (low, min, above) in &self.least {
            for (high, max, below) in &self.most {
                if min > max || (min == max && (*above || *below)) {
                    return Some((*low, *high, "no value lies in both ranges"));
                }
            }
        }
        for (low, min) in &self.shortest {
            for (high, max) in &self.longest {
                if min > max {
                    return Some((*low, *high, "no text has both lengths"));
                }
            }
        }
        let (first, values) = self.accepted.first()?;
        if values.iter().any(|value| self.passes(value)) {
            return None;
        }
        let numbers = [&self.shortest, &self.longest].into_iter().flatten();
        let ranges = [&self.least, &self.most].into_iter().flatten();
        let lists = [&self.accepted[1..], &self.forbidden[..]]
            .into_iter()
            .flatten();
        let mut others = (numbers.map(|one| one.0))
            .chain(ranges.map(|one| one.0))
            .chain(lists.map(|one| one.0));
        Some((
            *first,
            others.next()?,
            "none of the accepted values is left",
        ))
    }

    fn passes(&self, value: &Value) -> bool {
        let accepted = self.accepted.iter().all(|(_, list)| list.contains(value));
        let forbidden = self.forbidden.iter().any(|(_, list)| list.contains(value));
        let above =
            (self.least.iter()).all(|(_, min, open)| value > min || (!open && value == min));
        let below = (self.most.iter()).all(|(_, max, open)| value < max || (!open && value == max));
        let characters = match value {
            Value::Text(text) => i64::try_from(text.chars().count()).ok(),
            _ => None,
        };
        let long = |least: &(usize, i64)| characters.is_none_or(|count| count >= least.1);
        let short = |most: &(usize, i64)| characters.is_none_or(|count| count <= most.1);
        accepted
            && !forbidden
            && above
            && below
            && self.shortest.iter().all(long)
            && self.longest.iter().all(short)
    }
}
