//! How long to wait: exponential with jitter, or as the other side asks.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use super::Policy;

/// What jitter takes off an exponential wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backoff {
    /// Nothing.
    Exponential,
    /// Anything: 0 to 100 % are left.
    Full,
    /// At most half: 50 to 100 % are left.
    Equal,
}

impl Backoff {
    /// `chance` is from 0 to 1.
    pub(super) fn spread(self, wait: Duration, chance: f64) -> Duration {
        match self {
            Self::Exponential => wait,
            Self::Full => wait.mul_f64(chance.clamp(0.0, 1.0)),
            Self::Equal => wait / 2 + (wait / 2).mul_f64(chance.clamp(0.0, 1.0)),
        }
    }
}

impl Policy {
    /// Before the try that follows `failures` of them.
    pub(super) fn wait(&self, failures: usize, chance: f64) -> Duration {
        let wait = doubled(self.min_wait, failures.saturating_sub(1)).min(self.max_wait.max(self.min_wait));
        self.backoff.spread(wait, chance)
    }

    /// Before the next try of a function that had no room so often. Spread, so that those who wait do not come at once.
    pub(super) fn wait_busy(&self, times: u32, chance: f64) -> Duration {
        let times = usize::try_from(times).unwrap_or(usize::MAX);
        let wait = doubled(self.busy_wait, times.saturating_sub(1)).min(self.max_wait.max(self.busy_wait));
        Backoff::Equal.spread(wait, chance)
    }
}

fn doubled(wait: Duration, times: usize) -> Duration {
    let factor = 1_u32.checked_shl(u32::try_from(times).unwrap_or(u32::MAX)).unwrap_or(u32::MAX);
    wait.saturating_mul(factor)
}

/// What `Retry-After` asks for: seconds, or an HTTP date. `None` if it is there and neither.
pub(super) fn retry_after(headers: &[(String, String)], now: Timestamp) -> Option<Duration> {
    let value = header(headers, "retry-after")?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(SystemTime::from(now)).unwrap_or_default())
}

/// The first value of a header.
pub(super) fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

/// The moment `wait` after `from`; the last there is, if that is past it.
pub(super) fn later(from: Timestamp, wait: Duration) -> Timestamp {
    from.checked_add(wait).unwrap_or(Timestamp::MAX)
}
