//! What streams, subjects and consumers are called, and back.
//!
//! | Stream | Subjects | Holds |
//! |---|---|---|
//! | `OF_<queue>` | `<queue>.<namespace>.<name>.<call-id>` | jobs, until they end |
//! | `OF_<queue>_DEAD` | `_of.dead.<queue>.<namespace>.<name>.<call-id>` | dead letters |
//! | `OF_<queue>_RECORDS` | `_of.record.<queue>.<namespace>.<name>.<call-id>` | what became of a job that was taken |
//! | `OF_<queue>_LEASES` | `_of.lease.<queue>.<namespace>.<name>.<call-id>` | who works on what, for as long as a lease lasts |
//! | `OF_<queue>_BODIES` | `_of.body.<queue>.<namespace>.<name>.<call-id>.<part>.<chunk>` | large bodies |
//! | `OF_<queue>_RESULTS` | `_of.result.<queue>.<namespace>.<name>.<call-id>.<part>.<chunk>` | answers' bodies |
//! | `OF_<queue>_FUNCTIONS` | `_of.function.<queue>.<namespace>.<name>` | functions that may have jobs |
//!
//! Subjects below `_of` cannot be a queue's, whose name is a DNS label. Hints that are kept nowhere pass on
//! `_of.hint.<queue>.<namespace>.<name>` and `_of.cancelled.<queue>.<call-id>`.

use faas_api::{FunctionId, FunctionName};

use crate::CallId;

/// The names of one queue.
#[derive(Debug, Clone)]
pub(super) struct Names {
    queue: FunctionName,
}

/// Whose job, and which.
pub(super) type Place<'a> = (&'a FunctionId, &'a CallId);

/// One of the streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Stream {
    Jobs,
    Dead,
    Records,
    Leases,
    Bodies,
    Results,
    Functions,
}

impl Stream {
    pub(super) const ALL: [Self; 7] =
        [Self::Jobs, Self::Dead, Self::Records, Self::Leases, Self::Bodies, Self::Results, Self::Functions];

    fn suffix(self) -> &'static str {
        match self {
            Self::Jobs => "",
            Self::Dead => "_DEAD",
            Self::Records => "_RECORDS",
            Self::Leases => "_LEASES",
            Self::Bodies => "_BODIES",
            Self::Results => "_RESULTS",
            Self::Functions => "_FUNCTIONS",
        }
    }

    fn prefix(self, queue: &str) -> String {
        match self {
            Self::Jobs => queue.to_owned(),
            Self::Dead => format!("_of.dead.{queue}"),
            Self::Records => format!("_of.record.{queue}"),
            Self::Leases => format!("_of.lease.{queue}"),
            Self::Bodies => format!("_of.body.{queue}"),
            Self::Results => format!("_of.result.{queue}"),
            Self::Functions => format!("_of.function.{queue}"),
        }
    }

    /// How many tokens follow the prefix.
    fn tokens(self) -> usize {
        match self {
            Self::Bodies | Self::Results => 5,
            Self::Jobs | Self::Dead | Self::Records | Self::Leases => 3,
            Self::Functions => 2,
        }
    }
}

impl Names {
    /// Of the queue called so: a DNS label, which no subject below `_of` is.
    pub(super) fn new(queue: FunctionName) -> Self {
        Self { queue }
    }

    pub(super) fn queue(&self) -> &str {
        self.queue.as_str()
    }

    pub(super) fn stream(&self, stream: Stream) -> String {
        format!("OF_{}{}", self.queue, stream.suffix())
    }

    /// Everything that the stream holds.
    pub(super) fn all(&self, stream: Stream) -> String {
        self.prefix(stream) + &".*".repeat(stream.tokens())
    }

    fn prefix(&self, stream: Stream) -> String {
        stream.prefix(self.queue.as_str())
    }

    /// A job's place in a stream that has it by function.
    pub(super) fn job(&self, stream: Stream, (function, id): Place<'_>) -> String {
        format!("{}.{id}", self.function(stream, function))
    }

    /// All of a function in such a stream.
    pub(super) fn jobs(&self, stream: Stream, function: &FunctionId) -> String {
        format!("{}.*", self.function(stream, function))
    }

    /// The job of that name, whatever its function.
    pub(super) fn anyones(&self, stream: Stream, id: &CallId) -> String {
        format!("{}.*.*.{id}", self.prefix(stream))
    }

    pub(super) fn function(&self, stream: Stream, function: &FunctionId) -> String {
        format!("{}.{}.{}", self.prefix(stream), function.namespace, function.name)
    }

    /// Where the chunks of a body lie. `part` tells it from other ones of the same job.
    pub(super) fn chunks(&self, stream: Stream, (function, id): Place<'_>, part: &str) -> String {
        format!("{}.{part}", self.job(stream, (function, id)))
    }

    /// Where hints pass: of one function, or with wildcards.
    pub(super) fn hints(&self, namespace: &str, name: &str) -> String {
        format!("_of.hint.{}.{namespace}.{name}", self.queue)
    }

    /// Where it is told which leased jobs were cancelled: one, or with a wildcard.
    pub(super) fn cancelled(&self, id: &str) -> String {
        format!("_of.cancelled.{}.{id}", self.queue)
    }

    /// The function's consumer. Names have no underscores, so no two functions share one.
    pub(super) fn consumer(function: &FunctionId) -> String {
        format!("{}_{}", function.namespace, function.name)
    }

    /// Whose consumer it is.
    pub(super) fn consumer_of(name: &str) -> Option<FunctionId> {
        let (namespace, name) = name.split_once('_')?;
        parse_function(namespace, name)
    }
}

/// Function and job of a subject that ends with both.
pub(super) fn parse_job(subject: &str) -> Option<(FunctionId, CallId)> {
    let (rest, id) = subject.rsplit_once('.')?;
    Some((parse_tail(rest)?, id.parse().ok()?))
}

/// Function of a subject that ends with its namespace and name.
pub(super) fn parse_tail(subject: &str) -> Option<FunctionId> {
    let (rest, name) = subject.rsplit_once('.')?;
    parse_function(rest.rsplit('.').next()?, name)
}

fn parse_function(namespace: &str, name: &str) -> Option<FunctionId> {
    Some(FunctionId::new(name.parse().ok()?, namespace.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_say_function_and_job() {
        let names = Names::new("faas-request".parse().unwrap());
        let function = FunctionId::new("resize".parse().unwrap(), "dev".parse().unwrap());
        let id: CallId = "A_b-9".parse().unwrap();
        for stream in [Stream::Jobs, Stream::Dead, Stream::Leases, Stream::Records] {
            let subject = names.job(stream, (&function, &id));
            assert_eq!(parse_job(&subject), Some((function.clone(), id.clone())), "{subject}");
            assert_eq!(subject.split('.').count(), names.all(stream).split('.').count());
        }
        assert_eq!(names.job(Stream::Jobs, (&function, &id)), "faas-request.dev.resize.A_b-9");
        assert_eq!(Names::consumer_of(&Names::consumer(&function)), Some(function));
    }

    #[test]
    fn foreign_subjects_are_nobodys() {
        for foreign in ["", "a", "faas-request.Dev.resize.x", "faas-request.dev.resize.b d", "a..b.c"] {
            assert_eq!(parse_job(foreign), None, "{foreign}");
        }
    }
}
