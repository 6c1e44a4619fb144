//! Competitors under load, in turns, and the medians of what they did.
//!
//! All share the machine's cores with the load. A ratio is the median of the turns' own ratios: what else happens on the
//! machine meets those of one turn more alike than those of different turns.

use std::time::Duration;

use crate::load::{Load, Wrk};
use crate::process;
use crate::samples::{median, milliseconds};

/// How often each competitor is measured.
pub(crate) const TURNS: usize = 3;
/// Connections, pools and caches are then as they are after a while.
const WARM_UP: Duration = Duration::from_secs(1);
/// Times the length of a run. The kernel balances cores by what it has met, under others too: the gateway right after
/// nginx with two workers has both cores idle twice as long, for 4 to 8 s, as from then on (ADR 16).
const SETTLING: u32 = 3;

/// One run of load, and what each process that was watched used for a request.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) load: Load,
    pub(crate) used: Vec<Used>,
}

/// Seconds of processor time per request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Used {
    pub(crate) own: f64,
    /// By its children that have ended.
    pub(crate) children: f64,
}

impl Run {
    /// By all processes that were watched, together.
    pub(crate) fn own(&self) -> f64 {
        self.used.iter().map(|used| used.own).sum()
    }
}

/// Loads `url` and watches processes.
pub(crate) fn load(wrk: &Wrk, url: &str, watched: &[u32]) -> anyhow::Result<Run> {
    watch(watched, || wrk.run(url))
}

/// Does `work` and watches processes.
pub(crate) fn watch(watched: &[u32], work: impl FnOnce() -> anyhow::Result<Load>) -> anyhow::Result<Run> {
    let times = || watched.iter().map(|&pid| process::time(pid)).collect::<anyhow::Result<Vec<_>>>();
    let before = times()?;
    let load = work()?;
    let each = |time: Duration| time.as_secs_f64() / f64::from(load.requests.max(1));
    let used = times()?.into_iter().zip(before).map(|(after, before)| after.since(before));
    let used = used.map(|time| Used { own: each(time.own), children: each(time.children) }).collect();
    Ok(Run { load, used })
}

/// The same, once nothing is left of what others did before.
pub(crate) fn load_settled(wrk: &Wrk, url: &str, watched: &[u32]) -> anyhow::Result<Run> {
    Wrk { duration: wrk.duration * SETTLING, ..wrk.clone() }.run(url)?;
    load(wrk, url, watched)
}

/// Loads `url` for a moment, for nothing.
pub(crate) fn warm_up(wrk: &Wrk, url: &str) -> anyhow::Result<()> {
    Wrk { duration: WARM_UP, ..wrk.clone() }.run(url).map(drop)
}

/// The runs of one competitor.
#[derive(Debug, Default)]
pub(crate) struct Runs(Vec<Run>);

/// Runs one after the other, thrice over.
pub(crate) fn in_turns<const N: usize>(
    competitors: [&dyn Fn() -> anyhow::Result<Run>; N],
) -> anyhow::Result<[Runs; N]> {
    let mut all = std::array::from_fn(|_| Runs::default());
    for _ in 0..TURNS {
        for (runs, competitor) in all.iter_mut().zip(competitors) {
            runs.0.push(competitor()?);
        }
    }
    Ok(all)
}

impl Runs {
    pub(crate) fn per_second(&self) -> f64 {
        self.median(|run| run.load.per_second)
    }

    pub(crate) fn used(&self, process: usize) -> Used {
        Used {
            own: self.median(|run| run.used[process].own),
            children: self.median(|run| run.used[process].children),
        }
    }

    /// By all processes that were watched, together.
    pub(crate) fn own(&self) -> f64 {
        self.median(Run::own)
    }

    /// The median of the runs' 99th percentiles.
    pub(crate) fn p99(&self) -> Duration {
        Duration::from_secs_f64(self.median(|run| run.load.p99.as_secs_f64()))
    }

    /// `p50 1.2 ms, p99 3.4 ms`.
    pub(crate) fn latency(&self) -> String {
        let latency = |number: fn(&Load) -> Duration| {
            milliseconds(Duration::from_secs_f64(self.median(|run| number(&run.load).as_secs_f64())))
        };
        format!("p50 {}, p99 {}", latency(|load| load.p50), latency(|load| load.p99))
    }

    /// How many times as much as `reference`.
    pub(crate) fn ratio(&self, reference: &Self, number: impl Fn(&Run) -> f64) -> f64 {
        median(self.0.iter().zip(&reference.0).map(|(ours, theirs)| number(ours) / number(theirs)))
    }

    /// How much more than `reference`.
    pub(crate) fn difference(&self, reference: &Self, number: impl Fn(&Run) -> f64) -> f64 {
        median(self.0.iter().zip(&reference.0).map(|(ours, theirs)| number(ours) - number(theirs)))
    }

    /// How many times as fast as `reference`.
    pub(crate) fn rate_ratio(&self, reference: &Self) -> f64 {
        self.ratio(reference, |run| run.load.per_second)
    }

    pub(crate) fn median(&self, number: impl Fn(&Run) -> f64) -> f64 {
        median(self.0.iter().map(number))
    }
}

/// `12.3 µs`.
pub(crate) fn microseconds(seconds: f64) -> String {
    format!("{:.1} µs", seconds * 1e6)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn ratios_are_of_the_same_turn() {
        let turn = Cell::new(0.0);
        let run = |per_second: f64| {
            let load = Load { requests: 1, per_second, p50: Duration::ZERO, p99: Duration::from_millis(2) };
            Ok(Run { load, used: Vec::new() })
        };
        let theirs = || {
            turn.set(turn.get() + 1.0);
            run(100.0 * turn.get())
        };
        let ours = || run(50.0 * turn.get());
        let [theirs, ours] = in_turns([&theirs, &ours]).unwrap();
        assert!((ours.rate_ratio(&theirs) - 0.5).abs() < 1e-9);
        assert!((theirs.per_second() - 200.0).abs() < 1e-9);
        assert_eq!(ours.latency(), "p50 0.0 ms, p99 2.0 ms");
    }
}
