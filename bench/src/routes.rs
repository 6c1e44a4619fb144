//! The routes that a measured gateway is given: a file with a line for each function.
//!
//! `NAME ADDRESS[,ADDRESS...] [max_inflight=COUNT]`, where an address is `unix:PATH` or `IP:PORT`.

use std::fmt;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::str::FromStr;

use anyhow::Context as _;
use faas_api::{Scaling, Terms};
use faas_provider::{Address, Replica, Route};

/// One function.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) addresses: Vec<Address>,
    pub(crate) terms: Terms,
}

impl Function {
    /// At one address, without limits.
    pub(crate) fn at(name: impl Into<String>, address: &Address) -> Self {
        Self { name: name.into(), addresses: vec![address.clone()], terms: Terms::default() }
    }

    /// With replicas that nobody has seen before, as after an update of the function.
    pub(crate) fn route(&self) -> Route {
        let replica = |(number, address): (usize, &Address)| {
            Replica::new(format!("{}-{number}", self.name), address.clone())
        };
        let replicas: Vec<_> = self.addresses.iter().enumerate().map(replica).collect();
        let wanted = u32::try_from(replicas.len()).unwrap_or(u32::MAX);
        Route { replicas, wanted, terms: self.terms.clone(), scaling: Scaling::default(), failure: None }
    }
}

impl fmt::Display for Function {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses = self.addresses.iter().map(|address| match address {
            Address::Tcp(address) => address.to_string(),
            Address::Unix(path) => format!("unix:{}", path.display()),
        });
        write!(formatter, "{} {}", self.name, addresses.collect::<Vec<_>>().join(","))?;
        match self.terms.max_inflight {
            Some(most) => write!(formatter, " max_inflight={most}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Function {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> anyhow::Result<Self> {
        let expected = || format!("not a route: {line:?}");
        let mut words = line.split_whitespace();
        let name = words.next().with_context(expected)?.to_owned();
        let addresses = words.next().with_context(expected)?.split(',').map(parse_address);
        let addresses = addresses.collect::<anyhow::Result<_>>().with_context(expected)?;
        let most = words.next().map(|word| word.strip_prefix("max_inflight=").with_context(expected));
        let max_inflight = most.transpose()?.map(str::parse).transpose().with_context(expected)?;
        Ok(Self { name, addresses, terms: Terms { max_inflight, ..Terms::default() } })
    }
}

fn parse_address(text: &str) -> anyhow::Result<Address> {
    Ok(match text.strip_prefix("unix:") {
        Some(path) => Address::Unix(path.into()),
        None => Address::Tcp(text.parse()?),
    })
}

pub(crate) fn write(path: &Path, functions: &[Function]) -> anyhow::Result<()> {
    let mut file = std::io::BufWriter::new(fs::File::create(path)?);
    functions.iter().try_for_each(|function| writeln!(file, "{function}"))?;
    Ok(file.flush()?)
}

pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Function>> {
    let text = fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
    text.lines().map(str::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for line in ["a unix:/s,127.0.0.1:80", "b [::1]:80 max_inflight=10"] {
            assert_eq!(line.parse::<Function>().unwrap().to_string(), line);
        }
        assert_eq!(
            "b [::1]:80 max_inflight=10".parse::<Function>().unwrap().terms.max_inflight,
            10.try_into().ok()
        );
    }

    #[test]
    fn other_lines_are_refused() {
        for line in ["", "a", "a b", "a unix:/s many", "a unix:/s max_inflight=0"] {
            assert!(line.parse::<Function>().is_err(), "{line:?}");
        }
    }
}
