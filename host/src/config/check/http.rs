//! `[http]` and the sections in it: every key, its type, its range, its default.
//!
//! Knows each key by name, and which of them only together are safe. Knows nothing of connections.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use http::Uri;

use super::super::ConfigError;
use super::super::http::{
    AuthConfig, HttpConfig, HttpLimits, JwksSource, JwtAlgorithm, JwtConfig, TlsConfig, is_loopback,
};
use super::super::reader::{Field, Section};
use super::resolve;

/// Reads `[http]`.
pub(super) fn http(section: Section<'_>, dir: &Path) -> Result<HttpConfig, ConfigError> {
    let mut http = HttpConfig::default();
    let listen = section.get("listen");
    if let Some(field) = &listen {
        http.listen = address(field)?;
    }
    let auth = section.get("auth");
    let jwt = section.get("jwt");
    http.auth = authentication(auth.as_ref(), jwt, dir)?;
    if let Some(field) = section.get("hosts") {
        http.hosts = each(&field, host)?;
    }
    if let Some(field) = section.get("origins") {
        http.origins = each(&field, origin)?;
    }
    if let Some(field) = section.get("public_url") {
        let url = public_url(&field)?;
        if let Some(authority) = url.authority() {
            let known = authority.as_str().to_ascii_lowercase();
            if !http.hosts.contains(&known) {
                http.hosts.push(known);
            }
        }
        http.public_url = Some(url.to_string().trim_end_matches('/').to_owned());
    }
    if let Some(field) = section.get("tls") {
        http.tls = Some(tls(&field, dir)?);
    }
    http.admin = admin(&section, http.listen)?;
    if let Some(field) = section.get("limits") {
        http.limits = limits(field.section()?)?;
    }
    // The default is a loopback address, so an exposed one was written.
    if let (Some(field), Some(detail)) = (&listen, http.exposed()) {
        return Err(field.error(detail));
    }
    section.finish()?;
    Ok(http)
}

/// An address and a port; no name, since what a name stands for can change.
fn address(field: &Field<'_>) -> Result<SocketAddr, ConfigError> {
    field.string()?.parse().map_err(|_| {
        field.error(&format!(
            "must be an address and a port, such as \"127.0.0.1:7777\" or \"[::1]:7777\", not {}",
            field.shown()
        ))
    })
}

fn authentication(
    auth: Option<&Field<'_>>,
    jwt: Option<Field<'_>>,
    dir: &Path,
) -> Result<AuthConfig, ConfigError> {
    let kind = auth.map_or(Ok("token"), Field::string)?;
    match (kind, jwt, auth) {
        ("jwt", Some(jwt), _) => Ok(AuthConfig::Jwt(Box::new(self::jwt(&jwt, dir)?))),
        ("jwt", None, Some(auth)) => Err(auth.error(
            "is \"jwt\", and there is no [http.jwt] section; add one with `issuer`, `audience` and `jwks_url` or \
             `jwks_file`",
        )),
        ("token" | "none", Some(jwt), _) => Err(jwt.error(&format!(
            "has no effect while `http.auth` is {kind:?}; write `auth = \"jwt\"` in [http], or remove the section"
        ))),
        ("token", None, _) => Ok(AuthConfig::Token),
        ("none", None, _) => Ok(AuthConfig::None),
        (_, _, Some(auth)) => Err(auth.error(&format!(
            "must be \"token\", \"jwt\" or \"none\", not {}",
            auth.shown()
        ))),
        (_, _, None) => Ok(AuthConfig::Token),
    }
}

fn jwt(whole: &Field<'_>, dir: &Path) -> Result<JwtConfig, ConfigError> {
    let section = whole.section()?;
    let issuer_field = section.get("issuer").ok_or_else(|| {
        whole.error(
            "has no `issuer`; add what the tokens' `iss` is, such as \"https://login.example.com\"",
        )
    })?;
    let issuer = filled(&issuer_field)?;
    let audience = match section.get("audience") {
        Some(field) => one_or_more(&field)?,
        None => {
            return Err(whole.error(
                "has no `audience`, so that a token made for another service would be taken; add what the tokens' \
                 `aud` is for this gate",
            ));
        }
    };
    let keys = match (section.get("jwks_file"), section.get("jwks_url")) {
        (Some(file), None) => JwksSource::File(resolve(&file, file.string()?, dir)?),
        (None, Some(url)) => {
            let uri = web(&url, url.string()?)?;
            if !is_safe(&uri) {
                return Err(url.error(
                    "must be https (or http on a loopback address): whoever changes the keys on their way can sign \
                     tokens",
                ));
            }
            JwksSource::Url(uri.to_string())
        }
        (Some(_), Some(url)) => {
            return Err(url.error("stands beside `jwks_file`; keep one of them"));
        }
        (None, None) => {
            return Err(whole
                .error("names no keys; add `jwks_url = \"https://…\"` or `jwks_file = \"PATH\"`"));
        }
    };
    let algorithms = match section.get("algorithms") {
        Some(field) => each(&field, algorithm)?,
        None => JwtAlgorithm::ALL.to_vec(),
    };
    if algorithms.is_empty() {
        return Err(whole.error(
            "takes no signature at all (`algorithms` is empty); name one, or remove the key",
        ));
    }
    let roles_claim = section.get("roles_claim").map(|f| claim(&f)).transpose()?;
    let caller_claim = section.get("caller_claim").map(|f| claim(&f)).transpose()?;
    let leeway = match section.get("leeway_s") {
        Some(field) => Duration::from_secs(field.integer(0, 600)?),
        None => Duration::from_secs(30),
    };
    let scopes = match section.get("scopes") {
        Some(field) => each(&field, scope)?,
        None => Vec::new(),
    };
    let authorization_servers = match section.get("authorization_servers") {
        Some(field) => each(&field, |text| {
            plain_web(text)
                .map(|_| text.to_owned())
                .map_err(str::to_owned)
        })?,
        None => {
            plain_web(&issuer).map_err(|detail| {
                issuer_field.error(&format!(
                    "{detail}; or name the URLs where clients get tokens in `authorization_servers`"
                ))
            })?;
            vec![issuer.clone()]
        }
    };
    section.finish()?;
    Ok(JwtConfig {
        issuer,
        audience,
        keys,
        roles_claim,
        caller_claim: caller_claim.unwrap_or_else(|| vec!["sub".to_owned()]),
        algorithms,
        leeway,
        scopes,
        authorization_servers,
    })
}

/// A claim: a name, names joined by dots that lead to it, or an array of the steps where a name has dots itself.
fn claim(field: &Field<'_>) -> Result<Vec<String>, ConfigError> {
    let steps: Vec<String> = match field.string() {
        Ok(text) => text.split('.').map(str::to_owned).collect(),
        Err(_) => field.strings()?,
    };
    if steps.is_empty() || steps.iter().any(String::is_empty) {
        return Err(field.error(
            "names no claim; write one such as \"roles\", a path such as \"realm_access.roles\", or the steps of a \
             path as an array",
        ));
    }
    Ok(steps)
}

fn algorithm(text: &str) -> Result<JwtAlgorithm, String> {
    if let Some(known) = JwtAlgorithm::by_name(text) {
        return Ok(known);
    }
    let known: Vec<_> = JwtAlgorithm::ALL.iter().map(|a| a.name()).collect();
    Err(format!(
        "must be one of {}: signatures that need a secret, and none, are never taken",
        known.join(", ")
    ))
}

/// RFC 6749, section 3.3.
fn scope(text: &str) -> Result<String, String> {
    let fits = |b: u8| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    if !text.is_empty() && text.bytes().all(fits) {
        return Ok(text.to_owned());
    }
    Err("is no scope: one word of visible ASCII, without `\"` and `\\`".to_owned())
}

fn tls(whole: &Field<'_>, dir: &Path) -> Result<TlsConfig, ConfigError> {
    let section = whole.section()?;
    let path = |key| {
        let field = section
            .get(key)
            .ok_or_else(|| whole.error(&format!("has no `{key}`; add the path of a PEM file")))?;
        resolve(&field, field.string()?, dir)
    };
    let tls = TlsConfig {
        cert: path("cert")?,
        key: path("key")?,
    };
    section.finish()?;
    Ok(tls)
}

fn admin(section: &Section<'_>, listen: SocketAddr) -> Result<Option<SocketAddr>, ConfigError> {
    let insecure = section
        .get("admin_insecure")
        .map_or(Ok(false), |field| field.boolean())?;
    let Some(field) = section.get("admin") else {
        return Ok(None);
    };
    let admin = address(&field)?;
    if !is_loopback(admin) && !insecure {
        return Err(field.error(
            "can be reached from other machines, and what it serves needs no authentication; use a loopback address, \
             or write `admin_insecure = true` beside it",
        ));
    }
    if admin == listen && admin.port() != 0 {
        return Err(field.error("is the address of `http.listen`; choose another port"));
    }
    Ok(Some(admin))
}

fn limits(section: Section<'_>) -> Result<HttpLimits, ConfigError> {
    const MILLION: u64 = 1_000_000;
    const DAY_S: u64 = 24 * 60 * 60;
    let mut limits = HttpLimits::default();
    let number = |key, min, max, into: &mut usize| -> Result<(), ConfigError> {
        if let Some(field) = section.get(key) {
            let value = field.integer(min, max)?;
            *into = usize::try_from(value).map_err(|_| field.error("is too large here"))?;
        }
        Ok(())
    };
    number("max_body_bytes", 1024, 1 << 30, &mut limits.max_body_bytes)?;
    // hyper reads into no less than this.
    number(
        "max_header_bytes",
        8192,
        1 << 20,
        &mut limits.max_header_bytes,
    )?;
    number("max_requests", 1, MILLION, &mut limits.max_requests)?;
    number(
        "max_requests_per_caller",
        1,
        MILLION,
        &mut limits.max_requests_per_caller,
    )?;
    number("max_queue", 0, MILLION, &mut limits.max_queue)?;
    number("max_streams", 1, MILLION, &mut limits.max_streams)?;
    number("max_sessions", 1, MILLION, &mut limits.max_sessions)?;
    number(
        "max_sessions_per_caller",
        1,
        MILLION,
        &mut limits.max_sessions_per_caller,
    )?;
    number("max_connections", 1, MILLION, &mut limits.max_connections)?;
    let time = |key,
                unit: fn(u64) -> Duration,
                min,
                max,
                into: &mut Duration|
     -> Result<(), ConfigError> {
        if let Some(field) = section.get(key) {
            *into = unit(field.integer(min, max)?);
        }
        Ok(())
    };
    let (ms, s) = (Duration::from_millis, Duration::from_secs);
    time(
        "queue_timeout_ms",
        ms,
        0,
        DAY_S * 1000,
        &mut limits.queue_timeout,
    )?;
    time("session_idle_s", s, 1, 30 * DAY_S, &mut limits.session_idle)?;
    time(
        "first_byte_timeout_s",
        s,
        1,
        DAY_S,
        &mut limits.first_byte_timeout,
    )?;
    time(
        "body_timeout_ms",
        ms,
        1,
        DAY_S * 1000,
        &mut limits.body_timeout,
    )?;
    time(
        "header_timeout_ms",
        ms,
        1,
        DAY_S * 1000,
        &mut limits.header_timeout,
    )?;
    time("keep_alive_s", s, 1, DAY_S, &mut limits.keep_alive)?;
    time("shutdown_grace_s", s, 0, DAY_S, &mut limits.shutdown_grace)?;
    section.finish()?;
    Ok(limits)
}

/// `HOST` or `HOST:PORT`, as `Host` has it.
fn host(text: &str) -> Result<String, String> {
    let wrong = || {
        "is no host: write \"gate.example.com\" (any port) or \"gate.example.com:8443\", without a scheme or a path"
            .to_owned()
    };
    let authority: http::uri::Authority = text.parse().map_err(|_| wrong())?;
    if authority.as_str().contains(['@', '*']) || authority.host().is_empty() {
        return Err(wrong());
    }
    Ok(authority.as_str().to_ascii_lowercase())
}

/// An origin as browsers write it (RFC 6454, section 6.2): scheme, host, and the port unless it is the scheme's own.
fn origin(text: &str) -> Result<String, String> {
    let wrong = || {
        "is no origin: write \"https://app.example.com\" or \"http://localhost:3000\", without a path".to_owned()
    };
    let uri = plain_web(text).map_err(|_| wrong())?;
    if uri.path() != "/" || text.ends_with('/') {
        return Err(wrong());
    }
    let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else {
        return Err(wrong());
    };
    let host = host.to_ascii_lowercase();
    Ok(match (scheme, uri.port_u16()) {
        (_, None) | ("http", Some(80)) | ("https", Some(443)) => format!("{scheme}://{host}"),
        (_, Some(port)) => format!("{scheme}://{host}:{port}"),
    })
}

fn public_url(field: &Field<'_>) -> Result<Uri, ConfigError> {
    let text = field.string()?;
    let uri = plain_web(text).map_err(|detail| field.error(detail))?;
    if !is_safe(&uri) {
        return Err(field.error(
            "must be https, since tokens travel to it; http is taken for a loopback address only",
        ));
    }
    Ok(uri)
}

/// An `http` or `https` URL.
fn web(field: &Field<'_>, text: &str) -> Result<Uri, ConfigError> {
    web_url(text).map_err(|detail| field.error(detail))
}

fn web_url(text: &str) -> Result<Uri, &'static str> {
    const WRONG: &str = "must be a URL such as \"https://gate.example.com\", without a user, a password or a fragment";
    let uri: Uri = text.parse().map_err(|_| WRONG)?;
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    let bare = uri
        .authority()
        .is_some_and(|a| !a.as_str().contains('@') && !a.host().is_empty());
    if !known || !bare || text.contains('#') {
        return Err(WRONG);
    }
    Ok(uri)
}

/// The same, without a query.
fn plain_web(text: &str) -> Result<Uri, &'static str> {
    let uri = web_url(text)?;
    if uri.query().is_some() {
        return Err("must be a URL without a query");
    }
    Ok(uri)
}

/// Whether nobody on the way can read or change what is sent there.
fn is_safe(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    uri.scheme_str() == Some("https")
        || host.eq_ignore_ascii_case("localhost")
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.to_canonical().is_loopback())
}

fn filled(field: &Field<'_>) -> Result<String, ConfigError> {
    let text = field.string()?;
    if text.is_empty() {
        return Err(field.error("is empty"));
    }
    Ok(text.to_owned())
}

/// A string, or an array of at least one.
fn one_or_more(field: &Field<'_>) -> Result<Vec<String>, ConfigError> {
    let all = match field.string() {
        Ok(text) => vec![text.to_owned()],
        Err(_) => field.strings()?,
    };
    if all.is_empty() || all.iter().any(String::is_empty) {
        return Err(field.error("is empty; write a string, or an array of strings"));
    }
    Ok(all)
}

/// Every string of an array, checked; an error names the one.
fn each<T>(
    field: &Field<'_>,
    check: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, ConfigError> {
    let mut checked = Vec::new();
    for (n, text) in field.strings()?.iter().enumerate() {
        checked.push(check(text).map_err(|e| field.error(&format!("[{n}], {text:?}, {e}")))?);
    }
    Ok(checked)
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
