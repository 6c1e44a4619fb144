//! Jobs of an installation over NATS of which parts are killed: every one that was answered 202 runs at least once.

mod clients;
mod gateway;
mod parts;

use faas_testing::wait_for;

use crate::recorder::Recorder;
use crate::rounds;
use clients::{Clients, Told};
use parts::{Part, Parts};

const CLIENTS: usize = 64;
/// Jobs that are accepted before a kill, and how many more by chance.
const EACH_ROUND: usize = 50;
/// As many may run when a part is killed, and run again: what one function gets at a time.
const MOST_RUNNING: usize = 32;
/// Of the counter test.
const WIPED: usize = 3;

#[test]
fn every_job_accepted_over_nats_runs() {
    let recorder = Recorder::of_requests();
    let Some(mut parts) = Parts::start(&recorder) else { return };
    let clients = Clients::new(parts.url(), &recorder);
    let [gateway, worker, nats] = kill_at_random(&mut parts, &clients);
    parts.wait_until_empty();
    let Told { accepted, refused, broken } = clients.told();
    let runs = recorder.runs();
    let again: usize = runs.values().map(|times| times - 1).sum();
    let (lost, unanswered) = (clients.lost(&runs), runs.len().saturating_sub(accepted));
    println!(
        "{} kills: {gateway} of the gateway, {worker} of the worker, {nats} of nats-server; {accepted} jobs accepted, {} of \
         them lost, {again} times one ran again; {refused} refused, {broken} unanswered, of which {unanswered} ran",
        rounds(),
        lost.len()
    );
    assert!(lost.is_empty(), "accepted and lost: {lost:?}");
    assert!(accepted >= rounds() * EACH_ROUND, "only {accepted} jobs were accepted");
    assert!(again <= rounds() * MOST_RUNNING, "{again} times a job ran again after {} kills", rounds());
}

/// Kills one part after the other while clients post, each when some more jobs were accepted; how often each.
fn kill_at_random(parts: &mut Parts, clients: &Clients<'_>) -> [usize; Part::ALL.len()] {
    let (mut chance, mut kills) = (Chance::new(), [0; Part::ALL.len()]);
    println!("seed {}: FAAS_CRASH_SEED={} repeats it", chance.0, chance.0);
    clients.post_while(CLIENTS, || {
        for _ in 0..rounds() {
            let wanted = clients.told().accepted + EACH_ROUND + chance.below(EACH_ROUND);
            wait_for("some jobs", || (clients.told().accepted >= wanted).then_some(()));
            let part = Part::ALL[chance.below(Part::ALL.len())];
            kills[part as usize] += 1;
            parts.kill(part);
            if part == Part::Nats && kills[part as usize] == 1 {
                // Once for so long that clients must hear of it.
                let refused = clients.told().refused;
                wait_for("a refusal", || (clients.told().refused > refused).then_some(()));
            }
            parts.restart(part);
        }
    });
    kills
}

#[test]
fn the_same_look_finds_jobs_that_were_lost_with_the_store() {
    let recorder = Recorder::of_requests();
    let Some(mut parts) = Parts::start(&recorder) else { return };
    let clients = Clients::new(parts.url(), &recorder);
    for _ in 0..WIPED {
        parts.kill(Part::Worker);
        let before = clients.told().accepted;
        clients.post_while(CLIENTS, || {
            wait_for("some jobs", || (clients.told().accepted >= before + EACH_ROUND).then_some(()));
        });
        for part in [Part::Gateway, Part::Nats] {
            parts.kill(part);
        }
        parts.wipe();
        for part in Part::ALL {
            parts.restart(part);
        }
        parts.wait_until_empty();
        let (accepted, lost) = (clients.told().accepted - before, clients.lost(&recorder.runs()).len());
        println!("{accepted} jobs accepted and the store taken away, {lost} of them lost");
        assert_eq!(lost, accepted);
    }
}

/// What is random of a run, by splitmix64; the seed is its first state.
struct Chance(u64);

impl Chance {
    #[expect(clippy::disallowed_methods, reason = "a test's own setting")]
    fn new() -> Self {
        let given = std::env::var("FAAS_CRASH_SEED").ok().and_then(|text| text.parse().ok());
        Self(given.unwrap_or_else(|| {
            std::hash::BuildHasher::hash_one(&std::collections::hash_map::RandomState::new(), ())
        }))
    }

    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % most as u64).unwrap_or(0)
    }
}
