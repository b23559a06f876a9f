//! `witgate token`: who may call over HTTP, where `[http] auth` is "token".

use std::path::Path;

use clap::Subcommand;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::time::rfc3339;
use super::{Context, Failed, output};
use crate::config::{AuthConfig, Config};
use crate::front::auth::Secret;
use crate::front::auth::tokens::{self, FIRST, Listed, Token, TokenError};
use crate::ledger::now_ms;
use crate::setup;

/// The longest life of a token: more is meant as none.
const MAX_LIFE_MS: u64 = 100 * 365 * DAY_MS;
const MINUTE_MS: u64 = 60 * 1000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;

/// Make, list and revoke the tokens that clients over HTTP call with
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List all tokens, without what is secret in them
    List,
    /// Make a token, and print it this once
    New {
        /// What policies and the audit call who bears it: 1 to 64 of A-Z a-z 0-9 . _ -
        name: String,
        /// A role of the caller, as policies see it (repeatable)
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<String>,
        /// How long it is good for, such as 12h, 90d or 8w [default: until it is revoked]
        #[arg(long, value_name = "TIME", value_parser = life)]
        expires: Option<u64>,
    },
    /// Revoke a token: running gates take it no more, within two seconds
    Revoke {
        /// The token's name
        name: String,
    },
}

#[derive(Serialize)]
struct TokenJson<'a> {
    name: &'a str,
    roles: &'a [String],
    created: Option<String>,
    expires: Option<String>,
    expired: bool,
    last_used: Option<String>,
}

#[derive(Serialize)]
struct ListJson<'a> {
    tokens: Vec<TokenJson<'a>>,
    unreadable: &'a [String],
}

#[derive(Serialize)]
struct NewJson<'a> {
    name: &'a str,
    token: &'a str,
    roles: &'a [String],
    expires: Option<String>,
}

/// Runs the command.
pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failed> {
    match args.action.unwrap_or(Action::List) {
        Action::List => list(context).await,
        Action::New {
            name,
            roles,
            expires,
        } => new(context, &name, &roles, expires).await,
        Action::Revoke { name } => {
            let (_, ledger) = context.ledger().await?;
            tokens::revoke(&*ledger, &name).await?;
            if context.out.is_json() {
                return context.out.value(&json!({"done": "revoke", "token": name}));
            }
            context.out.line(&format!(
                "{name} is revoked. Running gates refuse it within two seconds."
            ));
            Ok(())
        }
    }
}

/// What to say of the token that the first start made. `base` is the gate's URL, without a slash at its end.
pub(super) fn first_text(base: &str, servers: &[&str], secret: &Secret) -> String {
    format!(
        "callers need a token. This is the first, named `{FIRST}`; it is shown this once:\n\n{}\n\n{}\nMake others with \
         `witgate token new NAME`, and revoke this one with `witgate token revoke {FIRST}`.",
        secret.text(),
        entries(base, servers, secret.text())
    )
}

/// What to paste into clients so that they call these servers with a token.
pub(super) fn entries(base: &str, servers: &[&str], token: &str) -> String {
    if servers.is_empty() {
        return format!(
            "Clients send it to {base}/mcp/SERVER as `Authorization: Bearer TOKEN`. No server stands in the \
             configuration yet; add a section [server.NAME]."
        );
    }
    let authorization = format!("Bearer {token}");
    let url = |server: &str| format!("{base}/mcp/{server}");
    let entries: Map<String, Value> = servers
        .iter()
        .map(|server| {
            let entry = json!({
                "type": "http",
                "url": url(server),
                "headers": {"Authorization": authorization},
            });
            ((*server).to_owned(), entry)
        })
        .collect();
    let entries = json!({ "mcpServers": entries });
    let mut text =
        format!("In a client's configuration:\n\n{entries:#}\n\nOr on a command line:\n\n");
    for server in servers {
        let header = format!("Authorization: {authorization}");
        let url = url(server);
        let words = [
            "claude",
            "mcp",
            "add",
            "--transport",
            "http",
            server,
            &url,
            "--header",
            &header,
        ];
        text.push_str(&output::shell_line(&words));
        text.push('\n');
    }
    text
}

async fn new(
    context: &Context,
    name: &str,
    roles: &[String],
    life_ms: Option<u64>,
) -> Result<(), Failed> {
    let (config, ledger) = context.ledger().await?;
    let now = now_ms();
    let expires_ms = life_ms.map(|life| now.saturating_add(life));
    let secret = tokens::make(&*ledger, name, roles, expires_ms, now).await?;
    let expires = expires_ms.and_then(rfc3339);
    if context.out.is_json() {
        return context.out.value(&NewJson {
            name,
            token: secret.text(),
            roles,
            expires,
        });
    }
    context.out.line(secret.text());
    let until = match expires {
        Some(time) => format!("It is good until {time}"),
        None => "It is good until it is revoked".to_owned(),
    };
    let revoke = context.command(&["token", "revoke", name]);
    context.out.line(&format!(
        "\nIt is shown this once. {until} (`{revoke}`). Policies and the audit call its bearer `{name}`.\n"
    ));
    let base = config.http.base_url(config.http.listen);
    let servers = usable(&config);
    context.out.line(&entries(&base, &servers, secret.text()));
    if config.http.auth != AuthConfig::Token {
        context.out.line(
            "The configuration does not ask for tokens: write `auth = \"token\"` in [http], or it is of no use.",
        );
    }
    Ok(())
}

/// The servers that clients may be told of.
pub(super) fn usable(config: &Config) -> Vec<&str> {
    let servers = config.servers.iter().filter(|(_, server)| server.enabled);
    servers.map(|(name, _)| name.as_str()).collect()
}

async fn list(context: &Context) -> Result<(), Failed> {
    let file: Option<&Path> = context.global.config.as_deref();
    let config = Config::load(file)?;
    let places = setup::places(&config, context.global.state.as_deref());
    let ledger = setup::open_ledger(&places, false).await?;
    let listed = tokens::list(&ledger.snapshot());
    let now = now_ms();
    if context.out.is_json() {
        return context.out.value(&ListJson {
            tokens: listed.tokens.iter().map(|t| token_json(t, now)).collect(),
            unreadable: &listed.unreadable,
        });
    }
    context.out.line(&table(&listed, now));
    Ok(())
}

fn token_json(token: &Token, now: u64) -> TokenJson<'_> {
    TokenJson {
        name: &token.name,
        roles: &token.roles,
        created: rfc3339(token.created_ms),
        expires: token.expires_ms.and_then(rfc3339),
        expired: is_expired(token, now),
        last_used: token.used_ms.and_then(rfc3339),
    }
}

fn is_expired(token: &Token, now: u64) -> bool {
    token.expires_ms.is_some_and(|end| now >= end)
}

fn table(listed: &Listed, now: u64) -> String {
    if listed.tokens.is_empty() && listed.unreadable.is_empty() {
        return "No token. Make one with `witgate token new NAME`.".to_owned();
    }
    let rows = listed.tokens.iter().map(|token| {
        let expires = match token.expires_ms.and_then(rfc3339) {
            Some(_) if is_expired(token, now) => "expired".to_owned(),
            Some(time) => time,
            None => "never".to_owned(),
        };
        vec![
            token.name.clone(),
            token.roles.join(", "),
            rfc3339(token.created_ms).unwrap_or_default(),
            expires,
            token
                .used_ms
                .and_then(rfc3339)
                .unwrap_or_else(|| "never".to_owned()),
        ]
    });
    let unreadable = listed.unreadable.iter().map(|name| {
        let told = "cannot be read, so it is not taken; revoke it";
        vec![name.clone(), told.to_owned()]
    });
    let header = ["NAME", "ROLES", "MADE", "EXPIRES", "LAST USED"];
    output::table(&header, rows.chain(unreadable))
}

/// A number and a unit, as milliseconds.
fn life(text: &str) -> Result<u64, String> {
    let wrong = || {
        format!(
            "{text:?} is no time: write a number and a unit, `m` minutes, `h` hours, `d` days or `w` weeks, such as \
             90d; at most 100 years"
        )
    };
    let unit = match text.chars().next_back() {
        Some('m') => MINUTE_MS,
        Some('h') => 60 * MINUTE_MS,
        Some('d') => DAY_MS,
        Some('w') => 7 * DAY_MS,
        _ => return Err(wrong()),
    };
    let digits = &text[..text.len() - 1];
    let number: u64 = match digits.bytes().all(|b| b.is_ascii_digit()) {
        true => digits.parse().map_err(|_| wrong())?,
        false => return Err(wrong()),
    };
    number
        .checked_mul(unit)
        .filter(|ms| (1..=MAX_LIFE_MS).contains(ms))
        .ok_or_else(wrong)
}

impl From<TokenError> for Failed {
    fn from(error: TokenError) -> Self {
        let message = error.to_string();
        match error {
            TokenError::BadName(_) => Self::unusable("token_name", message),
            TokenError::BadRole(_) => Self::unusable("role", message),
            TokenError::Taken(_) => Self::new("taken", message),
            TokenError::Unknown(_) => Self::new("unknown_token", message),
            TokenError::TooMany => Self::new("too_many_tokens", message),
            TokenError::Ledger(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::config::HttpConfig;

    #[test]
    fn a_life_is_a_number_and_a_unit() {
        assert_eq!(life("1m"), Ok(60_000));
        assert_eq!(life("12h"), Ok(12 * 3_600_000));
        assert_eq!(life("90d"), Ok(90 * DAY_MS));
        assert_eq!(life("2w"), Ok(14 * DAY_MS));
        for bad in [
            "",
            "d",
            "90",
            "-1d",
            "+1d",
            "1.5d",
            "0d",
            "1y",
            "99999999999999999999d",
            "40000w",
            "9é",
        ] {
            assert!(life(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_entries_can_be_pasted() {
        let text = entries("https://g", &["api.v1", "files"], "wg_x");
        let (start, end) = (text.find('{').unwrap(), text.rfind('}').unwrap());
        let json: Value = serde_json::from_str(&text[start..=end]).unwrap();
        assert_eq!(
            json["mcpServers"]["files"],
            json!({"type": "http", "url": "https://g/mcp/files", "headers": {"Authorization": "Bearer wg_x"}})
        );
        assert!(text.contains(
            "\nclaude mcp add --transport http api.v1 https://g/mcp/api.v1 --header 'Authorization: Bearer wg_x'\n"
        ));
    }

    #[test]
    fn the_url_is_one_that_can_be_called() {
        let mut http = HttpConfig::default();
        let url = |http: &HttpConfig, listen: &str| http.base_url(listen.parse().unwrap());
        assert_eq!(url(&http, "127.0.0.1:7"), "http://127.0.0.1:7");
        assert_eq!(url(&http, "[::1]:7"), "http://[::1]:7");
        assert_eq!(url(&http, "0.0.0.0:7"), "http://127.0.0.1:7");
        http.public_url = Some("https://g.example".to_owned());
        assert_eq!(url(&http, "127.0.0.1:7"), "https://g.example");
    }
}
