//! The only source of randomness and of new ids.

use parking_lot::Mutex;
use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use rand::{Rng, RngCore, SeedableRng, rngs::StdRng};
use uuid::{Builder, Uuid};

/// A cryptographic random generator and source of ids. Cheap to clone; all clones share one generator, and their ids
/// ascend together.
#[derive(Clone, Debug)]
pub struct Chance(Arc<Mutex<Drawer>>);

#[derive(Debug)]
struct Drawer {
    rng: StdRng,
    last_id: Option<LastId>,
}

#[derive(Clone, Copy, Debug)]
struct LastId {
    unix_ms: u64,
    /// The 74 bits of a UUIDv7 beside timestamp, version and variant.
    tail: u128,
}

const TAIL_BITS: u32 = 74;

impl Chance {
    /// Creates a generator that the operating system seeds.
    #[must_use]
    pub fn system() -> Self {
        Self::from_rng(StdRng::from_os_rng())
    }

    /// Creates a generator that draws the same values in every run. For tests only.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self::from_rng(StdRng::seed_from_u64(seed))
    }

    fn from_rng(rng: StdRng) -> Self {
        Self(Arc::new(Mutex::new(Drawer { rng, last_id: None })))
    }

    /// Returns a UUIDv7 (RFC 9562) with this timestamp. Each id is greater than the one before, also within a
    /// millisecond and after the clock was set back.
    #[must_use]
    pub fn id<T: From<Uuid>>(&self, now: DateTime<Utc>) -> T {
        let mut drawer = self.0.lock();
        let unix_ms = u64::try_from(now.timestamp_millis()).unwrap_or(0);
        let next = drawer.next_id(unix_ms);
        drawer.last_id = Some(next);
        next.uuid().into()
    }

    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.lock().rng.fill_bytes(&mut bytes);
        bytes
    }

    /// Draws a session code: 40 lower-case hexadecimal digits, 160 bits.
    #[must_use]
    pub fn session_code(&self) -> String {
        use std::fmt::Write;
        let mut code = String::with_capacity(40);
        for byte in self.bytes::<20>() {
            write!(code, "{byte:02x}").expect("writing to a String cannot fail");
        }
        code
    }

    /// Draws 256 bits as base64url, for refresh tokens, live tickets and webhook secrets.
    #[must_use]
    pub fn token(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes::<32>())
    }

    /// Draws a fence: a random positive number of 62 bits, so that none is drawn twice, even if the database has forgotten
    /// those that were drawn before.
    #[must_use]
    pub fn fence(&self) -> i64 {
        // Not 63 bits: processes of an older version count up from a fence, and must not overflow.
        (i64::from_be_bytes(self.bytes()) & (i64::MAX >> 1)).max(1)
    }

    /// Draws a number from 0 (inclusive) to 1 (exclusive), for jitter.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        self.0.lock().rng.random()
    }
}

impl Drawer {
    fn next_id(&mut self, unix_ms: u64) -> LastId {
        match self.last_id {
            Some(last) if unix_ms <= last.unix_ms => {
                // A random step, so that one id does not reveal the next.
                let step = u128::from(self.rng.next_u32()) + 1;
                let tail = last.tail + step;
                if tail >> TAIL_BITS == 0 {
                    LastId { tail, ..last }
                } else {
                    self.fresh(last.unix_ms + 1)
                }
            }
            _ => self.fresh(unix_ms),
        }
    }

    /// Draws a tail in the lower half of its range, which leaves room for many steps within the millisecond.
    fn fresh(&mut self, unix_ms: u64) -> LastId {
        let tail = self.rng.random::<u128>() >> (u128::BITS - TAIL_BITS + 1);
        LastId { unix_ms, tail }
    }
}

impl LastId {
    fn uuid(self) -> Uuid {
        let low = self.tail & ((1 << 62) - 1);
        let high = self.tail >> 62;
        let mut random = [0; 10];
        random[..2].copy_from_slice(&(high as u16).to_be_bytes());
        random[2..].copy_from_slice(&(low as u64).to_be_bytes());
        Builder::from_unix_timestamp_millis(self.unix_ms, &random).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn noon() -> DateTime<Utc> {
        "2026-11-20T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn ids_are_uuid_v7_of_the_given_time() {
        let id: Uuid = Chance::system().id(noon());
        assert_eq!(id.get_version_num(), 7);
        assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
        let (seconds, nanos) = id.get_timestamp().unwrap().to_unix();
        assert_eq!((seconds as i64, nanos), (noon().timestamp(), 0));
    }

    #[test]
    fn ids_ascend_within_a_millisecond_and_when_the_clock_goes_back() {
        let chance = Chance::seeded(1);
        let mut last = Uuid::nil();
        for step in 0..20_000 {
            let id: Uuid = chance
                .clone()
                .id(noon() - TimeDelta::milliseconds(step / 100));
            assert!(id > last, "{id} after {last}");
            last = id;
        }
    }

    #[test]
    fn each_id_has_its_own_time_as_long_as_there_is_room_in_it() {
        let chance = Chance::seeded(2);
        for at in [noon(), noon() + TimeDelta::milliseconds(1)] {
            for _ in 0..1000 {
                let id: Uuid = chance.id(at);
                let (seconds, nanos) = id.get_timestamp().unwrap().to_unix();
                let told = DateTime::from_timestamp(seconds as i64, nanos);
                assert_eq!(told, Some(at));
            }
        }
    }

    #[test]
    fn a_millisecond_begins_in_the_lower_half_of_its_ids() {
        let firsts: Vec<u128> = (0..200)
            .map(|seed| Chance::seeded(seed).0.lock().fresh(0).tail)
            .collect();
        assert!(firsts.iter().all(|tail| tail >> (TAIL_BITS - 1) == 0));
        assert!(firsts.iter().any(|tail| tail >> (TAIL_BITS - 2) == 1));
    }

    #[test]
    fn ids_ascend_as_their_tails_do() {
        let id = |tail| LastId { unix_ms: 1, tail }.uuid();
        let tails = [0, 1, (1 << 62) - 1, 1 << 62, 1 << 73, (1 << TAIL_BITS) - 1];
        let ids = tails.map(id);
        assert!(ids.is_sorted() && ids[0] < ids[5], "{ids:?}");
        assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "{ids:?}");
    }

    #[test]
    fn a_used_up_millisecond_borrows_from_the_next() {
        let chance = Chance::seeded(1);
        let unix_ms = noon().timestamp_millis() as u64;
        let full = LastId {
            unix_ms,
            tail: (1 << TAIL_BITS) - 1,
        };
        chance.0.lock().last_id = Some(full);
        let id: Uuid = chance.id(noon());
        assert!(id > full.uuid());
        assert_eq!(id.get_timestamp().unwrap().to_unix().1, 1_000_000);
    }

    #[test]
    fn codes_and_tokens_have_their_form_and_never_repeat() {
        let chance = Chance::system();
        let code = chance.session_code();
        assert_eq!(code.len(), 40);
        assert!(code.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
        assert_ne!(code, chance.session_code());
        assert_eq!(URL_SAFE_NO_PAD.decode(chance.token()).unwrap().len(), 32);
        assert_ne!(chance.token(), chance.token());
    }

    #[test]
    fn fences_are_positive_and_far_apart() {
        let chance = Chance::seeded(4);
        let mut fences: Vec<i64> = (0..1000).map(|_| chance.fence()).collect();
        fences.sort_unstable();
        assert!(fences[0] > 0);
        // A counter, or a random start with a counter, would be closer.
        assert!(fences.windows(2).all(|pair| pair[1] - pair[0] > 1 << 20));
    }

    #[test]
    fn the_same_seed_draws_the_same_and_another_seed_does_not() {
        let draw = |seed| {
            let chance = Chance::seeded(seed);
            (
                chance.bytes::<8>(),
                chance.id::<Uuid>(noon()),
                chance.token(),
            )
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn fractions_lie_between_zero_and_one_and_spread() {
        let chance = Chance::seeded(3);
        let drawn: Vec<f64> = (0..1000).map(|_| chance.fraction()).collect();
        assert!(drawn.iter().all(|f| (0.0..1.0).contains(f)));
        assert!(drawn.iter().any(|f| *f < 0.1) && drawn.iter().any(|f| *f > 0.9));
    }
}
