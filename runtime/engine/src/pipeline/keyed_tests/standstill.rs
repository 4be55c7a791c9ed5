//! Who holds event time back is told.

use super::world::{MINUTE, World};

#[test]
fn the_partition_that_the_watermark_waits_for_is_named_after_a_while() {
    let world = World::new(MINUTE, 2);
    world.write(0, &["a 5 1", "a 300 1"]);
    world.write(1, &["a 6 1"]);
    let (mut first, mut second) = (world.first(), world.second());
    let mut waits_for = |seconds: i64| {
        let until = world.broker.now_ms() + seconds * 1_000;
        while world.broker.now_ms() < until {
            world.broker.tick(50);
            first.step().unwrap();
            second.step().unwrap();
        }
        world.second.report().figures.state.unwrap().waits_for
    };
    assert_eq!(waits_for(20), None);
    assert_eq!(waits_for(20).as_deref(), Some("in[1]"));
    world.write(1, &["a 400 1"]);
    assert_eq!(
        waits_for(10),
        None,
        "partition 0 is behind, and not for long"
    );
    assert_eq!(waits_for(30).as_deref(), Some("in[0]"));
}
