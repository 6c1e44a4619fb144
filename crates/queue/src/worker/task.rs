//! What the dispatcher knows of its tasks.

use faas_api::FunctionId;
use tokio::task::Id;
use tokio_util::sync::CancellationToken;

use super::lane::Verdict;
use crate::{CallId, Error, Taken};

/// Whose a task is, should it not be able to say.
pub(super) struct Owner {
    pub(super) function: FunctionId,
    pub(super) work: Work,
}

pub(super) enum Work {
    /// Asks for so many jobs.
    Take(usize),
    /// The job, the epoch of its lane, and what ends it.
    Job(CallId, u64, CancellationToken),
    /// What is left of a job once its place is another's.
    Callback(CallId, CancellationToken),
}

/// The task of a job whose invocation is over.
pub(super) type Answered = (Id, Verdict);

impl Work {
    pub(super) fn cancel(&self, id: &CallId) {
        match self {
            Self::Job(own, _, cancel) | Self::Callback(own, cancel) if own == id => cancel.cancel(),
            _ => {}
        }
    }
}

/// What a task brings.
pub(super) enum Report {
    Took(Result<Vec<Taken>, Error>),
    Ran(Verdict),
}
