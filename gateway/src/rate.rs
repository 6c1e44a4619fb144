//! How often something happens, over the last minute: counted in this minute and the one before, of which less and less
//! is counted as this one passes.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::lock::lock;

const WINDOW: Duration = Duration::from_mins(1);

/// One thing's.
#[derive(Debug, Default)]
pub(crate) struct Rate(Mutex<Option<Window>>);

#[derive(Debug, Clone, Copy)]
struct Window {
    begun: Instant,
    now: u32,
    before: u32,
}

impl Rate {
    /// It happened.
    pub(crate) fn count(&self) {
        let mut window = lock(&self.0);
        let mut current = Window::at(*window, Instant::now());
        current.now = current.now.saturating_add(1);
        *window = Some(current);
    }

    /// Times a second.
    pub(crate) fn per_second(&self) -> f64 {
        let window = *lock(&self.0);
        let now = Instant::now();
        let window = Window::at(window, now);
        let passed = now.duration_since(window.begun).div_duration_f64(WINDOW);
        (f64::from(window.now) + f64::from(window.before) * (1.0 - passed)) / WINDOW.as_secs_f64()
    }
}

impl Window {
    /// The window that `now` is in.
    fn at(known: Option<Self>, now: Instant) -> Self {
        let new = Self { begun: now, now: 0, before: 0 };
        let Some(known) = known else { return new };
        match now.duration_since(known.begun).div_duration_f64(WINDOW) {
            passed if passed < 1.0 => known,
            passed if passed < 2.0 => Self { begun: known.begun + WINDOW, now: 0, before: known.now },
            _ => new,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_long_ago_counts_no_more() {
        let rate = Rate::default();
        assert!(rate.per_second() < 1e-9);
        for _ in 0..120 {
            rate.count();
        }
        let about =
            |expected: f64| assert!((rate.per_second() - expected).abs() < 0.1, "{}", rate.per_second());
        about(2.0);
        tokio::time::advance(Duration::from_secs(59)).await;
        about(2.0);
        tokio::time::advance(Duration::from_secs(2)).await;
        rate.count();
        about(2.0);
        tokio::time::advance(Duration::from_secs(30)).await;
        about(1.0);
        tokio::time::advance(Duration::from_mins(3)).await;
        about(0.0);
        // Once, and then once more in the minute that follows: a silent half minute between them counts.
        (0..120).for_each(|_| rate.count());
        tokio::time::advance(Duration::from_secs(90)).await;
        rate.count();
        about(1.0);
    }
}
