//! Where the issuer's keys come from: a file that is read again when it changes, or a URL that is asked now and then.
//!
//! Knows files, HTTP and time. What could not be read or fetched leaves the last good keys in force, and those of a URL
//! for a limited time only: an issuer that takes a key back must be heard.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::Mutex;

use super::keys::{KeySet, NoKeySet};
use crate::config::JwksSource;
use crate::front::file::{Unreadable, Watched};
use crate::front::tls::install_provider;

/// The longest set of keys, bytes.
const MAX_BYTES: usize = 1 << 20;

/// When a URL is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// How long one answer may take, all of it.
    timeout: Duration,
    /// How often it is asked at the most, whatever tokens come.
    at_most: Duration,
    /// How often it is asked without a cause.
    every: Duration,
    /// How long keys are good that could not be fetched again.
    good_for: Duration,
}

impl Pace {
    const USUAL: Self = Self {
        timeout: Duration::from_secs(10),
        at_most: Duration::from_secs(30),
        every: Duration::from_secs(5 * 60),
        good_for: Duration::from_secs(6 * 60 * 60),
    };
}

/// Why keys cannot be had at all.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file cannot be read.
    #[error("`jwks_file`: {0}")]
    Unreadable(#[from] Unreadable),
    /// The file is no set of keys.
    #[error("`jwks_file`: {}: {source}", path.display())]
    NoKeySet {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: NoKeySet,
    },
    /// No HTTP client can be made.
    #[error("`jwks_url`: no HTTP client can be made: {}", chain(.0))]
    Client(reqwest::Error),
}

/// Why a fetch failed.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("{}", chain(.0))]
    Http(#[from] reqwest::Error),
    #[error("the answer is {0}, not 200")]
    Status(reqwest::StatusCode),
    #[error("the answer is longer than {MAX_BYTES} bytes")]
    TooLong,
    #[error("the answer {0}")]
    NoKeySet(#[from] NoKeySet),
}

/// The issuer's keys.
pub(super) enum Source {
    File {
        path: PathBuf,
        file: Watched<1>,
        keys: ArcSwap<KeySet>,
    },
    Url(Arc<Fetched>),
}

/// Keys of a URL.
pub(super) struct Fetched {
    url: String,
    client: reqwest::Client,
    pace: Pace,
    last_good: ArcSwapOption<Good>,
    /// Why the last fetch failed, if it did.
    trouble: RwLock<Option<String>>,
    /// When the last fetch began; held while one goes on, so that there is one at a time.
    asked: Mutex<Option<Instant>>,
}

struct Good {
    keys: Arc<KeySet>,
    text: Vec<u8>,
    at: Instant,
}

impl Source {
    /// Reads the file; a URL is first asked in the background.
    pub(super) fn open(source: &JwksSource) -> Result<Self, KeysError> {
        match source {
            JwksSource::File(path) => {
                let (file, keys) = read(path)?;
                Ok(Self::File {
                    path: path.clone(),
                    file,
                    keys: ArcSwap::from_pointee(keys),
                })
            }
            JwksSource::Url(url) => Self::fetching(url, Pace::USUAL),
        }
    }

    fn fetching(url: &str, pace: Pace) -> Result<Self, KeysError> {
        let fetched = Arc::new(Fetched::new(url, pace).map_err(KeysError::Client)?);
        let weak = Arc::downgrade(&fetched);
        tokio::spawn(async move {
            while let Some(fetched) = weak.upgrade() {
                fetched.ask(Instant::now()).await;
                let every = match fetched.good(Instant::now()) {
                    Some(_) => fetched.pace.every,
                    None => fetched.pace.at_most,
                };
                drop(fetched);
                tokio::time::sleep(every).await;
            }
        });
        Ok(Self::Url(fetched))
    }

    /// The keys in force; an error says why there are none.
    pub(super) async fn current(&self, now: Instant) -> Result<Arc<KeySet>, String> {
        match self {
            Self::File { path, file, keys } => {
                if let Some([text]) = file.changed(now) {
                    match KeySet::parse(&text) {
                        Ok(found) => keys.store(Arc::new(found)),
                        Err(error) => tracing::warn!(
                            "{}: {error}; the keys read before stay in force",
                            path.display()
                        ),
                    }
                }
                Ok(keys.load_full())
            }
            Self::Url(fetched) => {
                if let Some(good) = fetched.good(now) {
                    return Ok(good.keys.clone());
                }
                fetched.ask(now).await;
                match fetched.good(now) {
                    Some(good) => Ok(good.keys.clone()),
                    None => Err(fetched.told()),
                }
            }
        }
    }

    /// Keys newer than what was fetched, for a token that none of them fits.
    pub(super) async fn newer(&self, now: Instant) -> Option<Arc<KeySet>> {
        match self {
            Self::File { .. } => None,
            Self::Url(fetched) => {
                fetched.ask(now).await;
                fetched.good(now).map(|good| good.keys.clone())
            }
        }
    }

    /// Why there are no keys, if so.
    pub(super) fn trouble(&self, now: Instant) -> Option<String> {
        match self {
            Self::File { .. } => None,
            Self::Url(fetched) => match fetched.good(now) {
                Some(_) => None,
                None => Some(fetched.told()),
            },
        }
    }
}

/// Whether a file holds a set of keys.
pub(in crate::front::auth) fn check(path: &Path) -> Result<(), KeysError> {
    read(path).map(|_| ())
}

fn read(path: &Path) -> Result<(Watched<1>, KeySet), KeysError> {
    let (file, [text]) = Watched::open([path])?;
    let keys = KeySet::parse(&text).map_err(|source| KeysError::NoKeySet {
        path: path.to_owned(),
        source,
    })?;
    Ok((file, keys))
}

impl Fetched {
    fn new(url: &str, pace: Pace) -> Result<Self, reqwest::Error> {
        install_provider();
        let https = url.starts_with("https:");
        let mut client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(pace.timeout)
            .https_only(https)
            .user_agent(concat!("witgate/", env!("CARGO_PKG_VERSION")));
        if !https {
            // Plain HTTP is for this machine only, so it must not go by way of another.
            client = client.no_proxy();
        }
        Ok(Self {
            url: url.to_owned(),
            client: client.build()?,
            pace,
            last_good: ArcSwapOption::empty(),
            trouble: RwLock::new(None),
            asked: Mutex::new(None),
        })
    }

    fn good(&self, now: Instant) -> Option<Arc<Good>> {
        self.last_good
            .load_full()
            .filter(|good| now.saturating_duration_since(good.at) < self.pace.good_for)
    }

    fn told(&self) -> String {
        let trouble = self.trouble.read().unwrap_or_else(PoisonError::into_inner);
        let detail = trouble.as_deref().unwrap_or("it has not answered yet");
        format!("{}: {detail}", self.url)
    }

    /// Asks, unless that was done a moment ago. Who comes while somebody asks waits for the same answer. It goes on if
    /// whoever began it goes away: else clients that hang up could keep new keys from being seen.
    async fn ask(self: &Arc<Self>, now: Instant) {
        let this = self.clone();
        // It fails only with the process.
        let _ = tokio::spawn(async move { this.ask_once(now).await }).await;
    }

    async fn ask_once(&self, now: Instant) {
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|at| now.saturating_duration_since(at) < self.pace.at_most) {
            return;
        }
        *asked = Some(Instant::now());
        let trouble = match self.fetch().await {
            Ok(text) => self.take(text).err().map(|e| e.to_string()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(trouble) = &trouble {
            tracing::warn!("{}: {trouble}; see `jwks_url` in [http.jwt]", self.url);
        }
        *self.trouble.write().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// What was fetched is in force. The same bytes are the same keys, so that what was verified with them still is.
    fn take(&self, text: Vec<u8>) -> Result<(), FetchError> {
        let keys = match self.last_good.load_full() {
            Some(last) if last.text == text => last.keys.clone(),
            _ => Arc::new(KeySet::parse(&text)?),
        };
        if keys.len() == 0 {
            tracing::warn!("{}: holds no key that can verify a JWT", self.url);
        }
        self.last_good.store(Some(Arc::new(Good {
            keys,
            text,
            at: Instant::now(),
        })));
        Ok(())
    }

    async fn fetch(&self) -> Result<Vec<u8>, FetchError> {
        let mut response = self.client.get(&self.url).send().await?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let mut text = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if text.len() + chunk.len() > MAX_BYTES {
                return Err(FetchError::TooLong);
            }
            text.extend_from_slice(&chunk);
        }
        Ok(text)
    }
}

/// An error and what caused it, in one line: the outermost alone says only that something failed.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a string cannot fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
