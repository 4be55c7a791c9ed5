//! A run in memory beside the two parts of a pod over a broker: the same records give the same rows and dead letters,
//! wherever the pod's commits fall, as long as there is one before each row whose fate they decide.
//!
//! Nothing orders the records of two inputs, so what of them is late is decided by who is read first. Both are given one order
//! here: the pod's commits end exactly where the batches do, and between them its inputs are read as they come.

mod words;
mod world;

use self::words::TwinFormats;
use self::world::{Given, World};
use super::Local;
use crate::memory::Chance;
use crate::testing::simulation::{same, seeds};

#[test]
fn a_run_in_memory_gives_the_rows_and_dead_letters_of_a_pod() {
    let (mut late, mut written) = (0, 0);
    let all = seeds(40);
    let many = all.end - all.start >= 40;
    for seed in all {
        let mut chance = Chance::new(seed.wrapping_mul(0x9E37_79B9) ^ 0x7417);
        let world = World::new(&mut chance);
        let local = world.in_memory();
        late += local
            .dead_letters
            .iter()
            .filter(|l| l.contains(" Late "))
            .count();
        written += local.rows.len();
        let pod = world.in_a_pod(&world.batches(true, &mut chance));
        same("rows", local.rows, pod.rows)
            .and_then(|()| same("dead letters", local.dead_letters, pod.dead_letters))
            .unwrap_or_else(|wrong| panic!("SEED={seed}: {}\n{wrong}", world.plan.sql));
    }
    assert!(
        !many || (late > 80 && written > 800),
        "{late} late, {written} rows"
    );
}

#[test]
fn which_input_is_read_first_decides_what_is_late_in_memory_as_in_a_pod() {
    let mut chance = Chance::new(7);
    let mut world = (0..200)
        .map(|_| World::new(&mut chance))
        .find(|world| world.plan.inputs.len() == 2 && world.plan.sql.contains("HOP"))
        .unwrap();
    let records = |order: &[(usize, &str)]| -> Vec<(usize, String)> {
        let ends = [(0, "z 1000000 1"), (1, "z 1000000 1")];
        let all = order.iter().chain(&ends);
        all.map(|(input, record)| (*input, (*record).to_owned()))
            .collect()
    };
    let disorder_ms = world.disorder_ms.iter().max().unwrap();
    let (first, ahead) = (21_119, 22_201 + disorder_ms);
    let (old, wait, on) = (
        format!("c {first} 1"),
        format!("c {ahead} 1"),
        format!("c {} 1", ahead + 1),
    );
    // The second input has come to `ahead`, and brings a row from behind its own watermark; as long as the first input
    // hasn't come as far, its windows are open.
    let in_time = [(1, wait.as_str()), (1, &old), (0, &on)];
    let late = [(1, wait.as_str()), (0, &on), (1, &old)];
    world.allow_no_lateness();
    let mut windows = Vec::new();
    for order in [in_time, late] {
        world.records = records(&order);
        let local = world.in_memory();
        let each: Vec<_> = world.records.chunks(1).collect();
        let pod = world.in_a_pod(&each);
        let of_the_row = |row: &&String| row.starts_with("c|19000|22000|");
        windows.push(local.rows.iter().filter(of_the_row).count());
        same("rows", local.rows, pod.rows).unwrap();
        same("dead letters", local.dead_letters, pod.dead_letters).unwrap();
    }
    assert_eq!(windows, [1, 0]);
}

#[test]
fn a_late_row_is_not_saved_by_a_session_of_another_input_that_comes_after_it() {
    let mut chance = Chance::new(7);
    let mut world = (0..200)
        .map(|_| World::new(&mut chance))
        .find(|world| world.plan.inputs.len() == 2 && world.is_session)
        .unwrap();
    world.allow_no_lateness();
    let records = [
        (0, "a 20000 1"),
        (1, "a 20000 1"),
        // Over by itself; within the gap of the next row, whose session isn't over.
        (1, "b 17400 1"),
        (0, "b 18390 1"),
    ];
    let records = records.map(|(input, record)| (input, record.to_owned()));
    world.records = records.to_vec();
    for (_, record) in &mut world.records[..2] {
        *record = format!("a {} 1", 19_000 + world.disorder_ms.iter().max().unwrap());
    }
    let local = world.in_memory();
    let pod = world.in_a_pod(&world.records.chunks(1).collect::<Vec<_>>());
    assert!(
        local
            .dead_letters
            .iter()
            .any(|l| l == "in1@1 Late b 17400 1"),
        "{local:?}"
    );
    same("dead letters", local.dead_letters, pod.dead_letters).unwrap();
}

#[test]
fn an_input_that_is_over_holds_nobody_up() {
    let mut chance = Chance::new(7);
    let world = (0..50)
        .map(|_| World::new(&mut chance))
        .find(|world| world.plan.inputs.len() == 2)
        .unwrap();
    let mut given = Given::default();
    let mut local = Local::new(&world.plan, &TwinFormats).unwrap();
    local.push(0, b"a 5000 1", &mut given).unwrap();
    local.push(0, b"b 60000 1", &mut given).unwrap();
    assert_eq!(local.mark(1, &mut given).unwrap(), None);
    let mark = Some(60_000 - world.disorder_ms[0]);
    assert_eq!(local.mark(0, &mut given).unwrap(), mark);
    assert_eq!(given.rows.len(), 0, "the other input may bring anything");
    local.end(1, &mut given).unwrap();
    assert_eq!(local.mark(1, &mut given).unwrap(), Some(i64::MAX));
    assert!(!given.rows.is_empty());
    assert!(
        given.rows.iter().all(|row| row.starts_with("a|")),
        "{given:?}"
    );
    local.push(0, b"a 5001 1", &mut given).unwrap();
    local.finish(&mut given).unwrap();
    assert_eq!(given.dead_letters, ["in0@2 Late a 5001 1"]);
}

#[test]
fn a_pod_that_commits_less_often_takes_more_rows_never_fewer() {
    let mut fewer = 0;
    let all = seeds(30);
    let many = all.end - all.start >= 30;
    for seed in all {
        let mut chance = Chance::new(seed.wrapping_mul(0x9E37_79B9) ^ 0x7418);
        let world = World::new(&mut chance);
        let late = |given: Given| -> Vec<String> {
            let dead_letters = given.dead_letters.into_iter();
            dead_letters.filter(|l| l.contains(" Late ")).collect()
        };
        let local = late(world.in_memory());
        let pod = late(world.in_a_pod(&world.batches(false, &mut chance)));
        let unknown = pod.iter().find(|dead_letter| !local.contains(dead_letter));
        assert_eq!(unknown, None, "SEED={seed}: {}", world.plan.sql);
        fewer += usize::from(pod.len() < local.len());
    }
    assert!(!many || fewer > 5, "{fewer}");
}
