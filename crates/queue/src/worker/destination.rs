//! Where callbacks may go: public addresses, what the configuration allows, and the platform's own gateway.
//!
//! Addresses are judged, not names: a name of a service in the cluster, or one that means loopback today and something
//! else tomorrow, is what it resolves to when it is connected, and only an address that was judged is connected.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use faas_api::IpRange;

use crate::OwnGateway;

/// Something that is allowed though it is not public.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// These addresses, whatever their names.
    Range(IpRange),
    /// This name, whatever its addresses.
    Host(String),
    /// All names below this one.
    Below(String),
}

/// What an allowed destination looks like.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no destination: expected 10.0.0.0/8, host.example or *.example")]
pub struct InvalidAllowed(pub String);

impl FromStr for Allowed {
    type Err = InvalidAllowed;

    fn from_str(text: &str) -> Result<Self, InvalidAllowed> {
        if let Ok(range) = text.parse() {
            return Ok(Self::Range(range));
        }
        let lower = text.to_ascii_lowercase();
        let (below, name) = lower.strip_prefix("*.").map_or((false, lower.as_str()), |name| (true, name));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let named = name.bytes().all(plain) && name.bytes().any(|byte| byte.is_ascii_alphabetic());
        match (named, below) {
            (false, _) => Err(InvalidAllowed(text.to_owned())),
            (true, true) => Ok(Self::Below(format!(".{name}"))),
            (true, false) => Ok(Self::Host(name.to_owned())),
        }
    }
}

/// Why nothing is connected.
#[derive(Debug, thiserror::Error)]
#[error("callbacks may not go there: the address is not public, and callback_allowed does not name it")]
pub(super) struct Refused;

/// What is allowed.
#[derive(Debug, Default)]
pub(super) struct Destinations {
    pub(super) own: OwnGateway,
    pub(super) allowed: Vec<Allowed>,
    pub(super) refused: Vec<IpRange>,
}

impl Destinations {
    /// Of the addresses that a host resolved to, those that may be connected.
    pub(super) fn filter(
        &self,
        host: &str,
        port: u16,
        addresses: Vec<SocketAddr>,
    ) -> Result<Vec<SocketAddr>, Refused> {
        if addresses.is_empty() || self.own.is(host, port) || self.allows_host(host) {
            return Ok(addresses);
        }
        let mut addresses = addresses;
        addresses.retain(|address| self.allows_address(address.ip()));
        if addresses.is_empty() { Err(Refused) } else { Ok(addresses) }
    }

    fn allows_host(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let host = host.strip_suffix('.').unwrap_or(&host);
        self.allowed.iter().any(|allowed| match allowed {
            Allowed::Range(_) => false,
            Allowed::Host(name) => host == name,
            Allowed::Below(suffix) => host.ends_with(suffix),
        })
    }

    fn allows_address(&self, address: IpAddr) -> bool {
        let listed = |allowed: &Allowed| matches!(allowed, Allowed::Range(range) if range.contains(address));
        self.allowed.iter().any(listed)
            || (is_public(address) && !self.refused.iter().any(|range| range.contains(address)))
    }
}

/// Whether an address belongs to anybody on the Internet, as the registries of IANA for special purposes have it.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Source: Microsoft, "What is IP address 168.63.129.16?"
const AZURE: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match a {
        0 | 10 | 127 | 224..=255 => true,
        // What Google's Kubernetes gives its Services.
        34 => b == 118 && (224..240).contains(&c),
        100 => (64..128).contains(&b),
        // Where Azure answers for a machine's own.
        168 => address == AZURE,
        169 => b == 254,
        172 => (16..32).contains(&b),
        192 => b == 168 || (b == 0 && (c == 0 || c == 2)) || (b == 88 && c == 99),
        198 => b == 18 || b == 19 || (b == 51 && c == 100),
        203 => b == 0 && c == 113,
        _ => false,
    };
    !special
}

/// Of all that is given out (`2000::/3`), what is nobody's or means something else is not public; addresses with an IPv4
/// address in them are what that is.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => false,
        [0x2000..=0x3fff, ..] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(destinations: &Destinations, host: &str, address: &str) -> bool {
        let address = SocketAddr::new(address.parse().unwrap(), 80);
        destinations.filter(host, 80, vec![address]).is_ok()
    }

    #[test]
    fn what_is_not_public_is_refused() {
        let destinations = Destinations::default();
        for bad in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "34.118.225.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.9.9.9",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!allows(&destinations, "host.example", bad), "{bad}");
        }
    }

    #[test]
    fn what_is_public_is_allowed() {
        let destinations = Destinations::default();
        for good in [
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.0",
            "168.63.129.17",
            "172.15.0.1",
            "172.32.0.1",
            "192.1.0.1",
            "223.255.255.255",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
        ] {
            assert!(allows(&destinations, "host.example", good), "{good}");
        }
    }

    #[test]
    fn the_configuration_allows_ranges_and_names_and_refuses_ranges() {
        let destinations = Destinations {
            own: OwnGateway::default(),
            allowed: ["10.1.0.0/16", "Hook.example", "*.internal"].map(|text| text.parse().unwrap()).into(),
            refused: vec!["93.184.224.0/20".parse().unwrap()],
        };
        for (host, address, allowed) in [
            ("a.example", "10.1.2.3", true),
            ("a.example", "::ffff:10.1.2.3", true),
            ("a.example", "10.2.0.1", false),
            ("hook.EXAMPLE.", "127.0.0.1", true),
            ("xhook.example", "127.0.0.1", false),
            ("a.b.internal", "192.168.0.1", true),
            ("internal", "192.168.0.1", false),
            ("a.example", "93.184.225.1", false),
            ("a.example", "93.184.240.1", true),
        ] {
            assert_eq!(allows(&destinations, host, address), allowed, "{host} {address}");
        }
        for bad in ["", "10.0.0.0/33", "1.2.3", "http://a", "*", "*."] {
            assert!(bad.parse::<Allowed>().is_err(), "{bad}");
        }
    }

    #[test]
    fn of_several_addresses_only_the_public_ones_are_connected() {
        let addresses = ["127.0.0.1:80", "1.1.1.1:80", "[fd00::1]:80"].map(|text| text.parse().unwrap());
        let filtered = Destinations::default().filter("rebind.example", 80, addresses.into()).unwrap();
        assert_eq!(filtered, [addresses[1]]);
    }

    #[test]
    fn the_own_gateway_is_allowed_at_its_own_port_only() {
        let own = OwnGateway::new(["http://gateway.openfaas:80"]).unwrap();
        let destinations = Destinations { own, ..Destinations::default() };
        assert!(allows(&destinations, "gateway.openfaas.svc.cluster.local", "10.0.0.1"));
        let other = vec!["10.0.0.1:81".parse().unwrap()];
        assert!(destinations.filter("gateway.openfaas", 81, other).is_err());
    }
}
