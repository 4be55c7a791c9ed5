//! Seeded random records: round trips and damage.

use headworks_engine::format::Decoder;
use headworks_plan::{Contract, UnknownFields};
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

use super::{JsonDecoder, JsonEncoder, everything, line};

/// Any value of any type: what is encoded decodes to the same columns, and encodes to the same text.
#[test]
fn what_is_written_reads_back_equal() {
    for seed in 0..300 {
        let mut rng = StdRng::seed_from_u64(seed);
        let contract = Contract {
            key: vec![],
            ..everything()
        };
        let mut decoder = JsonDecoder::whole(&contract, UnknownFields::Reject).unwrap();
        for _ in 0..rng.random_range(1..20) {
            let json = random_record(&mut rng);
            decoder
                .decode(json.as_bytes())
                .unwrap_or_else(|e| panic!("seed {seed}: {e}: {json}"));
        }
        let batch = decoder.finish().unwrap();
        let mut encoder = JsonEncoder::new(&contract).unwrap();
        let lines: Vec<String> = (0..batch.num_rows())
            .map(|row| line(&mut encoder, &batch, row))
            .collect();
        for text in &lines {
            decoder
                .decode(text.as_bytes())
                .unwrap_or_else(|e| panic!("seed {seed}: {e}: {text}"));
        }
        let again = decoder.finish().unwrap();
        assert_eq!(again, batch, "seed {seed}");
        assert_eq!(
            (0..again.num_rows())
                .map(|row| line(&mut encoder, &again, row))
                .collect::<Vec<_>>(),
            lines,
            "seed {seed}"
        );
    }
}

pub(in crate::formats) fn random_record(rng: &mut StdRng) -> String {
    let mut members = vec![format!(
        r#""p":{}"#,
        serde_json::to_string(&random_text(rng)).unwrap()
    )];
    let stamp = |rng: &mut StdRng| {
        let at = jiff::Timestamp::from_second(rng.random_range(-62_135_596_800..253_402_200_000))
            .unwrap();
        at + std::time::Duration::from_micros(rng.random_range(0..1_000_000))
    };
    let mut member = |name: &str, value: String| members.push(format!("\"{name}\":{value}"));
    for name in [
        "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k0", "k3", "k6", "l0", "l3", "l6", "m",
        "n", "o",
    ] {
        match rng.random_range(0..10) {
            0 => continue,
            1 => {
                member(name, "null".into());
                continue;
            }
            _ => {}
        }
        let value = match name {
            "a" => rng.random::<bool>().to_string(),
            "b" => rng.random::<i32>().to_string(),
            "c" => rng.random::<i64>().to_string(),
            "d" => random_finite(rng, |bits| f64::from(f32::from_bits(bits as u32))),
            "e" => random_finite(rng, f64::from_bits),
            "f" => format!(
                "\"{}{}.{:010}\"",
                if rng.random() { "-" } else { "" },
                rng.random_range(0..10_u128.pow(28)),
                rng.random_range(0..10_u64.pow(10))
            ),
            "g" => serde_json::to_string(&random_text(rng)).unwrap(),
            "h" => {
                let mut bytes = vec![0; rng.random_range(0..20)];
                rng.fill_bytes(&mut bytes);
                serde_json::to_string(&base64::Engine::encode(
                    &base64::engine::general_purpose::STANDARD,
                    bytes,
                ))
                .unwrap()
            }
            "i" => format!("\"{}\"", stamp(rng).to_string().split_once('T').unwrap().0),
            "j" => format!(
                "\"{}\"",
                stamp(rng)
                    .to_string()
                    .split_once('T')
                    .unwrap()
                    .1
                    .trim_end_matches('Z')
            ),
            "k0" | "k3" | "k6" => format!("\"{}\"", stamp(rng).to_string().trim_end_matches('Z')),
            "l0" | "l3" | "l6" => format!("\"{}\"", stamp(rng)),
            "m" => {
                let lists: Vec<String> = (0..rng.random_range(0..4))
                    .map(|_| {
                        format!(
                            "{:?}",
                            (0..rng.random_range(0..4))
                                .map(|_| rng.random::<i32>())
                                .collect::<Vec<_>>()
                        )
                    })
                    .collect();
                format!("[{}]", lists.join(","))
            }
            "n" => {
                let pairs: Vec<String> = (0..rng.random_range(0..4))
                    .map(|i| format!(r#""{i}{}":{{"x":{}}}"#, "k".repeat(i), rng.random::<i16>()))
                    .collect();
                format!("{{{}}}", pairs.join(","))
            }
            _ => format!(
                r#"{{"x":{},"y":[{{"z":{}.5}},null],"m":{{"a":null}}}}"#,
                rng.random::<i32>(),
                rng.random_range(-999..999)
            ),
        };
        member(name, value);
    }
    // Any order is as good.
    let pivot = rng.random_range(0..members.len());
    members.rotate_left(pivot);
    format!("{{{}}}", members.join(","))
}

fn random_finite(rng: &mut StdRng, make: impl Fn(u64) -> f64) -> String {
    loop {
        let value = make(rng.random());
        if value.is_finite() {
            return serde_json::to_string(&value).unwrap();
        }
    }
}

fn random_text(rng: &mut StdRng) -> String {
    (0..rng.random_range(0..12))
        .map(|_| rng.random::<char>())
        .collect()
}

#[test]
fn random_bytes_and_damaged_records_never_panic() {
    let mut rng = StdRng::seed_from_u64(7);
    let mut decoder = JsonDecoder::whole(&everything(), UnknownFields::Ignore).unwrap();
    let mut taken = 0;
    for round in 0..20_000 {
        let mut bytes = if round % 4 == 0 {
            let mut noise = vec![0; rng.random_range(0..200)];
            rng.fill_bytes(&mut noise);
            noise
        } else {
            random_record(&mut rng).into_bytes()
        };
        for _ in 0..rng.random_range(0..4) {
            if bytes.is_empty() {
                break;
            }
            let at = rng.random_range(0..bytes.len());
            match rng.random_range(0..3) {
                0 => bytes[at] = rng.random(),
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, b"{}[]\",:0e-\\"[rng.random_range(0..11)]),
            }
        }
        taken += usize::from(decoder.decode(&bytes).is_ok());
        if round % 100 == 0 {
            let batch = decoder.finish().unwrap();
            let mut encoder = JsonEncoder::new(&everything()).unwrap();
            for row in 0..batch.num_rows() {
                line(&mut encoder, &batch, row);
            }
        }
    }
    assert!(
        taken > 2_000,
        "the damage must leave some records whole: {taken}"
    );
}
