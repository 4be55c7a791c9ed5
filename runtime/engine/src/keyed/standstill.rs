//! Which partition of the inputs the watermark waits for, once it has waited for a while: what a status names where nothing comes out.

use std::time::Duration;

use super::watermarks::Slowest;

/// A partition that is behind for so long is named.
const STANDS_STILL: Duration = Duration::from_secs(30);

/// Since when the watermark has been waiting for the same partition, at the same event time.
#[derive(Debug, Default)]
pub(crate) struct Standstill {
    seen: Option<(Slowest, Duration)>,
}

impl Standstill {
    /// Takes what the watermark waits for now; gives it once it has been that for half a minute.
    pub(crate) fn observe(&mut self, slowest: Option<Slowest>, now: Duration) -> Option<Slowest> {
        let slowest = slowest?;
        let since = match self.seen {
            Some((known, since)) if known == slowest => since,
            _ => now,
        };
        self.seen = Some((slowest, since));
        (now.saturating_sub(since) >= STANDS_STILL).then_some(slowest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_last_is_named_once_its_time_has_stood_still_for_half_a_minute() {
        let mut standstill = Standstill::default();
        let at = Duration::from_secs;
        let slowest = |watermark_ms| {
            Some(Slowest {
                watermark_ms,
                topic: 1,
                partition: Some(2),
            })
        };
        assert_eq!(standstill.observe(slowest(Some(5)), at(0)), None);
        assert_eq!(standstill.observe(slowest(Some(6)), at(29)), None);
        assert_eq!(standstill.observe(slowest(Some(6)), at(58)), None);
        assert_eq!(
            standstill.observe(slowest(Some(6)), at(59)),
            slowest(Some(6))
        );
        assert_eq!(standstill.observe(None, at(60)), None, "nobody is behind");
        assert_eq!(standstill.observe(slowest(Some(7)), at(90)), None);
    }
}
