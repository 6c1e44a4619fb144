//! Kubernetes quantities, as limits and requests write them: `128Mi`, `0.5`, `100m`.

/// Why a text is no quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a quantity: expected a number with a unit such as \"128Mi\", \"1G\", \"100m\" or \"0.5\""
)]
pub struct InvalidQuantity(pub String);

/// Suffix, and its factor as numerator and denominator.
const SUFFIXES: [(&str, u128, u128); 17] = [
    ("Ki", 1 << 10, 1),
    ("Mi", 1 << 20, 1),
    ("Gi", 1 << 30, 1),
    ("Ti", 1 << 40, 1),
    ("Pi", 1 << 50, 1),
    ("Ei", 1 << 60, 1),
    ("n", 1, 1_000_000_000),
    ("u", 1, 1_000_000),
    ("m", 1, 1_000),
    ("k", 1_000, 1),
    ("K", 1_000, 1),
    ("M", 1_000_000, 1),
    ("G", 1_000_000_000, 1),
    ("T", 1_000_000_000_000, 1),
    ("P", 1_000_000_000_000_000, 1),
    ("E", 1_000_000_000_000_000_000, 1),
    ("", 1, 1),
];

/// A memory quantity in bytes, rounded up.
pub fn parse_bytes(text: &str) -> Result<u64, InvalidQuantity> {
    parse_scaled(text, 1).ok_or_else(|| InvalidQuantity(text.to_owned()))
}

/// A CPU quantity in thousandths of a core, rounded up.
pub fn parse_millicores(text: &str) -> Result<u64, InvalidQuantity> {
    parse_scaled(text, 1_000).ok_or_else(|| InvalidQuantity(text.to_owned()))
}

fn parse_scaled(text: &str, scale: u128) -> Option<u64> {
    let (number, exponent) = split_exponent(text)?;
    let (numerator, denominator) = parse_decimal(number.0)?;
    let (_, up, down) = SUFFIXES.into_iter().find(|(suffix, ..)| *suffix == number.1)?;
    let up = up.checked_mul(10_u128.checked_pow(exponent.max(0).unsigned_abs())?)?;
    let down = down.checked_mul(10_u128.checked_pow(exponent.min(0).unsigned_abs())?)?;
    let numerator = numerator.checked_mul(up)?.checked_mul(scale)?;
    u64::try_from(numerator.div_ceil(denominator.checked_mul(down)?)).ok()
}

/// Number and suffix, and the power of ten of a scientific form (`12e6`), which takes no suffix.
fn split_exponent(text: &str) -> Option<((&str, &str), i32)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    match rest.strip_prefix(['e', 'E']) {
        Some(power) if !power.is_empty() => Some(((number, ""), power.parse().ok()?)),
        _ => Some(((number, rest), 0)),
    }
}

fn parse_decimal(text: &str) -> Option<(u128, u128)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if (whole.is_empty() && fraction.is_empty()) || text.len() > 20 || fraction.contains('.') {
        return None;
    }
    let digits = u32::try_from(fraction.len()).ok()?;
    Some((format!("{whole}{fraction}").parse().ok()?, 10_u128.pow(digits)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        for (text, bytes) in [
            ("5Mi", 5 << 20),
            ("128Mi", 128 << 20),
            ("1G", 1_000_000_000),
            ("1.5Gi", 3 << 29),
            ("1024", 1024),
            ("12e3", 12_000),
            ("1500m", 2),
            ("1E", 1_000_000_000_000_000_000),
        ] {
            assert_eq!(parse_bytes(text).unwrap(), bytes, "{text}");
        }
    }

    #[test]
    fn cpu_is_read_in_millicores() {
        for (text, millicores) in
            [("100m", 100), ("1", 1000), ("0.5", 500), ("2.5", 2500), (".1", 100), ("1u", 1)]
        {
            assert_eq!(parse_millicores(text).unwrap(), millicores, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["", "Mi", "-1", "1 Mi", "1MB", "1..2", "a", ".", "1e", "1eE", "99999999999999999999E", "1e999"]
        {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn plain_numbers_are_themselves(bytes in 0_u64..1 << 60) {
            prop_assert_eq!(parse_bytes(&bytes.to_string()).unwrap(), bytes);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,24}") {
            let _ = (parse_bytes(&text), parse_millicores(&text));
        }
    }
}
