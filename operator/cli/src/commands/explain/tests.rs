use headworks_operator::contract;
use headworks_operator::contract::revision::{Revision, config_map};
use headworks_operator::names::Key;
use serde_json::json;

use super::*;

#[test]
fn a_pipeline_is_explained_by_the_contract_in_force() {
    let stream = |type_: &str| -> DataStream {
        serde_json::from_value(json!({
            "apiVersion": "headworks.dev/v1alpha1", "kind": "DataStream", "metadata": {"name": "a", "namespace": "shop"},
            "spec": {"schema": [{"name": "n", "type": type_}]},
            "status": {"contract": {"version": 1, "fingerprint": "x"}, "labels": [{"label": "pii", "fields": ["n"]}]},
        }))
        .unwrap()
    };
    let accepted = Revision {
        version: 1,
        contract: contract::contract(&stream("bigint").spec),
        topic: "shop.a".into(),
        platform: "default".into(),
        kept: vec![],
        schema_ids: vec![],
        compatibility: None,
        used: vec![],
    };
    let map = config_map(&Key::new("DataStream", "shop", "a"), &accepted).unwrap();
    let pipeline = json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "Pipeline",
        "metadata": {"name": "p", "namespace": "shop"}, "spec": {"sql": "SELECT n FROM a", "to": [{"stream": "b"}]}});
    let refused = stream("int");
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [pipeline, item("DataStream", &refused)]});
    let file = File {
        name: "cluster".into(),
        text: list.to_string(),
        built: None,
    };
    let options = Options {
        namespace: "shop".into(),
        allow_missing: true,
    };
    let type_of = |contracts: &[ConfigMap]| {
        let mut checked = validate::check(std::slice::from_ref(&file), &options);
        prevail(
            &mut checked,
            "shop",
            std::slice::from_ref(&refused),
            contracts,
        );
        checked.world.arrive();
        let (object, pipeline) = checked.world.pipelines().next().unwrap();
        let planned = validate::plan(&checked.world, object, pipeline).unwrap();
        let explanation = explanation(&checked.world, object, pipeline, &planned);
        let column = explanation.columns.into_iter().next().unwrap();
        assert_eq!(column.labels, ["pii"]);
        column.type_
    };
    assert_eq!(type_of(&[map]), "bigint");
    assert_eq!(type_of(&[]), "int");
}
