//! A Pipeline's figures in its status.

use headworks_crds::{DeadLetterStatus, PipelineStatus, StateStatus};

use crate::{
    controller::ShownFigures,
    reports::{Coarse, CoarseState},
    workload::figures::{ShowsFigures, count_of, delay, delay_of, instant, rate, rate_of, size},
};

impl ShowsFigures for PipelineStatus {
    fn letters(&mut self) -> &mut DeadLetterStatus {
        &mut self.letters
    }

    fn rest(&mut self) {
        (self.rate, self.lag, self.delay) = (None, None, None);
    }

    fn show(&mut self, figures: Coarse) {
        self.rate = Some(rate(figures.rate));
        self.lag = figures.lag.and_then(|lag| i64::try_from(lag).ok());
        self.delay = figures.delay_ms.map(delay);
        self.last_commit_time = figures.last_commit_ms.and_then(instant);
        // Whose state it is, is not for the pods to say.
        if let (Some(shown), Some(now)) = (&mut self.state, figures.state) {
            state(shown, now);
        }
    }

    fn shown(&self) -> ShownFigures {
        let pace = self.rate.as_deref().map(|shown| Coarse {
            rate: rate_of(Some(shown)),
            lag: self.lag.and_then(|lag| u64::try_from(lag).ok()),
            delay_ms: delay_of(self.delay.as_deref()),
            last_commit_ms: self.last_commit_time.as_ref().map(|t| t.0.as_millisecond()),
            state: self.state.as_ref().and_then(state_of),
            ..Coarse::default()
        });
        ShownFigures {
            letters: self.letters.clone(),
            pace,
        }
    }
}

fn state(shown: &mut StateStatus, now: CoarseState) {
    shown.size = Some(size(now.bytes));
    shown.keys = i64::try_from(now.keys).ok();
    shown.late = i64::try_from(now.late).ok();
    shown.restore = now.restore_ms.map(delay);
    shown.watermark = now.watermark_ms.and_then(instant);
    shown.hot_key = now.hot_key.map(|key| key.chars().take(128).collect());
    shown.waits_for = now.waits_for.map(|place| place.chars().take(300).collect());
}

fn state_of(shown: &StateStatus) -> Option<CoarseState> {
    let size: headworks_crds::Quantity = shown.size.as_deref()?.parse().ok()?;
    Some(CoarseState {
        bytes: size.value(),
        keys: count_of(shown.keys),
        late: count_of(shown.late),
        restore_ms: delay_of(shown.restore.as_deref()),
        watermark_ms: shown.watermark.as_ref().map(|t| t.0.as_millisecond()),
        hot_key: shown.hot_key.clone(),
        waits_for: shown.waits_for.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_back_as_it_was_shown() {
        for (bytes, text) in [
            (0, "0"),
            (1 << 10, "1Ki"),
            (340 << 20, "340Mi"),
            (1_288_490_188, "1.2Gi"),
            (10_307_921_510, "9.6Gi"),
        ] {
            assert_eq!(size(bytes), text);
            let coarse = CoarseState {
                bytes,
                keys: 12,
                late: 3,
                restore_ms: Some(4_000),
                watermark_ms: Some(1_767_225_600_000),
                hot_key: Some("a".into()),
                waits_for: Some("orders[1]".into()),
            };
            let mut shown = StateStatus::default();
            state(&mut shown, coarse.clone());
            assert_eq!(state_of(&shown), Some(coarse));
        }
    }
}
