//! An issuer that answers, answers badly, or not at all.
#![allow(clippy::unwrap_used)]

use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::config::JwtAlgorithm;

const SET: &str = include_str!("../../../../../../tests/fixtures/keys/jwks.json");

/// No waiting between fetches, and keys that are good for ever.
const QUICK: Pace = Pace {
    timeout: Duration::from_millis(500),
    at_most: Duration::ZERO,
    every: Duration::from_secs(3600),
    good_for: Duration::from_secs(3600),
};

/// A server that says what it is told to say, and counts.
struct Issuer {
    url: String,
    answer: Arc<StdMutex<String>>,
    asked: Arc<AtomicUsize>,
}

impl Issuer {
    async fn start(answer: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let answer = Arc::new(StdMutex::new(answer));
        let asked = Arc::new(AtomicUsize::new(0));
        let (says, counts) = (answer.clone(), asked.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counts.fetch_add(1, Ordering::SeqCst);
                let answer = says.lock().unwrap().clone();
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    let _ = stream.read(&mut request).await;
                    let _ = stream.write_all(answer.as_bytes()).await;
                    if answer.is_empty() {
                        tokio::time::sleep(Duration::from_secs(60)).await;
                    }
                });
            }
        });
        Self { url, answer, asked }
    }

    fn says(&self, answer: String) {
        *self.answer.lock().unwrap() = answer;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn ok(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

fn fetched(issuer: &Issuer, pace: Pace) -> Arc<Fetched> {
    Arc::new(Fetched::new(&issuer.url, pace).unwrap())
}

#[tokio::test]
async fn keys_are_fetched_in_the_background_and_waited_for() {
    let issuer = Issuer::start(ok(SET)).await;
    let source = Source::fetching(&issuer.url, Pace::USUAL).unwrap();
    let keys = source.current(Instant::now()).await.unwrap();
    assert!(keys.find(Some("ec"), JwtAlgorithm::ES256).is_some());
    assert_eq!(source.trouble(Instant::now()), None);
    for _ in 0..5 {
        source.newer(Instant::now()).await.unwrap();
    }
    assert_eq!(
        issuer.asked(),
        1,
        "not again within half a minute, whatever tokens come"
    );
}

#[tokio::test]
async fn a_new_key_is_seen_and_the_same_bytes_are_the_same_keys() {
    let issuer = Issuer::start(ok("{\"keys\":[]}")).await;
    let source = Source::Url(fetched(&issuer, QUICK));
    let first = source.current(Instant::now()).await.unwrap();
    assert!(first.find(Some("ec"), JwtAlgorithm::ES256).is_none());
    issuer.says(ok(SET));
    let second = source.newer(Instant::now()).await.unwrap();
    assert!(second.find(Some("ec"), JwtAlgorithm::ES256).is_some());
    assert_ne!(first.id, second.id);
    let third = source.newer(Instant::now()).await.unwrap();
    assert_eq!(second.id, third.id);
}

/// The issuer may be down for a while; but a key it took back in that time must end some day.
#[tokio::test]
async fn the_last_good_keys_are_good_for_a_while() {
    let issuer = Issuer::start(ok(SET)).await;
    let source = Source::Url(fetched(&issuer, QUICK));
    let keys = source.current(Instant::now()).await.unwrap();
    let long = "x".repeat(MAX_BYTES + 1);
    for (bad, told) in [
        (
            "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n".to_owned(),
            "503",
        ),
        (ok("<html>"), "is no JWK set"),
        (ok(&long), "longer than"),
        (
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
                .to_owned(),
            "302",
        ),
        ("nonsense\r\n\r\n".to_owned(), "error"),
        (String::new(), "error"),
    ] {
        issuer.says(bad);
        let same = source.newer(Instant::now()).await.unwrap();
        assert_eq!(same.id, keys.id);
        let late = Instant::now() + QUICK.good_for;
        let trouble = source.trouble(late).unwrap();
        assert!(trouble.contains(told), "{told}: {trouble}");
    }
    let late = Instant::now() + QUICK.good_for;
    assert!(source.current(late).await.is_err(), "closed at last");
}

#[tokio::test]
async fn nobody_who_hangs_up_keeps_others_from_new_keys() {
    let issuer = Issuer::start(ok(SET)).await;
    let fetched = fetched(&issuer, Pace::USUAL);
    // Polled once and dropped.
    let impatient = fetched.ask(Instant::now()).now_or_never();
    assert_eq!(impatient, None);
    fetched.ask(Instant::now()).await;
    assert!(fetched.good(Instant::now()).is_some());
    assert_eq!(issuer.asked(), 1);
}
