use headworks_plan::Field;

use super::*;

/// Streams, each with its fields and their labels, and who writes them.
#[derive(Default)]
struct World {
    streams: BTreeMap<String, (Contract, DataStreamStatus)>,
    writers: BTreeMap<String, Vec<Writer>>,
}

impl StreamLookup for World {
    fn stream(&self, name: &str) -> Option<(Contract, DataStreamStatus)> {
        self.streams.get(name).cloned()
    }

    fn writers(&self, stream: &str) -> Vec<Writer> {
        self.writers.get(stream).cloned().unwrap_or_default()
    }
}

fn contract(fields: &[(&str, &str)]) -> Contract {
    let field = |(name, label): &(&str, &str)| Field {
        name: (*name).to_owned(),
        type_: "string".into(),
        nullable: true,
        labels: label.split_whitespace().map(str::to_owned).collect(),
    };
    Contract {
        fields: fields.iter().map(field).collect(),
        ..Contract::default()
    }
}

impl World {
    fn has(&mut self, name: &str, fields: &[(&str, &str)]) {
        let status = self.streams.remove(name).map(|(_, status)| status);
        let stream = (contract(fields), status.unwrap_or_default());
        self.streams.insert(name.to_owned(), stream);
    }

    fn writes(&mut self, pipeline: &str, queries: &[&str], stream: &str) {
        let writers = self.writers.entry(stream.to_owned()).or_default();
        writers.retain(|writer| writer.name != pipeline);
        if !queries.is_empty() {
            writers.push(Writer {
                name: pipeline.to_owned(),
                queries: queries.iter().map(|q| (*q).to_owned()).collect(),
            });
        }
    }

    /// Reconciles a stream; what it shows then.
    fn shows(&mut self, name: &str) -> String {
        let (contract, mut status) = self.streams[name].clone();
        propagate(self, name, &contract, &mut status);
        let shown: Vec<String> = by_field(&status.labels)
            .into_iter()
            .map(|(field, labels)| {
                let labels: Vec<String> = labels.into_iter().collect();
                format!("{field}:{}", labels.join("+"))
            })
            .collect();
        self.streams.insert(name.to_owned(), (contract, status));
        shown.join(" ")
    }
}

fn shop() -> World {
    let mut world = World::default();
    world.has("customers", &[("id", ""), ("mail", "pii")]);
    world.has("big", &[("id", ""), ("who", "")]);
    world.writes("p", &["SELECT id, mail AS who FROM customers"], "big");
    assert_eq!(world.shows("customers"), "mail:pii");
    assert_eq!(world.shows("big"), "who:pii");
    world
}

#[test]
fn a_label_goes_with_the_one_it_came_from() {
    let mut world = shop();
    world.has("customers", &[("id", "secret"), ("mail", "")]);
    assert_eq!(world.shows("customers"), "id:secret");
    assert_eq!(world.shows("big"), "id:secret");
    assert_eq!(world.shows("big"), "id:secret", "and stays so");
}

#[test]
fn what_a_deleted_pipeline_has_written_keeps_its_label_until_somebody_takes_it_away() {
    let mut world = shop();
    world.writes("p", &[], "big");
    assert_eq!(world.shows("big"), "who:pii");
    assert_eq!(world.shows("big"), "who:pii");
    // Not by another Pipeline that brings none, nor by a label that is taken away elsewhere.
    world.writes("q", &["SELECT id, 'x' AS who FROM customers"], "big");
    world.has("customers", &[("id", ""), ("mail", "")]);
    assert_eq!(world.shows("customers"), "");
    assert_eq!(world.shows("big"), "who:pii");
    // By hand, at the field.
    world.has("big", &[("id", ""), ("who", "pii")]);
    assert_eq!(world.shows("big"), "who:pii");
    world.has("big", &[("id", ""), ("who", "")]);
    assert_eq!(world.shows("big"), "");
}

#[test]
fn an_edit_that_is_held_back_or_wrong_takes_no_label_away() {
    let held = "SELECT id, 'x' AS who FROM customers";
    let runs = "SELECT id, mail AS who FROM customers";
    for edited in [held, "SELECT id, nothing AS who FROM customers", "SELECT"] {
        let mut world = shop();
        world.writes("p", &[edited, runs], "big");
        assert_eq!(world.shows("big"), "who:pii", "{edited}");
        // What its pods go on with brings labels that come later, too.
        world.has("customers", &[("id", ""), ("mail", "pii secret")]);
        world.shows("customers");
        assert_eq!(world.shows("big"), "who:pii+secret", "{edited}");
        // Its pods have the new plan, and the old records are there still.
        world.writes("p", &[held], "big");
        assert_eq!(world.shows("big"), "who:pii+secret", "{edited}");
        assert_eq!(world.shows("big"), "who:pii+secret", "{edited}");
    }
}

#[test]
fn an_edit_that_brings_the_same_label_keeps_it_no_longer_than_its_origin() {
    let mut world = shop();
    world.writes(
        "p",
        &["SELECT id, UPPER(mail) AS who FROM customers"],
        "big",
    );
    assert_eq!(world.shows("big"), "who:pii");
    world.has("customers", &[("id", ""), ("mail", "")]);
    world.shows("customers");
    assert_eq!(world.shows("big"), "");
}

#[test]
fn while_an_input_is_away_the_labels_stay() {
    let mut world = shop();
    world.streams.remove("customers");
    assert_eq!(world.shows("big"), "who:pii");
}

#[test]
fn a_field_that_leaves_the_contract_is_in_the_records_still() {
    let mut world = shop();
    world.has("customers", &[("id", "")]);
    assert_eq!(world.shows("customers"), "mail:pii");
    assert_eq!(world.shows("customers"), "mail:pii");
}

#[test]
fn what_no_status_shows_yet_is_known_through_any_number_of_pipelines_and_rings_end() {
    let mut world = World::default();
    world.has("a", &[("x", "pii")]);
    world.has("b", &[("x", "")]);
    world.has("c", &[("x", "")]);
    world.writes("p", &["SELECT x FROM a"], "b");
    world.writes("q", &["SELECT x FROM b"], "c");
    world.writes("back", &["SELECT x FROM c"], "b");
    let labels = effective(&world, "c", &mut BTreeMap::new());
    assert!(has(&labels, "x", "pii"), "{labels:?}");
    assert!(effective(&world, "nobody", &mut BTreeMap::new()).is_empty());
}
