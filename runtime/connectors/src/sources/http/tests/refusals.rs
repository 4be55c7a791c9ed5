//! What is turned away, and with which words.

use std::sync::atomic::Ordering;
use std::time::Duration;

use headworks_plan::{Problem, Reason};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};

use super::{Cause, JSON, LINES, answer, config, error, source, until};

#[tokio::test]
async fn what_is_not_a_post_of_json_to_the_path_is_turned_away() {
    let source = source(config());
    for path in ["/", "/v1/orders/", "/v1/order", "/v1/orders/x"] {
        let lost = answer(
            source
                .request(Method::POST, path)
                .header(CONTENT_TYPE, JSON)
                .body("[]"),
        )
        .await;
        assert_eq!(
            (lost.code, error(&lost)),
            (404, "nothing is here; post records to /v1/orders")
        );
    }
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let response = source.request(method, "/v1/orders").send().await.unwrap();
        assert_eq!(
            (
                response.status().as_u16(),
                response.headers()["allow"].to_str().unwrap()
            ),
            (405, "POST")
        );
    }
    for content_type in [
        "text/plain",
        "application/xml",
        "application/json; charset=latin1",
        "",
    ] {
        let answer = source.post(content_type, "[]").await;
        assert_eq!(answer.code, 415, "{content_type}");
        assert!(
            error(&answer).contains("application/json")
                && error(&answer).contains("application/x-ndjson")
        );
    }
    let none = answer(source.request(Method::POST, "/v1/orders").body("[]")).await;
    assert_eq!(none.code, 415);
    assert_eq!(
        source.post(JSON, r#"{"id":"a","amount":1}"#).await.code,
        202
    );
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused_announced_or_not() {
    let source = source(config());
    let announced = source.post(JSON, format!("[{}]", " ".repeat(10_000))).await;
    assert_eq!(announced.code, 413);
    assert!(
        error(&announced).contains("above 10000 bytes")
            && error(&announced).contains("spec.http.maxBodyBytes")
    );
    let chunks = (0..200).map(|_| Ok::<_, std::io::Error>(" ".repeat(100)));
    let streamed = source
        .post(
            JSON,
            reqwest::Body::wrap_stream(futures::stream::iter(chunks)),
        )
        .await;
    assert_eq!(streamed.code, 413);
    let records = source.post(LINES, "1\n".repeat(1_001)).await;
    assert_eq!(
        (records.code, error(&records)),
        (
            413,
            "more than 1000 records in one request; send them in several"
        )
    );
}

#[tokio::test]
async fn a_token_is_needed_where_the_plan_asks_for_one() {
    let dir = std::env::temp_dir().join(format!("headworks-bearer-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("token"), "s3cret\n").unwrap();
    let mut config = config();
    config.bearer_dir = Some(dir.clone());
    let source = source(config);
    let with = |token: &'static str| {
        answer(
            source
                .request(Method::POST, "/v1/orders")
                .header(CONTENT_TYPE, JSON)
                .header(AUTHORIZATION, token)
                .body("[]"),
        )
    };
    let none = source.post(JSON, "[]").await;
    assert_eq!(
        (none.code, none.challenge.as_deref()),
        (401, Some("Bearer realm=\"headworks\""))
    );
    let wrong = with("Bearer guess").await;
    assert_eq!(
        (wrong.code, wrong.challenge.as_deref()),
        (
            401,
            Some("Bearer realm=\"headworks\", error=\"invalid_token\"")
        )
    );
    assert_eq!(with("Bearer s3cret").await.code, 202);
    std::fs::remove_dir_all(&dir).unwrap();
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let shut = with("Bearer s3cret").await;
    assert_eq!((shut.code, shut.retry_after.as_deref()), (503, Some("5")));
    let problems = source.service.problems();
    assert_eq!(
        (
            problems.len(),
            problems[0].reason.as_str(),
            problems[0].fatal
        ),
        (1, "SecretMissing", true)
    );
    assert!(!problems[0].message.contains("s3cret"));
}

#[tokio::test]
async fn kafka_down_is_503_and_nothing_is_claimed() {
    let source = source(config());
    let record = r#"[{"id":"a","amount":1},{"id":"b","amount":2}]"#;
    let problem = Problem::new(Reason::KafkaUnavailable, "no broker", false);
    *source.kafka.problem.lock().unwrap() = Some(problem);
    let known = source.post(JSON, record).await;
    assert_eq!((known.code, known.retry_after.as_deref()), (503, Some("5")));
    assert_eq!(source.kafka.calls.load(Ordering::SeqCst), 0);
    *source.kafka.problem.lock().unwrap() = None;

    *source.kafka.fails.lock().unwrap() = Some((
        0,
        Cause::Unavailable {
            message: "timed out".into(),
        },
    ));
    let sudden = source.post(JSON, record).await;
    assert_eq!(
        (
            sudden.code,
            sudden.retry_after.as_deref(),
            &sudden.body["acknowledged"]
        ),
        (503, Some("5"), &0.into())
    );
    *source.kafka.fails.lock().unwrap() = Some((
        1,
        Cause::Unavailable {
            message: "timed out".into(),
        },
    ));
    let half = source.post(JSON, record).await;
    assert_eq!((half.code, &half.body["acknowledged"]), (503, &1.into()));
    assert_eq!(
        error(&half),
        "Kafka did not acknowledge: timed out; 1 records of this request are in Kafka, and a retry writes them again"
    );
    *source.kafka.fails.lock().unwrap() = Some((0, Cause::TooLarge));
    assert_eq!(source.post(JSON, record).await.code, 413);

    *source.kafka.fails.lock().unwrap() = None;
    assert_eq!(source.post(JSON, record).await.code, 202);
    assert_eq!(source.status.report().figures.records_out, 2);
}

#[tokio::test]
async fn no_answer_comes_before_the_acknowledgement() {
    let source = source(config());
    source.kafka.holds.store(true, Ordering::SeqCst);
    let waiting = source.post(JSON, r#"{"id":"a","amount":1}"#);
    tokio::pin!(waiting);
    assert!(
        tokio::time::timeout(Duration::from_millis(200), &mut waiting)
            .await
            .is_err()
    );
    source.kafka.holds.store(false, Ordering::SeqCst);
    assert_eq!(waiting.await.code, 202);
}

#[tokio::test]
async fn without_a_certificate_nothing_is_served_and_the_problem_says_why() {
    let mut config = config();
    config.tls_dir = Some("/nonexistent/headworks".into());
    let source = source(config);
    until(|| source.listening.problem().is_some()).await;
    let problem = source.listening.problem().unwrap();
    assert_eq!(
        (problem.reason.as_str(), problem.fatal),
        ("SecretMissing", true)
    );
    assert!(problem.message.contains("/nonexistent/headworks"));
    // The drain doesn't wait for a certificate.
    let begun = std::time::Instant::now();
    source.listening.drain(Duration::from_millis(100)).await;
    assert!(begun.elapsed() < Duration::from_secs(3));
}
