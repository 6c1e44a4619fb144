//! What a handler process says first: the protocol's version, and what it can do.

/// What a process can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) speaks: Speaks,
    /// It makes a process for each RUN.
    pub(crate) forks: bool,
    /// Calls at a time, at least one.
    pub(crate) concurrency: usize,
}

/// How a call looks to the runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// HEAD and BODY.
    Frames,
    /// A process that reads the body and prints the answer.
    Stdio,
}

/// Why a HELLO is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the runtime speaks version {0:?} of the worker protocol: expected \"1\"")]
    Version(String),
    #[error("the runtime says {0:?}, which the worker protocol does not know")]
    Line(String),
}

impl Hello {
    /// Reads the payload. Names that are not known are for a later version.
    pub(crate) fn parse(payload: &[u8]) -> Result<Self, Refused> {
        let text = String::from_utf8_lossy(payload);
        let mut hello = Self { speaks: Speaks::Frames, forks: false, concurrency: 1 };
        let mut version = "";
        for line in text.lines() {
            match line.split_once(": ").unwrap_or((line, "")) {
                ("version", value) => version = value,
                ("speaks", "frames") => hello.speaks = Speaks::Frames,
                ("speaks", "stdio") => hello.speaks = Speaks::Stdio,
                ("forks", value @ ("yes" | "no")) => hello.forks = value == "yes",
                ("concurrency", value) => {
                    let number = value.parse().ok().filter(|&number| number > 0);
                    hello.concurrency = number.ok_or_else(|| Refused::Line(line.to_owned()))?;
                }
                ("speaks" | "forks", _) => return Err(Refused::Line(line.to_owned())),
                _ => {}
            }
        }
        if version != "1" {
            return Err(Refused::Version(version.to_owned()));
        }
        Ok(hello)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_can_do_is_read() {
        let expect = |speaks, forks, concurrency| Ok(Hello { speaks, forks, concurrency });
        for (text, hello) in [
            ("version: 1", expect(Speaks::Frames, false, 1)),
            ("version: 1\nspeaks: stdio\nforks: yes\nlater: x", expect(Speaks::Stdio, true, 1)),
            ("concurrency: 1000\nspeaks: frames\nversion: 1\nforks: no", expect(Speaks::Frames, false, 1000)),
            ("", Err(Refused::Version(String::new()))),
            ("version: 2", Err(Refused::Version("2".into()))),
            ("version: 1\nconcurrency: 0", Err(Refused::Line("concurrency: 0".into()))),
            ("version: 1\nspeaks: smoke", Err(Refused::Line("speaks: smoke".into()))),
        ] {
            assert_eq!(Hello::parse(text.as_bytes()), hello, "{text:?}");
        }
    }
}
