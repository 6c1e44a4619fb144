//! How many connections there may be: of all clients, and of each.
//!
//! A client is an IPv4 address or an IPv6 network of 64 bits, which one household has. Trusted proxies stand for many
//! clients and count only in total.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};

use crate::lock::lock;
use crate::{Config, IpRange};

/// Counts connections.
#[derive(Debug)]
pub(super) struct Admission {
    most: usize,
    most_per_client: usize,
    trusted: Vec<IpRange>,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    /// Only those that have any.
    clients: HashMap<IpAddr, usize>,
}

/// Why a connection is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// There are as many as there may be.
    Total,
    /// This client has as many as it may.
    Client,
}

impl Full {
    /// What raises the limit.
    pub(super) fn variable(self) -> &'static str {
        match self {
            Self::Total => "max_connections",
            Self::Client => "max_connections_per_client",
        }
    }

    /// As the metric's label says it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Client => "client",
        }
    }
}

impl Admission {
    pub(super) fn new(config: &Config) -> Arc<Self> {
        Arc::new(Self {
            most: config.limits.connections,
            most_per_client: config.limits.connections_per_client,
            trusted: config.trusted_proxies.clone().unwrap_or_default(),
            open: Mutex::default(),
        })
    }

    /// Counts one more, until the guard is dropped.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Admitted, Full> {
        let counted = !self.trusted.iter().any(|range| range.contains(address));
        let client = counted.then(|| client(address));
        let mut open = lock(&self.open);
        if open.total >= self.most {
            return Err(Full::Total);
        }
        if let Some(client) = client {
            let connections = open.clients.entry(client).or_default();
            if *connections >= self.most_per_client {
                return Err(Full::Client);
            }
            *connections += 1;
        }
        open.total += 1;
        Ok(Admitted { admission: Arc::clone(self), client })
    }
}

fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Admitted {
    admission: Arc<Admission>,
    client: Option<IpAddr>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut open = lock(&self.admission.open);
        open.total -= 1;
        let Some(client) = self.client else { return };
        if let Some(connections) = open.clients.get_mut(&client) {
            *connections -= 1;
            if *connections == 0 {
                open.clients.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(most: usize, most_per_client: usize) -> Arc<Admission> {
        let trusted = vec!["10.0.0.0/8".parse().unwrap()];
        Arc::new(Admission { most, most_per_client, trusted, open: Mutex::default() })
    }

    fn admit(admission: &Arc<Admission>, address: &str) -> Result<Admitted, Full> {
        admission.admit(address.parse().unwrap())
    }

    #[test]
    fn a_client_has_so_many_and_who_leaves_makes_room() {
        let admission = admission(100, 2);
        let one = admit(&admission, "192.0.2.1").unwrap();
        let _two = admit(&admission, "::ffff:192.0.2.1").unwrap();
        assert_eq!(admit(&admission, "192.0.2.1").unwrap_err(), Full::Client);
        let _other = admit(&admission, "192.0.2.2").unwrap();
        drop(one);
        let _one = admit(&admission, "192.0.2.1").unwrap();
        let _v6 = [admit(&admission, "2001:db8::1").unwrap(), admit(&admission, "2001:db8::2").unwrap()];
        assert_eq!(admit(&admission, "2001:db8::3").unwrap_err(), Full::Client);
        assert!(admit(&admission, "2001:db8:0:1::1").is_ok());
    }

    #[test]
    fn proxies_count_only_in_total_and_nothing_is_kept() {
        let admission = admission(3, 1);
        let all: Vec<_> = (0..3).map(|_| admit(&admission, "10.1.1.1").unwrap()).collect();
        assert_eq!(admit(&admission, "192.0.2.1").unwrap_err(), Full::Total);
        drop(all);
        drop(admit(&admission, "192.0.2.1").unwrap());
        let open = admission.open.lock().unwrap();
        assert!(open.total == 0 && open.clients.is_empty());
    }
}
