//! Arbitrary reports, all the way: from an answer's bytes to the values of a status and of a condition. Nothing a pod can say ends
//! the operator, and whatever is shown has its form and its length.

use headworks_crds::{PipelineStatus, SourceStatus, StateStatus};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use serde_json::{Map, Value, json};

use super::*;
use crate::{
    status::conditions,
    workload::{
        figures::ShowsFigures,
        health::{Pods, verdict},
    },
};

const SEEDS: u64 = 1_200;

fn integer(rng: &mut SmallRng) -> Value {
    const EDGES: [i128; 24] = [
        0,
        1,
        -1,
        99,
        100,
        1_023,
        1_024,
        59_999,
        60_000,
        -59_999,
        1_767_225_600_000,
        253_402_300_799_999,
        253_402_300_800_000,
        -62_135_596_800_000,
        -62_135_596_800_001,
        1 << 40,
        1 << 53,
        i64::MAX as i128,
        i64::MAX as i128 - 1,
        i64::MIN as i128,
        i64::MIN as i128 + 1,
        u64::MAX as i128,
        u64::MAX as i128 - 1,
        1 << 70,
    ];
    let number = if rng.random_bool(0.8) {
        *EDGES.choose(rng).unwrap()
    } else {
        i128::from(rng.random::<i64>())
    };
    match (i64::try_from(number), u64::try_from(number)) {
        (Ok(number), _) => json!(number),
        (_, Ok(number)) => json!(number),
        _ => json!(number as f64),
    }
}

fn text(rng: &mut SmallRng) -> Value {
    const PIECES: [&str; 14] = [
        "DataLost",
        "SecretMissing",
        "StoreRefused",
        "\u{1b}[2J",
        "\n",
        "\0",
        "\u{202e}",
        "😀",
        "é",
        "\"}{",
        "warehouse",
        " ",
        "\u{e0041}",
        "7",
    ];
    let pieces = if rng.random_bool(0.02) {
        3_000
    } else {
        rng.random_range(0..8)
    };
    let all: String = (0..pieces).map(|_| *PIECES.choose(rng).unwrap()).collect();
    json!(all)
}

/// Anything, mostly of the wrong type.
fn anything(rng: &mut SmallRng, depth: u32) -> Value {
    match rng.random_range(0..7) {
        0 => Value::Null,
        1 => json!(rng.random::<bool>()),
        2 => integer(rng),
        3 => json!(*[1e308, -1e308, 0.5, -0.0, 1e-300].choose(rng).unwrap()),
        4 if depth > 0 => (0..rng.random_range(0..4))
            .map(|_| anything(rng, depth - 1))
            .collect(),
        5 if depth > 0 => {
            let entry = |rng: &mut SmallRng| {
                (
                    text(rng).as_str().unwrap().to_owned(),
                    anything(rng, depth - 1),
                )
            };
            (0..rng.random_range(0..4)).map(|_| entry(rng)).collect()
        }
        _ => text(rng),
    }
}

/// What a field may hold: seldom what it must not.
fn field(
    rng: &mut SmallRng,
    into: &mut Map<String, Value>,
    name: &str,
    value: impl Fn(&mut SmallRng) -> Value,
) {
    if rng.random_bool(0.002) {
        return;
    }
    let value = if rng.random_bool(0.002) {
        anything(rng, 3)
    } else {
        value(rng)
    };
    into.insert(name.into(), value);
}

/// Numbers that fit the field's type, so that most reports are taken.
fn count(rng: &mut SmallRng) -> Value {
    loop {
        let number = integer(rng);
        if number.is_u64() {
            return number;
        }
    }
}

fn signed(rng: &mut SmallRng) -> Value {
    loop {
        let number = integer(rng);
        if number.is_i64() {
            return number;
        }
    }
}

/// A field, and what makes its value.
type Made<'a> = (&'a str, fn(&mut SmallRng) -> Value);

fn object(rng: &mut SmallRng, fields: &[Made<'_>]) -> Value {
    let mut all = Map::new();
    for (name, value) in fields {
        field(rng, &mut all, name, value);
    }
    Value::Object(all)
}

fn problem(rng: &mut SmallRng) -> Value {
    object(
        rng,
        &[
            ("reason", text),
            ("message", text),
            ("fatal", |rng| json!(rng.random::<bool>())),
        ],
    )
}

fn rule(rng: &mut SmallRng) -> Value {
    let check = |rng: &mut SmallRng| {
        object(
            rng,
            &[
                ("name", text),
                ("failed", count),
                ("lastFailureMs", signed),
                ("lastFailurePlace", text),
            ],
        )
    };
    let checks = (0..rng.random_range(0..4)).map(|_| check(rng));
    let checks = checks.collect::<Value>();
    let mut rule = object(
        rng,
        &[
            ("stream", text),
            ("name", text),
            ("generation", signed),
            ("checked", count),
            ("failed", count),
        ],
    );
    rule["checks"] = checks;
    rule
}

fn verdicts(rng: &mut SmallRng) -> Value {
    let check = |rng: &mut SmallRng| {
        let mut check = object(rng, &[("name", text), ("observed", text)]);
        check["failed"] = count(rng);
        check
    };
    let window = |rng: &mut SmallRng| {
        let number = if rng.random_bool(0.02) { 400 } else { 2 };
        let checks = (0..rng.random_range(0..=number)).map(|_| check(rng));
        let checks = checks.collect::<Value>();
        json!({"endMs": signed(rng), "records": count(rng), "checks": checks})
    };
    let windows = (0..rng.random_range(0..9)).map(|_| window(rng));
    let windows = windows.collect::<Value>();
    json!({"of": text(rng), "windows": windows})
}

fn stage(rng: &mut SmallRng) -> Value {
    let begun = |rng: &mut SmallRng| json!({"atMs": 5, "fresh": rng.random::<bool>(), "partitions": 1, "place": text(rng)});
    let table = |rng: &mut SmallRng| json!({"rows": count(rng), "expected": count(rng)});
    let mut stage = object(
        rng,
        &[
            ("position", count),
            ("counted", count),
            ("written", count),
            ("missing", count),
            ("extra", count),
            ("place", text),
            ("beganMs", signed),
            ("begun", begun),
            ("topics", |rng| json!([text(rng)])),
            ("table", table),
        ],
    );
    (stage["stage"], stage["group"], stage["read"]) = (text(rng), text(rng), count(rng));
    stage
}

fn report(rng: &mut SmallRng) -> Value {
    let stages = |rng: &mut SmallRng| {
        let number = if rng.random_bool(0.02) { 99 } else { 2 };
        (0..rng.random_range(0..=number))
            .map(|_| stage(rng))
            .collect::<Value>()
    };
    let state = |rng: &mut SmallRng| {
        object(
            rng,
            &[
                ("memoryBytes", count),
                ("diskBytes", count),
                ("keys", count),
                ("late", count),
                ("restoreMs", count),
                ("watermarkMs", signed),
                ("hotKey", text),
                ("waitsFor", text),
            ],
        )
    };
    let rules = |rng: &mut SmallRng| {
        let number = if rng.random_bool(0.02) { 400 } else { 2 };
        (0..rng.random_range(0..=number))
            .map(|_| rule(rng))
            .collect::<Value>()
    };
    let mut figures = object(
        rng,
        &[
            ("rules", rules),
            ("verdicts", verdicts),
            ("counts", stages),
            ("lag", count),
            ("maxEventTimeMs", signed),
            ("lastCommitMs", signed),
            ("state", state),
        ],
    );
    for required in ["recordsIn", "recordsOut", "deadLetters", "dropped"] {
        figures[required] = count(rng);
    }
    figures["rate"] = json!(*[0.0, 7.5, -1.0, 1e300, f64::MAX].choose(rng).unwrap());
    if let Some(state) = figures.get_mut("state").filter(|s| s.is_object()) {
        for required in ["memoryBytes", "diskBytes", "keys", "late"] {
            if rng.random_bool(0.98) {
                state[required] = count(rng);
            }
        }
    }
    let problems = (0..rng.random_range(0..24))
        .map(|_| problem(rng))
        .collect::<Value>();
    let mut report = json!({"version": headworks_plan::REPORT_VERSION, "runtime": text(rng), "phase": "Running",
        "problems": problems, "figures": figures, "unknown": anything(rng, 4)});
    field(rng, report.as_object_mut().unwrap(), "serverVersion", text);
    report
}

/// What a condition or a status may hold of a pod's words.
fn presentable(shown: &str, longest: usize) {
    assert!(
        shown.chars().count() <= longest,
        "{} characters",
        shown.chars().count()
    );
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
    assert!(!shown.contains('\u{202e}'), "{shown:?}");
}

fn pods() -> Vec<Arc<Pod>> {
    ["a", "b", "c"]
        .map(|uid| {
            let labels = json!({crate::workload::pod::PLAN_LABEL: "plan"});
            Arc::new(
                serde_json::from_value(
                    json!({"metadata": {"name": uid, "uid": uid, "labels": labels}}),
                )
                .unwrap(),
            )
        })
        .into()
}

#[test]
fn no_report_whatever_is_in_it_does_more_than_show_figures() {
    let pods = pods();
    let here: HashMap<String, Key> = (pods.iter())
        .map(|pod| (pod.name_any(), Key::new("Pipeline", "shop", "p")))
        .collect();
    let key = Key::new("Pipeline", "shop", "p");
    let stores = ["warehouse".to_owned()];
    let mut taken = 0;
    let mut status = PipelineStatus {
        state: Some(StateStatus::default()),
        ..PipelineStatus::default()
    };
    let start = Instant::now();
    let reports = Reports::limited(1e9, start);
    for seed in 0..SEEDS {
        let mut rng = SmallRng::seed_from_u64(seed);
        let answers: Vec<Answer> = (here.iter())
            .map(|(uid, key)| {
                let body = report(&mut rng).to_string();
                (uid.clone(), key.clone(), ask::read(body.as_bytes()).ok())
            })
            .collect();
        taken += answers
            .iter()
            .filter(|(_, _, report)| report.is_some())
            .count();
        let now = start + Duration::from_secs(seed);
        reports.take_in(answers, &here, now);
        if let Some(figures) = reports.figures(&key) {
            status.show(figures.clone());
            SourceStatus::default().show(figures);
        }
        // A status is written as JSON, and read back as it was.
        let text = serde_json::to_string(&status).unwrap();
        let back: PipelineStatus =
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("seed {seed}: {e}: {text}"));
        assert_eq!(back, status, "seed {seed}");
        let shown = |of: fn(&StateStatus) -> Option<&str>| back.state.as_ref().and_then(of);
        presentable(shown(|s| s.hot_key.as_deref()).unwrap_or_default(), 128);
        presentable(shown(|s| s.waits_for.as_deref()).unwrap_or_default(), 300);
        for number in [back.lag, back.letters.dead_letters].into_iter().flatten() {
            assert!(number >= 0, "seed {seed}");
        }
        let seen = Pods {
            pods: &pods,
            plan: "plan",
            wanted: 3,
            updated: 3,
            ready: (seed % 4) as i32,
            observed: true,
            secrets: &[],
            stores: &stores,
            namespace: "shop",
        };
        let outcome = verdict(&seen, |uid| reports.of_pod(uid));
        let shown = conditions(&[], &outcome, Some(1), jiff_now());
        for condition in &shown {
            presentable(&condition.reason, 64);
            presentable(&condition.message, 1_200);
            assert!(
                condition.reason.chars().all(|c| c.is_ascii_alphanumeric())
                    && !condition.reason.is_empty()
            );
        }
    }
    assert!(taken > SEEDS as usize, "most reports are taken: {taken}");
}

fn jiff_now() -> k8s_openapi::jiff::Timestamp {
    k8s_openapi::jiff::Timestamp::UNIX_EPOCH
}

#[test]
fn bytes_that_are_no_report_are_refused_and_end_nothing() {
    let mut rng = SmallRng::seed_from_u64(7);
    for _ in 0..2_000 {
        let mut body = report(&mut rng).to_string().into_bytes();
        let cut = rng.random_range(0..=body.len());
        body.truncate(cut);
        for _ in 0..rng.random_range(0..4) {
            if let Some(byte) = body.get_mut(rng.random_range(0..=cut)) {
                *byte = rng.random();
            }
        }
        let _ = ask::read(&body);
    }
    for deep in ["[", "{\"a\":", "{\"figures\":{\"state\":"] {
        assert_eq!(
            ask::read(deep.repeat(200_000).as_bytes()).unwrap_err(),
            ask::Silence::NotAReport
        );
    }
}
