//! A fault the user can do something about: what happened, and a hint what to do.

use std::fmt;

/// What happened, in the contract's words where it has some, and what to do about it.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    hint: Option<String>,
    is_gateways: bool,
    is_final: bool,
}

/// A failure with this message.
pub(crate) fn failure(message: impl Into<String>) -> Failure {
    Failure { message: message.into(), hint: None, is_gateways: false, is_final: false }
}

impl Failure {
    /// Adds what to do; printed on a line of its own.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Marks it as the gateway's: it cannot be reached, or takes nothing from us.
    pub(crate) fn of_gateway(mut self) -> Self {
        self.is_gateways = true;
        self
    }

    /// Whether any other request would fail like this one.
    pub(crate) fn is_gateways(&self) -> bool {
        self.is_gateways
    }

    /// Marks it as one that the same request would meet again.
    pub(crate) fn for_good(mut self) -> Self {
        self.is_final = true;
        self
    }

    /// Whether the same request would meet it again.
    pub(crate) fn is_final(&self) -> bool {
        self.is_final
    }

    /// What to do, if anything is known.
    pub(crate) fn as_hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
