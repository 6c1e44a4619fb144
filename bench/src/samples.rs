//! Durations of one thing done many times.

use std::time::{Duration, Instant};

/// At least one sample.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    pub(crate) fn push(&mut self, sample: Duration) {
        let place = self.0.partition_point(|other| *other <= sample);
        self.0.insert(place, sample);
    }

    pub(crate) fn p50(&self) -> Duration {
        self.percentile(50)
    }

    pub(crate) fn p99(&self) -> Duration {
        self.percentile(99)
    }

    /// `p95 12.3 ms, n=30`.
    pub(crate) fn spread(&self) -> String {
        format!("p95 {}, n={}", milliseconds(self.percentile(95)), self.0.len())
    }

    /// The smallest sample that so many per cent do not exceed.
    fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100);
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

impl FromIterator<Duration> for Samples {
    fn from_iter<I: IntoIterator<Item = Duration>>(durations: I) -> Self {
        let mut durations: Vec<_> = durations.into_iter().collect();
        durations.sort_unstable();
        Self(durations)
    }
}

/// The middle of numbers, the lower one of two.
pub(crate) fn median(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let mut numbers: Vec<_> = numbers.into_iter().collect();
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

/// How long `action` takes.
pub(crate) fn timed<T>(action: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    let result = action();
    (result, started.elapsed())
}

pub(crate) fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples() {
        let numbers = [5, 1, 4, 2, 3].map(Duration::from_millis);
        let mut pushed = Samples::default();
        for number in numbers {
            pushed.push(number);
        }
        for samples in [pushed, numbers.into_iter().collect()] {
            assert_eq!(samples.p50(), Duration::from_millis(3));
            assert_eq!(samples.p99(), Duration::from_millis(5));
            assert_eq!(samples.spread(), "p95 5.0 ms, n=5");
        }
    }

    #[test]
    fn the_median_ignores_order() {
        for (numbers, expected) in [(vec![3.0, 1.0, 2.0], 2.0), (vec![7.0], 7.0), (vec![4.0, 2.0], 2.0)] {
            assert!((median(numbers) - expected).abs() < f64::EPSILON);
        }
    }
}
