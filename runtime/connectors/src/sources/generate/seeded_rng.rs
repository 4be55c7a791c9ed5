//! Chance that can be had again: the same numbers from the same seed, on every machine and in every
//! version. The generator is SplitMix64 (Steele, Lea and Flood 2014), and everything is whole numbers.

/// What a throw is for. Throws of one purpose tell nothing of those of another.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// What the record says.
    Content = 1,
    /// Whether it is late, and how late.
    Lateness,
    /// Whether it breaks the contract.
    Soundness,
    /// How it breaks it.
    Fault,
    /// A key's values.
    Key,
    /// An order, which feedback speaks of, too.
    Order,
    /// A product's price.
    Price,
}

/// A sequence of throws.
#[derive(Clone, Debug)]
pub(super) struct SeededRng(u64);

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl SeededRng {
    /// The throws for `purpose` at `number` of the sequence that `seed` makes.
    pub(super) fn new(seed: u64, number: u64, purpose: Purpose) -> SeededRng {
        let seed = mix(seed.wrapping_add(STEP));
        let number = mix((seed ^ number).wrapping_add(STEP));
        SeededRng(mix((number ^ purpose as u64).wrapping_add(STEP)))
    }

    /// Any number.
    pub(super) fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number below `end`, all alike; 0 where `end` is.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.any()) * u128::from(end)) >> 64) as u64
    }

    /// True in `percent` of a hundred cases.
    pub(super) fn percent(&mut self, percent: u8) -> bool {
        self.below(100) < u64::from(percent)
    }

    /// One of `choices`, which aren't none.
    pub(super) fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }
}

/// A choice among many of which few are popular: the k-th is chosen 1/k times as often as the first.
#[derive(Clone, Debug)]
pub(super) struct Popular {
    /// Weights of the first, the first two, …
    sums: Vec<u64>,
}

impl Popular {
    pub(super) fn new(count: u64) -> Popular {
        let weights = (1..=count.max(1)).map(|rank| 1_000_000 / rank + 1);
        let sums = weights.scan(0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        Popular {
            sums: sums.collect(),
        }
    }

    /// From 0 on.
    pub(super) fn pick(&self, rng: &mut SeededRng) -> u64 {
        let at = rng.below(self.sums.last().copied().unwrap_or(1));
        self.sums.partition_point(|sum| *sum <= at) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_throws_the_same_for_ever() {
        let mut rng = SeededRng::new(7, 0, Purpose::Content);
        // Written down once: a sequence that goes on after an upgrade must be the same sequence.
        insta::assert_snapshot!(format!("{:?}", [(); 4].map(|()| rng.below(1_000_000))));
    }

    #[test]
    fn neighbours_and_purposes_have_nothing_in_common() {
        let count = |first: (u64, Purpose), second: (u64, Purpose)| {
            (0..10_000)
                .filter(|n| {
                    let mut a = SeededRng::new(1, n + first.0, first.1);
                    let mut b = SeededRng::new(1, n + second.0, second.1);
                    a.percent(50) == b.percent(50)
                })
                .count()
        };
        for (first, second) in [
            ((0, Purpose::Content), (1, Purpose::Content)),
            ((0, Purpose::Content), (0, Purpose::Fault)),
        ] {
            let same = count(first, second);
            assert!((4_800..5_200).contains(&same), "{same}");
        }
    }

    #[test]
    fn the_first_is_twice_as_popular_as_the_second_and_the_last_is_chosen_at_times() {
        let popular = Popular::new(50);
        let mut chosen = [0_u32; 50];
        for number in 0..100_000 {
            let mut rng = SeededRng::new(3, number, Purpose::Content);
            chosen[popular.pick(&mut rng) as usize] += 1;
        }
        let ratio = f64::from(chosen[0]) / f64::from(chosen[1]);
        assert!((1.9..2.1).contains(&ratio), "{ratio}");
        assert!(chosen[49] > 100, "{chosen:?}");
    }
}
