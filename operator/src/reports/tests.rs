use std::net::SocketAddr;

use headworks_plan::{Figures, ReportedReason};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;

fn key() -> Key {
    Key::new("Pipeline", "shop", "p")
}

fn answer(pod: &str, rate: f64, reason: Option<&str>) -> Answer {
    let problems = reason
        .map(|r| Problem {
            reason: ReportedReason::read(r.into()),
            message: String::new(),
            fatal: true,
        })
        .into_iter()
        .collect();
    let report = Report {
        problems,
        figures: Figures {
            rate,
            ..Figures::default()
        },
        ..Report::default()
    };
    (pod.into(), key(), Some(report))
}

fn here(answers: &[Answer]) -> HashMap<String, Key> {
    let pods = answers.iter();
    pods.map(|(uid, key, _)| (uid.clone(), key.clone()))
        .collect()
}

fn take_in(reports: &Reports, answers: Vec<Answer>, now: Instant) -> usize {
    let here = here(&answers);
    reports.take_in(answers, &here, now).len()
}

#[test]
fn an_owner_is_woken_by_news_and_by_nothing_else() {
    let (reports, now) = (Reports::default(), Instant::now());
    let told = |answer: Answer| take_in(&reports, vec![answer], now);
    assert_eq!(told(answer("a", 0.0, None)), 1, "first figures");
    assert_eq!(told(answer("a", 0.0, None)), 0, "idle");
    assert_eq!(told(answer("a", 0.0, Some("DataLost"))), 1, "a problem");
    assert_eq!(told(("a".into(), key(), None)), 0, "silence is no news");
    assert_eq!(told(answer("a", 0.0, None)), 1, "healed");
}

#[test]
fn an_owner_is_silent_until_each_of_its_pods_has_answered() {
    let (reports, now) = (Reports::default(), Instant::now());
    assert!(reports.is_silent(&key()), "nobody has looked yet");
    let (a, b) = (answer("a", 0.0, None), answer("b", 0.0, None));
    let both = here(&[a.clone(), b.clone()]);
    reports.take_in(vec![a], &both, now);
    assert!(reports.is_silent(&key()) && !reports.is_silent(&Key::new("Source", "shop", "in")));
    reports.take_in(vec![b], &both, now);
    assert!(!reports.is_silent(&key()));
    reports.take_in(vec![("a".into(), key(), None)], &both, now);
    assert!(!reports.is_silent(&key()), "its last word counts");
}

#[test]
fn an_owner_is_told_when_its_store_s_version_becomes_known() {
    let (reports, now) = (Reports::default(), Instant::now());
    let round = |version: Option<&str>| {
        let report = Report {
            server_version: version.map(str::to_owned),
            ..Report::default()
        };
        let key = Key::new("DataStore", "shop", "warehouse");
        take_in(&reports, vec![("a".to_owned(), key, Some(report))], now)
    };
    round(None);
    assert_eq!(round(Some("15.8")), 1);
    assert_eq!(round(Some("15.8")), 0);
}

#[test]
fn figures_wait_for_a_token() {
    let now = Instant::now();
    let reports = Reports::limited(1.0, now);
    take_in(&reports, vec![answer("a", 1.0, None)], now);
    assert_eq!(take_in(&reports, vec![answer("a", 50.0, None)], now), 0);
    let later = now + Duration::from_secs(6);
    assert_eq!(take_in(&reports, vec![], later), 0, "the pod is gone");
    take_in(&reports, vec![answer("a", 50.0, None)], later);
    assert_eq!(reports.figures(&key()).unwrap().rate, 50);
}

#[test]
fn a_namespace_whose_figures_never_rest_leaves_tokens_to_others() {
    let mut now = Instant::now();
    let reports = Reports::limited(2.0, now);
    let mut shop = 0;
    for round in 0..20 {
        now += schedule::ROUND;
        let mut answers: Vec<Answer> = (0..500)
            .map(|n| {
                let (uid, _, report) = answer(
                    &format!("busy{n}"),
                    f64::from(round * 100 + n % 7 + 1),
                    None,
                );
                (uid, Key::new("Pipeline", "busy", &n.to_string()), report)
            })
            .collect();
        answers.push(answer("a", f64::from(round + 1), None));
        let here = here(&answers);
        shop += usize::from(reports.take_in(answers, &here, now).contains(&key()));
    }
    assert!(shop >= 19, "{shop} of 20");
}

#[test]
fn an_owner_whose_pods_never_rest_is_woken_now_and_then_and_hears_the_last_word() {
    let start = Instant::now();
    let reports = Reports::limited(0.0, start);
    let mut woken = 0;
    for second in 0..100_u64 {
        let reason = format!("Trouble{}", second % 2);
        let now = start + Duration::from_secs(second);
        woken += take_in(&reports, vec![answer("a", 0.0, Some(&reason))], now);
    }
    assert!((15..=21).contains(&woken), "{woken}");
    // What was held back is told when there is room, though nothing new was said.
    let later = start + Duration::from_secs(200);
    take_in(&reports, vec![answer("a", 0.0, Some("Trouble1"))], later);
    assert_eq!(reports.lock().told[&key()].problems[0].reason, "Trouble1");
}

#[test]
fn a_pod_that_is_gone_or_somebody_elses_has_no_say() {
    let (reports, now) = (Reports::default(), Instant::now());
    take_in(&reports, vec![answer("a", 7.0, Some("DataLost"))], now);
    assert!(reports.of_pod("a").is_some());
    let other = HashMap::from([("a".to_owned(), Key::new("Pipeline", "shop", "q"))]);
    assert!(
        reports.take_in(vec![], &other, now).contains(&key()),
        "its problem is gone"
    );
    assert!(reports.of_pod("a").is_none());
    let forged = answer("forged", 9e9, None);
    reports.take_in(vec![forged], &HashMap::new(), now);
    assert!(reports.of_pod("forged").is_none());
}

#[test]
fn a_pod_is_asked_at_its_own_address_while_it_runs() {
    let pod = |phase: &str, ip: &str, deleted: Option<&str>| -> Pod {
        serde_json::from_value(serde_json::json!({"metadata": {"name": "p-0", "uid": "u", "deletionTimestamp": deleted},
            "status": {"phase": phase, "podIP": ip}}))
        .unwrap()
    };
    let at = |pod: &Pod| target(pod, key()).map(|t| t.at.to_string());
    assert_eq!(
        at(&pod("Running", "10.0.0.7", None)).unwrap(),
        format!("10.0.0.7:{STATUS_PORT}")
    );
    assert_eq!(
        at(&pod("Running", "fd00::7", None)).unwrap(),
        format!("[fd00::7]:{STATUS_PORT}")
    );
    assert_eq!(at(&pod("Pending", "10.0.0.7", None)), None);
    assert_eq!(at(&pod("Running", "169.254.169.254", None)), None);
    assert_eq!(
        at(&pod("Running", "10.0.0.7", Some("2027-01-01T00:00:00Z"))),
        None
    );
}

/// What a pod's server does with a question.
#[derive(Clone, Copy)]
enum Way {
    Well,
    /// 503, with the report.
    Unready,
    Redirect(SocketAddr),
    Endless,
    /// A length of an exbibyte, and then nothing.
    Announces,
    Never,
    Garbage,
    Deep,
}

const REPORT: &str = r#"{"version":VERSION,"runtime":"x","phase":"Running","figures":{"recordsIn":1,"recordsOut":1,"deadLetters":0,"dropped":0,"rate":7.0}}"#;

fn good() -> String {
    REPORT.replace("VERSION", &headworks_plan::REPORT_VERSION.to_string())
}

async fn serve(way: Way) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(one(stream, way));
        }
    });
    at
}

/// The client may hang up at any moment.
async fn one(mut stream: TcpStream, way: Way) {
    let mut request = [0_u8; 1_024];
    let _ = stream.read(&mut request).await;
    let whole = |status: &str, body: &str| {
        format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let answer = match way {
        Way::Well => whole("200 OK", &good()),
        Way::Unready => whole("503 Service Unavailable", &good()),
        Way::Redirect(to) => format!(
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://{to}/status\r\ncontent-length: {}\r\n\r\n{}",
            good().len(),
            good()
        ),
        Way::Endless => {
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                .await;
            let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
            while stream.write_all(chunk.as_bytes()).await.is_ok() {}
            return;
        }
        Way::Announces => "HTTP/1.1 200 OK\r\ncontent-length: 1152921504606846976\r\n\r\n{".into(),
        Way::Never => return tokio::time::sleep(Duration::from_secs(60)).await,
        Way::Garbage => whole("200 OK", "<html>"),
        Way::Deep => whole(
            "200 OK",
            &format!(r#"{{"version":1,"figures":{}"#, "[".repeat(100_000)),
        ),
    };
    let _ = stream.write_all(answer.as_bytes()).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn an_answer_is_bounded_and_followed_nowhere() {
    let client = ask::client().unwrap();
    let healthy = serve(Way::Well).await;
    let said = |way| {
        let client = client.clone();
        async move {
            ask::ask(&client, serve(way).await)
                .await
                .map(|report| report.figures.rate as u32)
        }
    };
    assert_eq!(said(Way::Well).await, Ok(7));
    assert_eq!(said(Way::Unready).await, Ok(7));
    assert_eq!(
        said(Way::Redirect(healthy)).await,
        Err(ask::Silence::Refused)
    );
    assert_eq!(said(Way::Endless).await, Err(ask::Silence::TooLong));
    assert_eq!(said(Way::Announces).await, Err(ask::Silence::TooLong));
    assert_eq!(said(Way::Garbage).await, Err(ask::Silence::NotAReport));
    assert_eq!(said(Way::Deep).await, Err(ask::Silence::NotAReport));
    let began = Instant::now();
    assert_eq!(said(Way::Never).await, Err(ask::Silence::NoAnswer));
    assert!(began.elapsed() < ask::ANSWER_TIMEOUT * 2);
}

#[tokio::test]
async fn healthy_pods_are_heard_among_silent_redirecting_and_endless_ones() {
    let (healthy, never, endless) = (
        serve(Way::Well).await,
        serve(Way::Never).await,
        serve(Way::Endless).await,
    );
    let away = serve(Way::Redirect(healthy)).await;
    let mut all = Vec::new();
    for (namespace, at, count) in [
        ("aaa", never, 200),
        ("bbb", endless, 20),
        ("ccc", away, 20),
        ("shop", healthy, 10),
    ] {
        all.extend((0..count).map(|n| Target {
            uid: format!("{namespace}{n}"),
            owner: Key::new("Pipeline", namespace, &format!("p{n}")),
            at,
        }));
    }
    let reports = Arc::new(Reports::default());
    let (metrics, health) = (Arc::new(Metrics::default()), Arc::new(Health::default()));
    let running = tokio::spawn(run(
        reports.clone(),
        move || all.clone(),
        Arc::default(),
        metrics.clone(),
        health.clone(),
    ));
    let heard = |namespace: &str, n: usize| {
        let key = Key::new("Pipeline", namespace, &format!("p{n}"));
        reports.figures(&key).is_some_and(|f| f.rate == 7)
    };
    let began = Instant::now();
    while !(0..10).all(|n| heard("shop", n)) {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "the shop waits for others"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // 240 pods at three seconds each are ten minutes one after another.
    assert!(!heard("aaa", 0) && !heard("bbb", 0) && !heard("ccc", 0));
    assert_eq!(health.stands_still(Instant::now()), None);
    while !metrics
        .text()
        .contains(r#"unread_reports_total{reason="no_answer"}"#)
    {
        assert!(began.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let text = metrics.text();
    assert!(
        text.contains(r#"unread_reports_total{reason="refused"}"#),
        "{text}"
    );
    assert!(
        text.contains(r#"unread_reports_total{reason="too_long"}"#),
        "{text}"
    );
    running.abort();
}

#[test]
fn dead_letters_outlive_the_pods_that_counted_them() {
    let (reports, now) = (Reports::limited(1_000.0, Instant::now()), Instant::now());
    let round = |pods: &[(&str, Option<u64>)]| {
        let answers: Vec<Answer> = pods
            .iter()
            .map(|(pod, count)| {
                let report = count.map(|dead_letters| Report {
                    figures: Figures {
                        dead_letters,
                        ..Figures::default()
                    },
                    ..Report::default()
                });
                ((*pod).to_owned(), key(), report)
            })
            .collect();
        take_in(&reports, answers, now);
        reports.letters(&key()).map(|letters| letters.total())
    };
    assert_eq!(round(&[("a", Some(2_000)), ("b", Some(700))]), Some(2_700));
    assert_eq!(round(&[("b", Some(793))]), Some(2_793));
    // One that hasn't said anything yet makes nobody believe that others have ended.
    assert_eq!(round(&[("b", None), ("c", None)]), Some(2_793));
    assert_eq!(round(&[("b", Some(793)), ("c", Some(0))]), Some(2_793));
    // It rests: the pace is forgotten, the count is not.
    reports.rest(&key());
    round(&[]);
    assert_eq!(reports.figures(&key()), None);
    assert_eq!(reports.letters(&key()).map(|l| l.total()), Some(2_793));
    reports.forget(&key());
    assert_eq!(reports.letters(&key()), None);
}
