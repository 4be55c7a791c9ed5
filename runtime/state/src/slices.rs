//! Event time in slices: the least pieces that windows are made of. A row touches one slice, and a window merges
//! its slices when it gives its result, so that a row of an hour's windows that begin every second costs no
//! more than one of windows without overlap.

use headworks_sql::keyed::Window;

/// Times beyond are unusable: sums of them and of sizes could overflow. Some 36 million years.
const LIMIT: i64 = i64::MAX / 8;

/// The slices of a kind of window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slices {
    window: Window,
    width: i64,
}

impl Slices {
    /// Absent for sessions, which have none, and for sizes without meaning.
    pub(crate) fn new(window: Window) -> Option<Slices> {
        let (width, longest) = match window {
            Window::Tumble { size, .. } => (size, size),
            Window::Hop { size, slide, .. } => (slide, size),
            Window::Cumulate { max, step, .. } => (step, max),
            Window::Session { .. } => return None,
        };
        (width > 0 && longest >= width && longest < LIMIT).then_some(Slices { window, width })
    }

    /// Where the slice of a time begins; `None`: the time is too far from now to be true.
    pub(crate) fn of(&self, time: i64) -> Option<i64> {
        if !(-LIMIT..LIMIT).contains(&time) {
            return None;
        }
        let floor = |time: i64, width: i64, offset: i64| time - (time - offset).rem_euclid(width);
        Some(match self.window {
            Window::Cumulate { max, step, offset } => {
                let start = floor(time, max, offset);
                start + (time - start) / step * step
            }
            Window::Tumble { offset, .. } | Window::Hop { offset, .. } => {
                floor(time, self.width, offset)
            }
            Window::Session { .. } => time,
        })
    }

    /// How long a slice is.
    pub(crate) fn width(&self) -> i64 {
        self.width
    }

    /// The end of the last window that a slice belongs to.
    pub(crate) fn last_end(&self, slice: i64) -> i64 {
        match self.window {
            Window::Tumble { size, .. } | Window::Hop { size, .. } => slice + size,
            Window::Cumulate { max, offset, .. } => slice - (slice - offset).rem_euclid(max) + max,
            Window::Session { gap } => slice + gap,
        }
    }

    /// The windows a slice belongs to that end after `after` and not after `until`: start and end.
    pub(crate) fn windows(
        &self,
        slice: i64,
        after: i64,
        until: i64,
    ) -> impl Iterator<Item = (i64, i64)> + use<> {
        let last = self.last_end(slice);
        let width = self.width;
        let first = slice + width;
        let window = self.window;
        // Ends are `width` apart: begin at the first one that counts.
        let skipped = (after.max(first - width) - (first - width)).div_euclid(width);
        let begin = first.saturating_add(skipped.saturating_mul(width));
        let mut end = begin;
        std::iter::from_fn(move || {
            (end <= last.min(until)).then(|| {
                let this = end;
                end += width;
                let start = match window {
                    Window::Hop { size, .. } => this - size,
                    _ => last - longest(window),
                };
                (start, this)
            })
        })
    }
}

fn longest(window: Window) -> i64 {
    match window {
        Window::Tumble { size, .. } | Window::Hop { size, .. } => size,
        Window::Cumulate { max, .. } => max,
        Window::Session { gap } => gap,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(window: Window, time: i64) -> Vec<(i64, i64)> {
        let slices = Slices::new(window).unwrap();
        let slice = slices.of(time).unwrap();
        assert!(slice <= time && time < slice + slices.width());
        slices.windows(slice, i64::MIN, i64::MAX).collect()
    }

    #[test]
    fn a_time_is_in_the_windows_that_sql_says() {
        let tumble = Window::Tumble {
            size: 10,
            offset: 3,
        };
        assert_eq!(windows(tumble, 2), [(-7, 3)]);
        assert_eq!(windows(tumble, 3), [(3, 13)]);
        let hop = Window::Hop {
            size: 30,
            slide: 10,
            offset: 0,
        };
        assert_eq!(windows(hop, -1), [(-30, 0), (-20, 10), (-10, 20)]);
        let cumulate = Window::Cumulate {
            max: 30,
            step: 10,
            offset: 5,
        };
        assert_eq!(windows(cumulate, 16), [(5, 25), (5, 35)]);
        assert_eq!(windows(cumulate, 34), [(5, 35)]);
    }

    #[test]
    fn windows_are_asked_for_by_their_end() {
        let slices = Slices::new(Window::Hop {
            size: 30,
            slide: 10,
            offset: 0,
        })
        .unwrap();
        let ends =
            |after, until| -> Vec<i64> { slices.windows(0, after, until).map(|w| w.1).collect() };
        assert_eq!(ends(10, 20), [20]);
        assert_eq!(ends(9, 30), [10, 20, 30]);
        assert_eq!(ends(30, i64::MAX), Vec::<i64>::new());
        assert_eq!(ends(i64::MIN, 9), Vec::<i64>::new());
    }

    #[test]
    fn absurd_times_have_no_slice() {
        let slices = Slices::new(Window::Tumble {
            size: 10,
            offset: 0,
        })
        .unwrap();
        assert_eq!(slices.of(i64::MAX), None);
        assert_eq!(slices.of(i64::MIN), None);
    }
}
