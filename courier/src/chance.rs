//! Randomness: names and keys from the system, and the seeded chance that decides if a delivery succeeds.

/// Decides each delivery's outcome by the seed, the delivery and the step alone. So it does not matter which courier
/// makes a step, nor in which order, and a run can be repeated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chance {
    pub(crate) seed: u64,
    /// Percentage of delivery attempts that find nobody; at most 100.
    pub(crate) not_delivered_percent: u8,
}

impl Chance {
    /// Returns true if the step that ends a delivery attempt is `DELIVERED`.
    pub(crate) fn delivers(self, delivery: i64, step: i64) -> bool {
        let input = self.seed ^ mixed(delivery.unsigned_abs()) ^ mixed(!step.unsigned_abs());
        mixed(input) % 100 >= u64::from(self.not_delivered_percent)
    }
}

/// Mixes the bits of a number (the finalizer of SplitMix64).
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// Returns random bytes, for keys, names and salts.
#[expect(
    clippy::disallowed_methods,
    reason = "the courier imports none of our crates, so it has its own randomness"
)]
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::Rng::fill(&mut rand::rng(), &mut bytes[..]);
    bytes
}

/// Returns a random text of 32 hexadecimal digits.
pub(crate) fn random_hex() -> String {
    let bytes: [u8; 16] = random_bytes();
    format!("{:032x}", u128::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(seed: u64, not_delivered_percent: u8) -> Vec<bool> {
        let chance = Chance {
            seed,
            not_delivered_percent,
        };
        (1..=1000).map(|id| chance.delivers(id, 3)).collect()
    }

    #[test]
    fn chance_is_even_by_default_repeatable_and_another_with_another_seed() {
        let delivered = |seed| outcomes(seed, 50).iter().filter(|it| **it).count();
        for seed in 0..5 {
            assert!((430..570).contains(&delivered(seed)), "{seed}");
        }
        assert_eq!(outcomes(7, 50), outcomes(7, 50));
        assert_ne!(outcomes(7, 50), outcomes(8, 50));
    }

    #[test]
    fn no_chance_of_failure_is_none_and_certainty_is_all() {
        assert!(outcomes(1, 0).iter().all(|delivered| *delivered));
        assert!(outcomes(1, 100).iter().all(|delivered| !*delivered));
    }

    #[test]
    fn the_rounds_of_one_delivery_differ() {
        let chance = Chance {
            seed: 1,
            not_delivered_percent: 50,
        };
        let rounds: Vec<bool> = (0..20).map(|n| chance.delivers(1, 3 + 2 * n)).collect();
        assert!(rounds.contains(&true) && rounds.contains(&false));
    }
}
