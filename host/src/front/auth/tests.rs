//! From a request's headers to a caller or a challenge.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use futures_util::future::BoxFuture;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

use super::*;
use crate::ledger::{self, AuditHead, Commit, LedgerError, Snapshot, StoredPolicy};
use crate::mcp::{Digest, Item};

fn local() -> SocketAddr {
    "127.0.0.1:7777".parse().unwrap()
}

fn open(auth: AuthConfig, ledger: Arc<dyn Ledger>) -> Arc<Authenticator> {
    let http = HttpConfig {
        auth,
        ..HttpConfig::default()
    };
    Authenticator::open(&http, local(), ledger).unwrap()
}

fn bearer(token: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    headers.insert(AUTHORIZATION, value);
    headers
}

#[tokio::test]
async fn without_authentication_everybody_is_anonymous() {
    let auth = open(AuthConfig::None, ledger::in_memory(None));
    for headers in [HeaderMap::new(), bearer("x")] {
        let admitted = auth.authenticate(&headers, "s").await.unwrap();
        assert_eq!(admitted.caller.id, "anonymous");
        assert!(auth.holds(&admitted.pass));
    }
    assert!(
        auth.metadata("/.well-known/oauth-protected-resource", &HeaderMap::new())
            .is_none()
    );
}

/// What was wrong with a token is nobody's business: all get the same bytes.
#[tokio::test]
async fn unknown_revoked_and_expired_tokens_are_told_alike() {
    let ledger = ledger::in_memory(None);
    let auth = open(AuthConfig::Token, ledger.clone());
    let now = now_ms();
    let good = tokens::make(&*ledger, "good", &["r".to_owned()], None, now)
        .await
        .unwrap();
    let gone = tokens::make(&*ledger, "gone", &[], None, now)
        .await
        .unwrap();
    let old = tokens::make(&*ledger, "old", &[], Some(now), now)
        .await
        .unwrap();
    let admitted = auth.authenticate(&bearer(good.text()), "s").await.unwrap();
    assert_eq!(admitted.caller.id, "good");
    assert_eq!(admitted.caller.roles, ["r"]);
    let revoked = auth.authenticate(&bearer(gone.text()), "s").await.unwrap();
    assert!(auth.holds(&revoked.pass));
    tokens::revoke(&*ledger, "gone").await.unwrap();
    assert!(
        !auth.holds(&revoked.pass),
        "a stream that is open can be closed"
    );

    let stranger = Secret::random();
    let mut told = Vec::new();
    for token in [gone.text(), old.text(), stranger.text(), "wg_short", "x"] {
        let challenge = auth.authenticate(&bearer(token), "s").await.unwrap_err();
        assert_eq!(challenge.status(), StatusCode::UNAUTHORIZED);
        let response = challenge.response();
        told.push((format!("{:?}", response.headers()), response.into_body()));
    }
    told.dedup();
    assert_eq!(told.len(), 1);
    assert!(told[0].0.contains("invalid_token"));
}

#[tokio::test]
async fn no_credentials_and_broken_ones_are_told_how() {
    let auth = open(AuthConfig::Token, ledger::in_memory(None));
    let missing = auth
        .authenticate(&HeaderMap::new(), "s")
        .await
        .unwrap_err()
        .response();
    assert_eq!(missing.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        missing.headers()[WWW_AUTHENTICATE],
        "Bearer realm=\"witgate\""
    );
    let mut twice = bearer("a");
    twice.append(AUTHORIZATION, HeaderValue::from_static("Bearer a"));
    let twice = auth.authenticate(&twice, "s").await.unwrap_err();
    assert_eq!(twice.status(), StatusCode::BAD_REQUEST);
    assert_eq!(twice.code(), "invalid_request");
}

/// Invariant 10: what a stale snapshot does not show may be a revocation.
#[tokio::test]
async fn a_stale_ledger_closes() {
    let inner = ledger::in_memory(None);
    let good = tokens::make(&*inner, "good", &[], None, now_ms())
        .await
        .unwrap();
    let fresh = open(AuthConfig::Token, inner.clone());
    let admitted = fresh.authenticate(&bearer(good.text()), "s").await.unwrap();
    let stale = open(AuthConfig::Token, Arc::new(Stale(inner)));
    let refused = stale
        .authenticate(&bearer(good.text()), "s")
        .await
        .unwrap_err();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(!stale.holds(&admitted.pass));
}

/// A ledger that has not been confirmed for long.
struct Stale(Arc<dyn Ledger>);

impl Ledger for Stale {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.0.snapshot()
    }
    fn age(&self) -> Duration {
        MAX_LEDGER_AGE + Duration::from_millis(1)
    }
    fn confirm(&self) -> BoxFuture<'_, Result<Arc<Snapshot>, LedgerError>> {
        self.0.confirm()
    }
    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Arc<Snapshot>, LedgerError>> {
        self.0.commit(commit)
    }
    fn definition(&self, digest: Digest) -> BoxFuture<'_, Result<Option<Arc<str>>, LedgerError>> {
        self.0.definition(digest)
    }
    fn sighted(&self, server: String) -> BoxFuture<'_, Result<Vec<(Item, u64)>, LedgerError>> {
        self.0.sighted(server)
    }
    fn policies(&self) -> BoxFuture<'_, Result<Vec<StoredPolicy>, LedgerError>> {
        self.0.policies()
    }
    fn audit_heads(&self) -> BoxFuture<'_, Result<Vec<AuditHead>, LedgerError>> {
        self.0.audit_heads()
    }
    fn revisions(&self) -> tokio::sync::watch::Receiver<u64> {
        self.0.revisions()
    }
    fn location(&self) -> String {
        self.0.location()
    }
}
