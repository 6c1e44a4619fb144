//! Durations as OpenFaaS writes them: Go's syntax (`1m30s`, `250ms`), or whole seconds without a unit.

use std::fmt::Write as _;
use std::time::Duration;

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a duration: expected a Go duration such as \"30s\", \"1m30s\" or \"250ms\", or whole seconds"
)]
pub struct InvalidDuration(pub String);

/// Nanoseconds a unit.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads a Go duration or whole seconds. Negative values and anything over 292 years, Go's own bound, are refused.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidDuration> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return parse_parts(&format!("{text}s")).ok_or_else(|| InvalidDuration(text.to_owned()));
    }
    parse_parts(text.strip_prefix('+').unwrap_or(text)).ok_or_else(|| InvalidDuration(text.to_owned()))
}

fn parse_parts(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (part, after) = parse_part(rest)?;
        total = total.checked_add(part).filter(|&sum| i64::try_from(sum).is_ok())?;
        rest = after;
    }
    (!text.is_empty()).then_some(Duration::from_nanos(total))
}

/// One number with its unit, in nanoseconds, and what follows it.
fn parse_part(text: &str) -> Option<(u64, &str)> {
    let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at(number_end);
    let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (unit, after) = rest.split_at(unit_end);
    let scale = UNITS.iter().find(|(name, _)| *name == unit)?.1;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
    // Digits past the nanosecond change nothing; nineteen of them fit.
    let (fraction, _) = fraction.split_at(fraction.len().min(18));
    let digits = u32::try_from(fraction.len()).ok()?;
    let numerator: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let part = u64::try_from(numerator * u128::from(scale) / 10_u128.pow(digits)).ok()?;
    Some((whole.checked_mul(scale)?.checked_add(part)?, after))
}

/// Writes a duration as Go prints it: `1m30s`, `250ms`, `0s`.
pub fn format_duration(duration: Duration) -> String {
    if duration.is_zero() {
        return "0s".to_owned();
    }
    if duration < Duration::from_secs(1) {
        return format_below_a_second(duration);
    }
    let seconds = duration.as_secs();
    let mut text = String::new();
    if seconds >= 3600 {
        let _ = write!(text, "{}h", seconds / 3600);
    }
    if seconds >= 60 {
        let _ = write!(text, "{}m", seconds / 60 % 60);
    }
    let _ = write!(text, "{}s", decimal(u128::from(seconds % 60), duration.subsec_nanos().into(), 9));
    text
}

fn format_below_a_second(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let (unit, digits) = match nanos {
        0..1_000 => ("ns", 0),
        1_000..1_000_000 => ("µs", 3),
        _ => ("ms", 6),
    };
    let scale = 10_u128.pow(digits);
    format!("{}{unit}", decimal(nanos / scale, nanos % scale, digits as usize))
}

fn decimal(whole: u128, fraction: u128, digits: usize) -> String {
    if fraction == 0 {
        return whole.to_string();
    }
    format!("{whole}.{fraction:0digits$}").trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn go_durations_and_seconds_are_read() {
        for (text, nanos) in [
            ("30s", 30_000_000_000),
            ("30", 30_000_000_000),
            ("0", 0),
            ("1m5s", 65_000_000_000),
            ("1m05s", 65_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("250ms", 250_000_000),
            ("1us", 1_000),
            ("2µs", 2_000),
            (".5s", 500_000_000),
            ("+3s", 3_000_000_000),
        ] {
            assert_eq!(parse_duration(text).unwrap(), Duration::from_nanos(nanos), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "s", "-1s", "1 s", "1d", "1.2.3s", "99999999999h", "ten", ".s", "1s2", "1e3s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_print_as_go_prints_them() {
        for text in ["0s", "30s", "1m0s", "1m30s", "1h0m0s", "250ms", "1.5s", "2µs", "3ns", "1h0m0.5s"] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
    }

    proptest! {
        #[test]
        fn printed_durations_read_back(nanos in 0_u64..9_000_000_000_000_000_000) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(parse_duration(&format_duration(duration)).unwrap(), duration);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,20}") {
            let _ = parse_duration(&text);
        }
    }
}
