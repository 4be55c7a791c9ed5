//! Makes inputs from examples: cuts, copies, joins, changes bytes and numbers, and puts in words that the target knows.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// Longer than this an input doesn't get.
const MOST: usize = 16 * 1024;
/// Numbers at which things end.
const NUMBERS: [&str; 14] = [
    "0",
    "-0",
    "-1",
    "1.0",
    "1e2",
    "127",
    "128",
    "2147483647",
    "-2147483649",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "1e999999999",
    "0.00000000000000000000000000000000000000001",
];

/// A source of inputs, the same for the same seed.
#[derive(Debug)]
pub struct Mutator {
    random: StdRng,
    examples: &'static [&'static [u8]],
    words: &'static [&'static str],
}

impl Mutator {
    /// Inputs like these examples, with these words in them.
    pub fn new(
        seed: u64,
        examples: &'static [&'static [u8]],
        words: &'static [&'static str],
    ) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            examples,
            words,
        }
    }

    /// The next one.
    pub fn input(&mut self) -> Vec<u8> {
        let mut input = self.example();
        for _ in 0..self.random.random_range(0..8) {
            self.change(&mut input);
        }
        input.truncate(MOST);
        input
    }

    fn example(&mut self) -> Vec<u8> {
        self.examples
            .choose(&mut self.random)
            .map_or_else(Vec::new, |example| example.to_vec())
    }

    fn part(&mut self, input: &[u8]) -> std::ops::Range<usize> {
        let from = self.random.random_range(0..=input.len());
        let most = (input.len() - from).min(64);
        from..from + self.random.random_range(0..=most)
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let part = self.part(input);
        let put: Vec<u8> = match self.random.random_range(0..9) {
            0 => Vec::new(),
            1 => input[part.clone()].repeat(self.random.random_range(2..40)),
            2 => {
                let other = self.example();
                let from = self.part(&other);
                other[from].to_vec()
            }
            3 | 4 => self
                .words
                .choose(&mut self.random)
                .map_or_else(Vec::new, |word| word.as_bytes().to_vec()),
            5 => NUMBERS
                .choose(&mut self.random)
                .map_or_else(Vec::new, |number| number.as_bytes().to_vec()),
            6 => (0..part.len()).map(|_| self.random.random()).collect(),
            7 => {
                let mut bytes = input[part.clone()].to_vec();
                if let Some(byte) = bytes.first_mut() {
                    *byte ^= 1 << self.random.random_range(0..8);
                }
                bytes
            }
            _ => vec![
                [0, 0xff, b'"', b'\\', b'{', b'[', b'(', b'\''][self.random.random_range(0..8)],
            ],
        };
        input.splice(part, put);
    }
}
