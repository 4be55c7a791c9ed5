//! Bodies with a Content-Encoding.

use std::io::Write;
use std::sync::atomic::Ordering;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::Method;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};

use super::{Answer, JSON, LINES, Source, answer, config, dead_letters, error, source};

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

async fn post(
    source: &Source,
    encoding: &str,
    content_type: &str,
    body: impl Into<reqwest::Body>,
) -> Answer {
    let request = source.request(Method::POST, "/v1/orders");
    let request = request.header(CONTENT_TYPE, content_type);
    answer(request.header(CONTENT_ENCODING, encoding).body(body)).await
}

#[tokio::test]
async fn a_packed_body_is_taken_as_what_it_inflates_to() {
    let source = source(dead_letters());
    let line = |id: usize| format!("{{\"id\":\"{id}\",\"amount\":1}}\n");
    let members = [gzip(line(1).as_bytes()), gzip(b""), gzip(b"{\"id\":2}\n")].concat();
    for encoding in ["gzip", "GZIP", "x-gzip"] {
        let taken = post(&source, encoding, LINES, members.clone()).await;
        assert_eq!((taken.code, &taken.body["deadLettered"]), (202, &1.into()));
    }
    let plain = post(&source, "identity", LINES, line(3)).await;
    assert_eq!(plain.code, 202);
    let kept = source.kept();
    assert_eq!(kept[0], r#"1 = {"id":"1","amount":"1.00","note":null}"#);
    assert_eq!(kept[1], r#"dead: {"id":2}"#, "a dead letter isn't packed");
    assert_eq!(kept.len(), 7);
    // In pieces, and of unknown length.
    let pieces: Vec<_> = members
        .chunks(5)
        .map(|piece| Ok::<_, std::io::Error>(piece.to_vec()))
        .collect();
    let stream = reqwest::Body::wrap_stream(futures::stream::iter(pieces));
    assert_eq!(post(&source, "gzip", LINES, stream).await.code, 202);
}

#[tokio::test]
async fn an_empty_body_is_empty_packed_or_not() {
    let source = source(config());
    assert_eq!(post(&source, "gzip", LINES, gzip(b"")).await.code, 202);
    let empty = post(&source, "gzip", JSON, gzip(b"")).await;
    assert_eq!(empty.code, 400);
    assert!(error(&empty).contains("the body is empty"));
    let nothing = post(&source, "gzip", LINES, "").await;
    assert_eq!(nothing.code, 400);
    assert!(error(&nothing).contains("isn't whole gzip"));
}

#[tokio::test]
async fn what_is_cut_off_or_packed_otherwise_is_turned_away() {
    let source = source(config());
    let whole = gzip(br#"{"id":"a","amount":1}"#);
    let cut = post(&source, "gzip", JSON, whole[..whole.len() - 9].to_vec()).await;
    assert_eq!(cut.code, 400);
    assert!(error(&cut).contains("cut off or damaged"));
    let plain = post(&source, "gzip", JSON, r#"{"id":"a","amount":1}"#).await;
    assert_eq!(plain.code, 400);
    for encoding in ["br", "deflate", "gzip, gzip", "zstd", ""] {
        let request = source.request(Method::POST, "/v1/orders");
        let request = request.header(CONTENT_TYPE, JSON).body(whole.clone());
        let refused = request
            .header(CONTENT_ENCODING, encoding)
            .send()
            .await
            .unwrap();
        assert_eq!(
            (
                refused.status().as_u16(),
                &refused.headers()[ACCEPT_ENCODING]
            ),
            (415, &"gzip".parse().unwrap()),
            "{encoding}"
        );
        let said = refused.text().await.unwrap();
        assert!(said.contains("this source takes gzip"), "{said}");
    }
    assert_eq!(source.kafka.calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn the_limit_holds_for_what_comes_out_and_for_what_comes_in() {
    let source = source(config());
    // 9 kB of gzip, 9 MB of white space.
    let bomb = gzip(&vec![b' '; 9_000_000]);
    assert!(bomb.len() < 10_000);
    let refused = post(&source, "gzip", LINES, bomb).await;
    assert_eq!(refused.code, 413);
    assert!(error(&refused).contains("spec.http.maxBodyBytes"));
    // Nothing comes out of empty members, however many there are.
    let empty = post(&source, "gzip", LINES, gzip(b"").repeat(1_000)).await;
    assert_eq!(empty.code, 413);
    let exact = post(&source, "gzip", LINES, gzip(&vec![b' '; 10_000])).await;
    assert_eq!(exact.code, 202);
    assert_eq!(
        post(&source, "gzip", LINES, gzip(&vec![b' '; 10_001]))
            .await
            .code,
        413
    );
}
