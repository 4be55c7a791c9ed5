//! What these tests read over a connection of their own is what kubectl shows.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use headworks_e2e::bare;
use serde_json::Value;

#[test]
fn objects_and_lists_are_those_that_kubectl_prints() {
    let Some((kubectl, _)) = bare() else { return };
    let shown = |arguments: &[&str]| -> Value {
        let all = [&["get", "-o", "json", "--show-managed-fields"], arguments].concat();
        serde_json::from_str(&kubectl.must(&all)).unwrap()
    };
    for (kind, name, namespace) in [
        ("namespaces", "default", ""),
        ("services", "kubernetes", "default"),
        ("configmaps", "kube-root-ca.crt", "kube-system"),
    ] {
        let read = kubectl.get(kind, name, namespace).expect(name);
        assert_eq!(read, shown(&[kind, name, "-n", namespace]));
        assert!(kubectl.get(kind, "nobody", namespace).is_none());
    }
    let names = |list: &[Value]| -> Vec<String> {
        let names = list.iter().map(|o| o["metadata"]["name"].to_string());
        names.collect()
    };
    let label = "component=apiserver";
    let printed = shown(&["services", "-n", "default", "-l", label]);
    let read = kubectl.list("services", "default", label);
    assert_eq!(names(&read), names(printed["items"].as_array().unwrap()));
    assert_eq!(names(&read), ["\"kubernetes\""]);
    assert!(kubectl.list("services", "default", "no=such").is_empty());
}
