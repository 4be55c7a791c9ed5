//! `headworks impact` over files, as a gate of a pull request calls it.

// All of this is test: a helper may fail it as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::Command;

/// Exit code and all that was said.
fn impact(arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_headworks"))
        .arg("impact")
        .args(arguments)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/impact"))
        .env_remove("KUBECONFIG")
        .output()
        .unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    (output.status.code().unwrap(), text)
}

fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} should be in: {text}");
    }
}

#[test]
fn a_field_that_goes_breaks_its_readers_and_names_the_owners() {
    let (code, text) = impact(&["-f", "change/orders.yaml", "--base", "base"]);
    assert_eq!(code, 1, "{text}");
    says(
        &text,
        &[
            "DataStream shop/orders: compared with the base, change ",
            "  amount: is removed\n  total: is new (decimal(12,2), may be null)\n  compatibility Backward: refused\n",
            "add to its metadata: annotations: {headworks.dev/allow-breaking: \"",
            "\nbreaks\n  Pipeline shop/big\n    spec.sql line 1, column ",
            "unknown column \"amount\"",
            "\nalters\n  Source shop/orders-http\n    amount: is removed\n",
            "\nowners\n  team-checkout: shop/orders\n  team-sales: shop/big-orders\n",
        ],
    );
    // It reads another column, and isn't hit.
    assert!(!text.contains("shop/ids"), "{text}");
}

#[test]
fn readers_that_change_with_their_stream_are_not_broken() {
    let (code, text) = impact(&["-f", "change", "--base", "base"]);
    // The change itself is still refused.
    assert_eq!(code, 1, "{text}");
    says(&text, &["compatibility Backward: refused"]);
    assert!(!text.contains("breaks\n"), "{text}");
}

#[test]
fn a_label_is_followed_to_the_end_and_breaks_nothing() {
    let (code, text) = impact(&["-f", "label.yaml", "--base", "base"]);
    assert_eq!(code, 0, "{text}");
    says(
        &text,
        &[
            "  order_id: gains label secret\n  coupon: is new (string, may be null)\n  compatibility Backward: accepted\n",
            "  Pipeline shop/big\n    result column order_id: gains label secret (from orders.order_id)\n",
            "  Pipeline shop/ids\n    result column order_id: gains label secret (from orders.order_id)\n",
            "  DataStream shop/big-orders\n    order_id: gains label secret\n",
            "  AccessGrant shop/bi-big\n    client bi/app reads big-orders\n    order_id: gains label secret\n",
        ],
    );
}

#[test]
fn what_does_not_change_is_told_so_and_json_is_for_programs() {
    let (code, text) = impact(&["-f", "base", "--base", "base"]);
    assert_eq!((code, text.as_str()), (0, "no contract changes\n"));
    let (code, text) = impact(&["-f", "change/orders.yaml", "--base", "base", "-o", "json"]);
    assert_eq!(code, 1);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["breaks"], true);
    assert_eq!(value["changes"][0]["change"].as_str().unwrap().len(), 16);
    assert_eq!(value["items"][0]["effect"], "broken");
}

#[test]
fn an_input_that_is_wrong_or_away_ends_with_its_own_code() {
    assert_eq!(impact(&["-f", "nowhere.yaml", "--base", "base"]).0, 3);
    assert_eq!(impact(&["--base", "base"]).0, 2);
}

#[test]
fn a_pipeline_that_changes_alone_is_followed_too() {
    let (code, text) = impact(&["-f", "pipeline.yaml", "--base", "base"]);
    assert_eq!(code, 0, "{text}");
    says(
        &text,
        &[
            "no contract changes\n\nalters\n",
            "  Pipeline shop/big\n    result column buyer: loses label pii\n",
            "  DataStream shop/big-orders\n    buyer: loses label pii\n",
            "  AccessGrant shop/bi-big\n    client bi/app reads big-orders\n",
        ],
    );
}

#[test]
fn a_stream_that_the_base_has_not_got_is_named() {
    let folder = std::env::temp_dir().join(format!("headworks-impact-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("orders.yaml");
    let text = "apiVersion: headworks.dev/v1alpha1\nkind: DataStream\nmetadata: {name: orders}\nspec: {schema: [{name: order_id, type: string}]}\n";
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    // Meant for shop, and looked for in default.
    let (code, text) = impact(&["-f", file, "--base", "base"]);
    assert_eq!(code, 0, "{text}");
    says(
        &text,
        &["DataStream default/orders isn't in the base: it is new"],
    );
    let (code, text) = impact(&["-f", file, "--base", "base", "-n", "shop"]);
    assert_eq!(code, 1, "{text}");
    assert!(!text.contains("isn't in the base"), "{text}");
    std::fs::remove_dir_all(&folder).unwrap();
}
