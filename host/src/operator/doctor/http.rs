//! What `witgate serve` needs: certificate, keys, tokens. A running gate goes on with the last good ones, so that it is
//! here that a broken one shows.

use super::Report;
use crate::config::{AuthConfig, Config};
use crate::front::auth::{self, tokens};
use crate::front::tls::Tls;
use crate::ledger::Ledger;

/// Looks at `[http]` and at the tokens of the ledger.
pub(super) fn examine(config: &Config, ledger: &dyn Ledger, report: &mut Report) {
    if let Some(paths) = &config.http.tls
        && let Err(error) = Tls::open(paths)
    {
        report.error(
            error.to_string(),
            "[http.tls]",
            "mend the files; a running gate shows the last good certificate until then",
        );
    }
    match &config.http.auth {
        AuthConfig::Jwt(jwt) => {
            if let Err(error) = auth::check_keys(jwt) {
                report.error(
                    error.to_string(),
                    "[http.jwt]",
                    "mend the file; a running gate verifies with the last good keys until then",
                );
            }
        }
        AuthConfig::None if config.file.is_some() => report.warn(
            "whoever reaches the port of `witgate serve` may call (`auth = \"none\"`)",
            "[http]",
            "write `auth = \"token\"`, unless every user of this machine may",
        ),
        AuthConfig::Token | AuthConfig::None => {}
    }
    for name in tokens::list(&ledger.snapshot()).unreadable {
        report.error(
            format!("the token `{name}` cannot be read, so it is not taken"),
            "the ledger",
            format!(
                "install the witgate that wrote it, or `witgate token revoke {name}` and make another"
            ),
        );
    }
}
