//! How this process trusts whom it connects to by TLS.
//!
//! Knows the system's authorities. Knows nothing of who is asked for what.

use std::sync::{Arc, OnceLock};

/// The process's TLS settings as a client: the system's authorities, TLS 1.2 and 1.3, ring, HTTP/1.1. Made when it is
/// first asked for, since reading the authorities takes milliseconds.
///
/// # Errors
/// If the system's authorities cannot be had.
pub(crate) fn config() -> Result<Arc<rustls::ClientConfig>, rustls::Error> {
    static CONFIG: OnceLock<Arc<rustls::ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config.clone());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?;
    let mut config =
        hyper_rustls::ConfigBuilderExt::try_with_platform_verifier(builder)?.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(CONFIG.get_or_init(|| Arc::new(config)).clone())
}
