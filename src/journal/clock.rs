//! The clock as an argument, and the arrival clock that never goes back.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tracing::warn;

use crate::model::time::SECOND;
use crate::model::{Span, Timestamp};

/// Wall-clock jumps beyond this are a fault of the host and not followed at once.
const JUMP_MAX: Span = Span::seconds(60);
/// A jumped wall clock is followed once it has been stable for this long.
const STABLE: Span = Span::seconds(600);
/// The most that one reading is slewed towards the wall clock, as a share of the time passed.
const SLEW: i64 = 200;

/// Where time comes from.
pub trait Clock: Send + Sync {
    /// The wall clock.
    fn wall(&self) -> Timestamp;
    /// Nanoseconds that only grow, from an arbitrary beginning.
    fn monotonic(&self) -> i64;
}

/// The host's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    began: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { began: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_nanos()).unwrap_or(i64::MAX)
    }
}

/// Arrival time: the wall clock at start, then the monotonic clock, slewed towards the wall clock.
/// It never goes back; a jump of the wall clock over a minute is not followed until it has been
/// stable for ten minutes.
pub struct ArrivalClock<'a> {
    clock: &'a dyn Clock,
    now: Timestamp,
    monotonic: i64,
    jumped: Option<(i64, i64)>,
}

impl<'a> ArrivalClock<'a> {
    /// A clock that begins at the wall clock, or at `not_before` if the host's is behind.
    #[must_use]
    pub fn new(clock: &'a dyn Clock, not_before: Timestamp) -> Self {
        let wall = clock.wall();
        if wall < not_before {
            warn!(%wall, last_arrival = %not_before, "the host's clock is behind the journal; arrival times wait for it");
        }
        Self { clock, now: wall.max(not_before), monotonic: clock.monotonic(), jumped: None }
    }

    /// The arrival time now.
    pub fn now(&mut self) -> Timestamp {
        let monotonic = self.clock.monotonic();
        let passed = (monotonic - self.monotonic).max(0);
        self.monotonic = monotonic;
        let steady = self.now.plus(Span(passed));
        let off = self.clock.wall().since(steady).0;
        if off.abs() > JUMP_MAX.0 {
            self.now = self.jump(steady, off, monotonic);
        } else {
            self.jumped = None;
            let slew = off.clamp(-passed / SLEW, passed / SLEW);
            self.now = self.now.max(steady.plus(Span(slew)));
        }
        self.now
    }

    /// How far the wall clock is ahead, in whole seconds, while it is not followed; 0: it is followed.
    #[must_use]
    pub fn ahead_seconds(&self) -> i64 {
        self.jumped.map_or(0, |(_, held)| held / SECOND)
    }

    fn jump(&mut self, steady: Timestamp, off: i64, monotonic: i64) -> Timestamp {
        match self.jumped {
            Some((since, held)) if (off - held).abs() < SECOND => {
                if monotonic - since >= STABLE.0 && off > 0 {
                    warn!(
                        seconds = off / SECOND,
                        "the host's clock has been stable after its jump; followed"
                    );
                    self.jumped = None;
                    return steady.plus(Span(off));
                }
            }
            _ => {
                warn!(
                    seconds = off / SECOND,
                    "the host's clock jumped; not followed until it is stable for ten minutes"
                );
                self.jumped = Some((monotonic, off));
            }
        }
        steady
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    #[derive(Default)]
    struct Fake {
        wall: AtomicI64,
        monotonic: AtomicI64,
    }

    impl Fake {
        fn pass(&self, seconds: i64, wall: i64) {
            self.monotonic.fetch_add(seconds * SECOND, Ordering::Relaxed);
            self.wall.fetch_add(wall * SECOND, Ordering::Relaxed);
        }
    }

    impl Clock for Fake {
        fn wall(&self) -> Timestamp {
            Timestamp(self.wall.load(Ordering::Relaxed))
        }
        fn monotonic(&self) -> i64 {
            self.monotonic.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn it_is_slewed_towards_the_wall_clock_by_a_two_hundredth_either_way() {
        for (wall, slewed) in [(101, 100_500), (99, 99_500), (100, 100_000)] {
            let fake = Fake::default();
            let mut clock = ArrivalClock::new(&fake, Timestamp::MIN);
            fake.pass(100, wall);
            assert_eq!(clock.now(), Timestamp(slewed * SECOND / 1_000), "{wall}");
        }
    }

    #[test]
    fn an_hours_jump_is_not_followed_until_it_is_stable() {
        let fake = Fake::default();
        let mut clock = ArrivalClock::new(&fake, Timestamp::MIN);
        fake.pass(10, 3_610);
        assert_eq!(clock.now(), Timestamp(10 * SECOND));
        fake.pass(300, 300);
        assert_eq!(clock.now(), Timestamp(310 * SECOND));
        fake.pass(301, 301);
        assert_eq!(clock.now(), Timestamp(4_211 * SECOND));
    }

    #[test]
    fn it_says_how_far_a_jumped_clock_is_ahead_until_it_is_followed() {
        let fake = Fake::default();
        let mut clock = ArrivalClock::new(&fake, Timestamp::MIN);
        let mut ahead = |fake: &Fake, seconds, wall| {
            fake.pass(seconds, wall);
            clock.now();
            clock.ahead_seconds()
        };
        assert_eq!(ahead(&fake, 1, 31), 0, "half a minute is slewed");
        assert_eq!(ahead(&fake, 1, 3_601), 3_629);
        assert_eq!(ahead(&fake, 300, 300), 3_629);
        assert_eq!(ahead(&fake, 1, -7_199), -3_570, "set back too far");
        assert_eq!(ahead(&fake, 1, 3_601), 0, "set right");
        assert_eq!(ahead(&fake, 1, 3_601), 3_629);
        assert_eq!(ahead(&fake, 601, 601), 0, "stable for ten minutes, and followed");
    }

    #[test]
    fn it_never_goes_back() {
        let fake = Fake::default();
        let mut clock = ArrivalClock::new(&fake, Timestamp(100 * SECOND));
        assert!(clock.now() >= Timestamp(100 * SECOND));
        fake.pass(1, -50);
        assert!(clock.now() >= Timestamp(101 * SECOND));
    }
}
