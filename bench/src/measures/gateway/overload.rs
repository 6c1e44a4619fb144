//! A function that takes ten requests at a time and 20 ms for each, asked five times as often as it can answer.
//!
//! The peak is what ten clients get that each ask again when they have their answer. The overload comes at a constant
//! rate, whatever becomes of the requests before, so whoever is refused adds no load by trying again at once. Latency is of
//! no interest here: what counts is that the function stays as busy as before, that all others are told at once to come
//! back later, and that they leave nothing behind.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use anyhow::Context as _;
use faas_api::Terms;

use super::NAME;
use super::latency::paced_time;
use crate::args::Args;
use crate::gateway::Gateway;
use crate::handler::Handler;
use crate::paced::{self, Outcome, Pace, Paced};
use crate::process::{megabytes, memory, peak, reset_peak};
use crate::report::{Report, Row};
use crate::routes::Function;
use crate::runs::TURNS;
use crate::samples::median;

const AT_A_TIME: u32 = 10;
const WORK: Duration = Duration::from_millis(20);
/// Five times 10 / 20 ms.
const RATE: u32 = 2_500;
/// Goodput for the peak = 1.
const GOODPUT_LEAST: f64 = 0.8;
/// Beyond it the function was given more than it takes, and nothing was measured.
const GOODPUT_MOST: f64 = 1.25;
/// The most memory in any overload, for that after a moment with all connections that the load may have = 1.
const GROWTH_MOST: f64 = 1.05;

pub(crate) fn run(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let handler = Handler::start(WORK)?;
    let terms = Terms { max_inflight: NonZeroUsize::new(AT_A_TIME as usize), ..Terms::default() };
    let gateway = Gateway::start(&[Function { terms, ..Function::at(NAME, &handler.address) }])?;
    let paced = Paced::get(gateway.addresses.gateway, [format!("/function/{NAME}")]);
    let duration = paced_time(args);
    paced.run(Pace::Clients(count(paced::MOST)?), Duration::from_secs(1))?;
    let before = memory(gateway.pid())?.resident;
    let (mut peaks, mut overloads, mut most) = (Vec::new(), Vec::new(), 0);
    for _ in 0..TURNS {
        peaks.push(paced.run(Pace::Clients(count(AT_A_TIME)?), duration)?);
        reset_peak(gateway.pid())?;
        overloads.push(paced.run(Pace::PerSecond(count(RATE)?), duration)?);
        most = most.max(peak(gateway.pid())?);
    }
    print_goodput(&peaks, &overloads, duration, report);
    print_refusals(&overloads, report);
    print_memory(before, most, report);
    Ok(())
}

fn count(number: u32) -> anyhow::Result<NonZeroU32> {
    NonZeroU32::new(number).context("a count above zero")
}

fn print_goodput(peaks: &[Outcome], overloads: &[Outcome], duration: Duration, report: &mut Report) {
    let per_second = |outcome: &Outcome| f64::from(outcome.good) / duration.as_secs_f64();
    let middle = |outcomes: &[Outcome]| format!("{:.0}", median(outcomes.iter().map(per_second)));
    let row = Row::new(format!("answers/s to {AT_A_TIME} clients"), middle(peaks));
    let refused = peaks.iter().map(|outcome| outcome.refused + outcome.bad).sum::<u32>();
    report
        .add(&row.beside(format!("{AT_A_TIME} at a time, {} ms each; {refused} refused", WORK.as_millis())));
    let turns = overloads.iter().zip(peaks);
    let ratio = median(turns.map(|(overload, peak)| per_second(overload) / per_second(peak)));
    let row = Row::new(format!("answers/s at {RATE} requests/s"), middle(overloads));
    let row = row.beside(format!("{ratio:.2} × that"));
    report.add(&row.gate(
        format!("{GOODPUT_LEAST} × to {GOODPUT_MOST} ×"),
        (GOODPUT_LEAST..=GOODPUT_MOST).contains(&ratio),
    ));
}

fn print_refusals(overloads: &[Outcome], report: &mut Report) {
    let sum = |number: fn(&Outcome) -> u32| overloads.iter().map(number).sum::<u32>();
    let bad = sum(|outcome| outcome.bad);
    let row = Row::new("neither 200 nor 429 with Retry-After", bad.to_string());
    let example =
        overloads.iter().find(|outcome| outcome.bad > 0).map(|outcome| outcome.example().to_owned());
    let example = example.map(|example| format!("; one was {example}")).unwrap_or_default();
    let beside = format!("of {}; {} with it{example}", sum(Outcome::all), sum(|outcome| outcome.refused));
    report.add(&row.beside(beside).gate("0", bad == 0));
}

fn print_memory(before: u64, most: u64, report: &mut Report) {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let ratio = most as f64 / before as f64;
    let row = Row::new("gateway, most memory", megabytes(most));
    let beside = format!("{ratio:.3} × the {} after {} clients at once", megabytes(before), paced::MOST);
    report.add(&row.beside(beside).gate(format!("≤ {GROWTH_MOST} ×"), ratio <= GROWTH_MOST));
}
