//! The reference of all fields, as Markdown: what `kubectl explain` says, on one page.

use std::fmt::Write as _;

use serde_json::Value;

use crate::manifest;

const HEAD: &str = "# Reference of the kinds\n\n\
Made from `crds/src` by `make crds`. `kubectl explain pipelines.headworks.dev.spec --recursive` says the same on a cluster.\n\n\
Durations are whole numbers with `ms`, `s`, `m`, `h`, `d` or `w` (`100ms`, `7d`, `1d12h`). Quantities are numbers, with `k`, `M`, `G`, `T` or `Ki`, `Mi`, `Gi`, `Ti` if \
wanted (`20k`, `16Mi`).\n\n\
Short names are for typing; scripts should use the full ones, because other projects have kinds of the same name: `pipelines` (Tekton, Numaflow), `sources` and `src` \
(Knative's category).\n";

/// The whole page.
pub fn markdown() -> String {
    let mut page = String::from(HEAD);
    for crd in manifest::all() {
        let names = &crd.spec.names;
        let version = serde_json::to_value(&crd.spec.versions[0]).unwrap_or_default();
        let schema = &version["schema"]["openAPIV3Schema"];
        let short = match names.short_names.as_deref() {
            None | Some([]) => String::new(),
            Some(all) => format!(", short `{}`", all.join("`, `")),
        };
        let _ = write!(
            page,
            "\n## {}\n\n{}\n\n`{}.{}`{short}, {}.\n",
            names.kind,
            text(schema),
            names.plural,
            crd.spec.group,
            if crd.spec.scope == "Namespaced" {
                "in a namespace"
            } else {
                "for the whole cluster"
            },
        );
        for part in ["spec", "status"] {
            let _ = write!(
                page,
                "\n### {}: {part}\n\n| field | type | what |\n|---|---|---|\n",
                names.kind
            );
            rows(&mut page, "", &schema["properties"][part]);
        }
    }
    page
}

fn rows(page: &mut String, path: &str, schema: &Value) {
    let required = |name: &str| {
        schema["required"]
            .as_array()
            .is_some_and(|all| all.iter().any(|n| n == name))
    };
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let list = if field["type"] == "array" { "[]" } else { "" };
        let path = format!("{path}{name}{list}");
        let default = match &field["default"] {
            Value::Null if required(name) => ", required".to_owned(),
            Value::Null => String::new(),
            Value::String(text) => format!(", default `{text}`"),
            other => format!(", default `{other}`"),
        };
        let _ = writeln!(
            page,
            "| `{path}` | {}{default} | {} |",
            kind_of(field),
            text(field)
        );
        rows(page, &format!("{path}."), field);
        rows(page, &format!("{path}."), &field["items"]);
    }
}

fn kind_of(field: &Value) -> String {
    if let Some(words) = field["enum"].as_array() {
        return words
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(" \\| ");
    }
    match field["type"].as_str() {
        Some("array") => match field["items"]["type"].as_str() {
            Some("object") | None => "list".to_owned(),
            Some(of) => format!("list of {of}s"),
        },
        Some("object") if field["additionalProperties"].is_object() => "map".to_owned(),
        Some("string") if field["format"] == "duration" => "duration".to_owned(),
        Some("string") if field["format"] == "date-time" => "time".to_owned(),
        Some(of) => of.to_owned(),
        None => "quantity".to_owned(),
    }
}

fn text(schema: &Value) -> String {
    schema["description"]
        .as_str()
        .unwrap_or_default()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}
