//! What decisions go through: a policy's `review` hook, or a stand-in for one.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::ledger::{Ledger, Namespace};
use crate::mcp::Digest;
use crate::policy::contract::{self, Decision, Entry, Refusal};
use crate::policy::{Definitions, Failure, Policy, View};

/// The `review` hook of one policy.
pub trait Reviewer: Send + Sync {
    /// The policy's name.
    fn name(&self) -> Arc<str>;

    /// Where its changes go.
    fn namespace(&self) -> Namespace;

    /// `review.entries`.
    fn entries<'a>(
        &'a self,
        view: &'a View,
        server: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<Entry>, Failure>>;

    /// `review.decide`.
    fn decide<'a>(
        &'a self,
        view: &'a View,
        decision: &'a Decision,
    ) -> BoxFuture<'a, Result<Result<contract::Decided, Refusal>, Failure>>;
}

impl Reviewer for Policy {
    fn name(&self) -> Arc<str> {
        Arc::clone(Policy::name(self))
    }

    fn namespace(&self) -> Namespace {
        Policy::namespace(self).clone()
    }

    fn entries<'a>(
        &'a self,
        view: &'a View,
        server: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<Entry>, Failure>> {
        Box::pin(async move { Ok(Policy::entries(self, view, server).await?.value) })
    }

    fn decide<'a>(
        &'a self,
        view: &'a View,
        decision: &'a Decision,
    ) -> BoxFuture<'a, Result<Result<contract::Decided, Refusal>, Failure>> {
        Box::pin(async move { Ok(Policy::decide(self, view, decision).await?.value) })
    }
}

/// `catalog.definition`, answered from the ledger. One that cannot be read is none.
pub struct LedgerDefinitions(pub Arc<dyn Ledger>);

impl Definitions for LedgerDefinitions {
    fn definition(&self, digest: Digest) -> BoxFuture<'static, Option<Arc<str>>> {
        let ledger = Arc::clone(&self.0);
        Box::pin(async move { ledger.definition(digest).await.ok().flatten() })
    }
}
