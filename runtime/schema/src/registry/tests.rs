#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use headworks_plan::Format;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Entry, Registry, RegistryError};

/// Answers one request after the other with `answers`, and gives the requests' first lines and bodies.
async fn served(
    answers: Vec<(u16, &'static str)>,
) -> (Registry, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let mut seen = Vec::new();
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            let mut some = [0; 4096];
            loop {
                let read = stream.read(&mut some).await.unwrap();
                request.extend_from_slice(&some[..read]);
                let text = String::from_utf8_lossy(&request).into_owned();
                if let Some((head, body)) = text.split_once("\r\n\r\n") {
                    let length = head.split("Content-Length: ").nth(1).unwrap();
                    if body.len() >= length.split("\r\n").next().unwrap().parse().unwrap() {
                        seen.push(format!("{} {body}", head.lines().next().unwrap()));
                        break;
                    }
                }
            }
            let answer = format!(
                "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        seen
    });
    let registry = Registry::new(&format!("http://127.0.0.1:{port}/api"), None).unwrap();
    (registry, task)
}

#[tokio::test]
async fn a_schema_is_registered_and_found() {
    let (registry, task) = served(vec![
        (200, r#"{"id":7}"#),
        (200, r#"{"subject":"s","id":7,"version":2,"schema":"x"}"#),
        (200, r#"{"schema":"\"int\"","schemaType":"AVRO"}"#),
        (200, r#"{"compatibility":"NONE"}"#),
    ])
    .await;
    let entry = registry
        .register("shop.orders/é-value", Format::Protobuf, "x", &[])
        .await;
    assert_eq!(
        entry,
        Ok(Entry {
            id: 7,
            version: Some(2)
        })
    );
    assert_eq!(registry.schema_by_id(7).await, Ok("\"int\"".into()));
    assert_eq!(registry.allow_any_change("s").await, Ok(()));
    insta::assert_snapshot!(task.await.unwrap().join("\n"), @r#"
    POST /api/subjects/shop.orders%2F%C3%A9-value/versions HTTP/1.1 {"schema":"x","schemaType":"PROTOBUF"}
    POST /api/subjects/shop.orders%2F%C3%A9-value HTTP/1.1 {"schema":"x","schemaType":"PROTOBUF"}
    GET /api/schemas/ids/7 HTTP/1.1 
    PUT /api/config/s HTTP/1.1 {"compatibility":"NONE"}
    "#);
}

#[tokio::test]
async fn a_failure_says_whether_trying_again_helps() {
    let (registry, _task) = served(vec![
        (404, r#"{"error_code":40403,"message":"Schema not found"}"#),
        (404, "<html>"),
        (503, "later"),
        (422, r#"{"error_code":42201,"message":"Invalid schema"}"#),
        (200, "<html>"),
    ])
    .await;
    let mut said = Vec::new();
    for _ in 0..5 {
        said.push(registry.schema_by_id(1).await.unwrap_err());
    }
    assert!(
        matches!(said[0], RegistryError::NotFound { .. }),
        "{said:?}"
    );
    assert!(
        matches!(said[1], RegistryError::Misconfigured { .. }),
        "{said:?}"
    );
    assert!(
        matches!(said[2], RegistryError::Unreachable { .. }),
        "{said:?}"
    );
    assert!(
        matches!(said[3], RegistryError::Refused { status: 422, .. }),
        "{said:?}"
    );
    assert!(
        matches!(said[4], RegistryError::Unreachable { .. }),
        "{said:?}"
    );
    // Nobody listens any more.
    let gone = Registry::new("http://127.0.0.1:1", None).unwrap();
    let error = gone.schema_by_id(1).await.unwrap_err();
    assert!(
        matches!(error, RegistryError::Unreachable { .. }),
        "{error}"
    );
}

/// No schema is so large, and asking again would bring the same.
#[tokio::test]
async fn an_answer_that_is_too_large_is_told_from_none() {
    let large = format!(r#"{{"schema":"{}"}}"#, "x".repeat(3 * 1024 * 1024));
    let (registry, _task) = served(vec![(200, Box::leak(large.into_boxed_str()))]).await;
    let error = registry.schema_by_id(1).await.unwrap_err();
    assert!(matches!(error, RegistryError::TooLarge { .. }), "{error}");
}

/// Each is asked for once, what a schema needs stands before it, and a ring has an end.
#[tokio::test]
async fn references_are_followed() {
    let (registry, task) = served(vec![
        (200, r#"{"schema":"main","references":[{"name":"b.proto","subject":"b","version":2},{"name":"c.proto","subject":"c/d","version":1}]}"#),
        (200, r#"{"schema":"B","references":[{"name":"c.proto","subject":"c/d","version":1}]}"#),
        (200, r#"{"schema":"C","references":[{"name":"b.proto","subject":"b","version":2}]}"#),
        (200, r#"{"schema":"lone","references":[{"name":"x","subject":"x","version":9}]}"#),
        (404, r#"{"error_code":40402,"message":"Version 9 not found"}"#),
    ])
    .await;
    let written = registry.schema_by_id(7).await.unwrap();
    let said: Vec<&str> = written.references.iter().map(|r| r.text.as_str()).collect();
    assert_eq!((written.text.as_str(), said), ("main", vec!["C", "B"]));
    let lost = registry.schema_by_id(8).await.unwrap_err().to_string();
    assert!(lost.contains("x, version 9, isn't there"), "{lost}");
    let asked = task.await.unwrap();
    assert_eq!(
        asked[1..3],
        [
            "GET /api/subjects/b/versions/2 HTTP/1.1 ",
            "GET /api/subjects/c%2Fd/versions/1 HTTP/1.1 "
        ]
    );
}

#[tokio::test]
async fn references_have_a_bound() {
    let answers = (0..=crate::limits::MAX_REFERENCES).map(|i| {
        let text = format!(
            r#"{{"schema":"s","references":[{{"name":"n","subject":"s","version":{i}}}]}}"#
        );
        (200, &*Box::leak(text.into_boxed_str()))
    });
    let (registry, _task) = served(answers.collect()).await;
    let error = registry.schema_by_id(1).await.unwrap_err();
    assert!(error.to_string().contains("more than 64"), "{error}");
}

#[tokio::test]
async fn a_schema_is_registered_with_those_that_it_needs() {
    let (registry, task) = served(vec![(200, r#"{"id":8,"version":1}"#)]).await;
    let money = super::Reference {
        name: "common/money.proto".into(),
        subject: "m".into(),
        version: 3,
    };
    let entry = registry
        .register("s", Format::Protobuf, "x", &[money])
        .await
        .unwrap();
    assert_eq!(entry.id, 8);
    insta::assert_snapshot!(task.await.unwrap().join("\n"), @r#"POST /api/subjects/s/versions HTTP/1.1 {"references":[{"name":"common/money.proto","subject":"m","version":3}],"schema":"x","schemaType":"PROTOBUF"}"#);
}
