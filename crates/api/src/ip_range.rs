//! Ranges of addresses: `10.0.0.0/8`, `::1`.

use std::net::IpAddr;
use std::str::FromStr;

/// Addresses that share their first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpRange {
    /// As IPv6, IPv4 mapped.
    bits: u128,
    /// The others are 0 in `bits`.
    mask: u128,
}

/// What a range must look like.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no address or range: expected 10.0.0.0/8, 192.0.2.1, fd00::/8 or the like")]
pub struct InvalidIpRange(pub String);

impl IpRange {
    /// Whether it holds `address`; an IPv4 address and its IPv6 form are the same.
    pub fn contains(&self, address: IpAddr) -> bool {
        bits(address) & self.mask == self.bits
    }
}

impl FromStr for IpRange {
    type Err = InvalidIpRange;

    fn from_str(text: &str) -> Result<Self, InvalidIpRange> {
        let invalid = || InvalidIpRange(text.to_owned());
        let (address, length) =
            text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let address: IpAddr = address.trim().parse().map_err(|_| invalid())?;
        let width: u32 = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            Some(length) => {
                length.trim().parse().ok().filter(|length| *length <= width).ok_or_else(invalid)?
            }
            None => width,
        };
        let mask = u128::MAX.checked_shl(width - length).unwrap_or(0);
        // Of a v4 range the 96 bits before are fixed as well.
        let mask = if width == 32 { mask | u128::MAX << 32 } else { mask };
        Ok(Self { bits: bits(address) & mask, mask })
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_what_shares_its_first_bits() {
        for (range, within, without) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.1.2.3/8", "10.0.0.1", "9.0.0.1"),
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("192.0.2.1", "::ffff:192.0.2.1", "::192.0.2.1"),
            ("0.0.0.0/0", "1.2.3.4", "2001:db8::1"),
            ("fd00::/8", "fd12::1", "fe00::1"),
            ("::/0", "1.2.3.4", ""),
        ] {
            let range: IpRange = range.parse().unwrap();
            assert!(range.contains(within.parse().unwrap()), "{range:?} {within}");
            assert!(without.is_empty() || !range.contains(without.parse().unwrap()), "{range:?} {without}");
        }
    }

    #[test]
    fn what_is_no_range_says_what_one_is() {
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "a", "::/129", "10.0.0.0/-1", "10.0.0.0/"] {
            let error = bad.parse::<IpRange>().unwrap_err().to_string();
            assert!(error.contains("10.0.0.0/8"), "{bad}: {error}");
        }
    }
}
