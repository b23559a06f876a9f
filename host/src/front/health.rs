//! Whether the process lives, and whether calls can pass.
//!
//! Knows what closes the gate: a ledger that is not fresh, an audit that cannot be written. Says which by name, and
//! nothing that is secret.

use http::{Method, Response, StatusCode};

use super::Front;
use super::reply::{self, Body, Refusal};
use super::route::Route;
use crate::gate::Host;
use crate::gate::host::MAX_LEDGER_AGE;

/// Why calls cannot pass at the moment, each in one word or two; empty if they can.
pub fn troubles(host: &Host) -> Vec<String> {
    let mut found = Vec::new();
    if host.ledger.age() > MAX_LEDGER_AGE {
        found.push("ledger stale".to_owned());
    }
    if host.config.load().audit.required && host.audit.problem().is_some() {
        found.push("audit".to_owned());
    }
    found
}

impl Front {
    /// Answers `/healthz` and `/readyz`.
    pub(super) fn health(
        &self,
        method: &Method,
        route: Route<'_>,
    ) -> Result<Response<Body>, Refusal> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Err(Refusal::plain(
                StatusCode::METHOD_NOT_ALLOWED,
                "the methods here are GET and HEAD",
            )
            .allowing("GET, HEAD"));
        }
        let ready = matches!(route, Route::Ready);
        let mut troubles = if ready {
            troubles(&self.gateway.host)
        } else {
            Vec::new()
        };
        if ready {
            troubles.extend(self.auth.trouble());
            if *self.stopping.borrow() {
                troubles.push("stopping".to_owned());
            }
        }
        let (status, text) = if troubles.is_empty() {
            (StatusCode::OK, "ok\n".to_owned())
        } else {
            let text = format!("{}\n", troubles.join("\n"));
            (StatusCode::SERVICE_UNAVAILABLE, text)
        };
        Ok(reply::whole(status, "text/plain; charset=utf-8", text))
    }
}
