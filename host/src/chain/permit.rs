//! The only way upstream.
//!
//! A [`Permit`] carries the bytes it was given for, and can be made in this module's parent only: by the chain's
//! judgement of a call, or for the protocol's own messages, which reach no item. Knows nothing of where the bytes go.

use bytes::Bytes;

/// Leave to write one message to a server. Neither `Clone` nor constructible outside the chain.
#[derive(Debug)]
pub struct Permit {
    frame: Bytes,
    bound: Option<Bound>,
}

/// What a judgement was made on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// The generation that judged.
    pub generation: u64,
    /// The ledger revision it judged on.
    pub revision: u64,
}

/// The permit's judgement was made on something that is no longer in force: judge again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the permit was given by generation {}, revision {}, which are no longer in force", .0.generation, .0.revision)]
pub struct Stale(pub Bound);

/// Messages of the protocol itself. They reach no item, so that no policy is asked; the list is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `initialize` and `notifications/initialized`.
    Handshake,
    /// `ping`.
    Ping,
    /// The host's own reading of a list.
    Reading,
    /// `logging/setLevel`.
    LogLevel,
    /// `notifications/cancelled`, `notifications/progress`.
    Progress,
    /// `notifications/roots/list_changed`.
    RootsChanged,
    /// About a task that a permitted call made.
    Task,
    /// A subscription that was permitted before the server restarted, or its end.
    Subscription,
    /// The client's or the host's answer to a server's request.
    Answer,
    /// A vendor method that the operator listed.
    Vendor,
}

/// What a spent permit leaves: bytes that may be written upstream. Made nowhere else.
#[derive(Debug)]
pub struct Cleared(Bytes);

impl Cleared {
    /// The bytes.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl Permit {
    /// For a call that every policy allowed.
    pub(super) const fn judged(frame: Bytes, bound: Bound) -> Self {
        Self {
            frame,
            bound: Some(bound),
        }
    }

    /// For a message of the protocol itself.
    pub const fn protocol(_kind: Protocol, frame: Bytes) -> Self {
        Self { frame, bound: None }
    }

    /// Spends the permit for its bytes, if what it was judged on is still in force.
    pub fn spend(self, generation: u64, revision: u64) -> Result<Cleared, Stale> {
        match self.bound {
            Some(bound)
                if bound
                    != (Bound {
                        generation,
                        revision,
                    }) =>
            {
                Err(Stale(bound))
            }
            _ => Ok(Cleared(self.frame)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_is_worth_nothing_once_the_ledger_or_the_chain_moved() {
        let permit = || {
            Permit::judged(
                Bytes::from_static(b"{}"),
                Bound {
                    generation: 3,
                    revision: 7,
                },
            )
        };
        assert!(permit().spend(3, 7).is_ok());
        assert!(permit().spend(3, 8).is_err());
        assert!(permit().spend(4, 7).is_err());
    }
}
