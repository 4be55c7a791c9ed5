//! Specs that are made in Rust are those that the API server makes of YAML that says no more.

use headworks_crds::{DataStreamSpec, Field, PipelineSpec, Target};
use serde_json::json;

#[test]
fn a_spec_made_in_rust_has_the_defaults_of_one_that_is_read() {
    let read: DataStreamSpec =
        serde_json::from_value(json!({"schema": [{"name": "id", "type": "string"}]})).unwrap();
    let field = Field {
        name: "id".into(),
        type_: "string".into(),
        nullable: false,
        description: None,
        labels: Vec::new(),
    };
    assert_eq!(DataStreamSpec::new(vec![field]), read);

    let read: PipelineSpec =
        serde_json::from_value(json!({"sql": "SELECT 1", "to": [{"stream": "a"}]})).unwrap();
    let target = Target {
        stream: Some("a".into()),
        ..Target::default()
    };
    assert_eq!(PipelineSpec::new("SELECT 1".into(), vec![target]), read);
}
