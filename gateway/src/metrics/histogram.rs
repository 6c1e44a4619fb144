//! Seconds in buckets, as Prometheus has them: plain numbers, where the library's are shared by all threads.

use std::fmt::Write as _;
use std::time::Duration;

/// How many took how long.
#[derive(Debug)]
pub(crate) struct Histogram<const N: usize> {
    /// The most seconds of each bucket, growing.
    bounds: &'static [f64; N],
    /// In each bucket and not in the one before.
    counts: [u64; N],
    count: u64,
    sum: Duration,
}

impl<const N: usize> Histogram<N> {
    pub(crate) fn new(bounds: &'static [f64; N]) -> Self {
        Self { bounds, counts: [0; N], count: 0, sum: Duration::ZERO }
    }

    pub(crate) fn record(&mut self, elapsed: Duration) {
        let seconds = elapsed.as_secs_f64();
        if let Some(bucket) = self.bounds.iter().position(|bound| seconds <= *bound) {
            self.counts[bucket] += 1;
        }
        self.count += 1;
        self.sum = self.sum.saturating_add(elapsed);
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Adds one with the same bounds.
    pub(crate) fn add(&mut self, other: &Self) {
        for (own, other) in self.counts.iter_mut().zip(other.counts) {
            *own += other;
        }
        self.count += other.count;
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// Its lines in Prometheus' text format. `labels` are `a="b",c="d"`, or nothing.
    pub(super) fn write(&self, text: &mut String, name: &str, labels: &str) {
        let comma = if labels.is_empty() { "" } else { "," };
        let mut below = 0;
        for (bound, count) in self.bounds.iter().zip(self.counts) {
            below += count;
            let _ = writeln!(text, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {below}");
        }
        let (count, sum) = (self.count, self.sum.as_secs_f64());
        let labelled = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let _ = writeln!(text, "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}");
        let _ = writeln!(text, "{name}_sum{labelled} {sum}\n{name}_count{labelled} {count}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_written_as_prometheus_reads_them() {
        let (mut one, mut other) = (Histogram::new(&[0.005, 1.0]), Histogram::new(&[0.005, 1.0]));
        one.record(Duration::from_millis(5));
        one.record(Duration::from_millis(495));
        other.record(Duration::from_millis(1500));
        one.add(&other);
        let mut text = String::new();
        one.write(&mut text, "a", "");
        let expected =
            "a_bucket{le=\"0.005\"} 1\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 3\na_sum 2\na_count 3\n";
        assert_eq!(text, expected);
        text.clear();
        one.write(&mut text, "a", "b=\"c\"");
        assert!(text.starts_with("a_bucket{b=\"c\",le=\"0.005\"} 1\n"), "{text}");
        assert!(text.ends_with("a_sum{b=\"c\"} 2\na_count{b=\"c\"} 3\n"), "{text}");
    }
}
