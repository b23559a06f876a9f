//! A policy that may make requests: to the hosts that the operator named, for as long as the operator said.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::super::contract::{Denial, Verdict};
use super::*;
use crate::config::{Grants, HttpGrant, HttpHost};

const HTTP: &[u8] = include_bytes!("../../../../tests/golden/wasi/wasi_http.wasm");

/// What WASI numbers `HTTP-request-denied`.
const DENIED: &str = "error 15";

/// A server that answers by the path: `/ok`, `/away` (a redirect), `/late` after 300 ms, `/silent` never, `/endless` with
/// a body that does not end.
struct Web {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Web {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        // It ends with the test's process.
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    let mut head = Vec::new();
                    let mut byte = [0];
                    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                        head.push(byte[0]);
                    }
                    let head = String::from_utf8_lossy(&head).into_owned();
                    let answer: &[u8] = match head.split(' ').nth(1).unwrap_or_default() {
                        "/ok" => b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello",
                        "/away" => {
                            b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
                        }
                        "/late" => {
                            thread::sleep(Duration::from_millis(300));
                            b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 4\r\n\r\nlate"
                        }
                        "/endless" => b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nbegun",
                        _ => b"",
                    };
                    let _ = stream.write_all(answer);
                    // Until the other side goes.
                    let _ = stream.read(&mut byte);
                });
            }
        });
        Self {
            address,
            connections,
        }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A policy that may make requests there, with little time of its own.
async fn granted(host: &str, timeout: Duration) -> Arc<Policy> {
    let mut given = source("guest", HTTP);
    given.grants = Grants {
        http: Some(HttpGrant {
            hosts: vec![HttpHost::parse(host).unwrap()],
            timeout,
        }),
    };
    let limits = PolicyLimits {
        memory: 32 << 20,
        hook_time: Duration::from_millis(200),
        ..limits()
    };
    load(&engine(limits), given).await.unwrap()
}

async fn tried(policy: &Policy, name: &str) -> String {
    match policy.check(&view(), &context(), &call(name)).await {
        Ok(Evaluated {
            value: Verdict::Deny(Denial { reason, .. }),
            pure: false,
            ..
        }) => reason,
        other => panic!("{name}: {other:?}"),
    }
}

#[tokio::test]
async fn a_named_host_is_reached() {
    let web = Web::start();
    let policy = granted(&format!("http://{}", web.address), Duration::from_secs(10)).await;
    let at = web.address;
    assert_eq!(tried(&policy, &format!("http:{at}/ok")).await, "200 hello");
    // A request has a time of its own beside the hook's.
    assert_eq!(tried(&policy, &format!("http:{at}/late")).await, "200 late");
    // Where an answer points to is asked by nobody but the guest, and judged again.
    assert_eq!(tried(&policy, &format!("http:{at}/away")).await, "302 ");
}

#[tokio::test]
async fn any_other_place_is_refused_before_a_connection() {
    let (web, other) = (Web::start(), Web::start());
    let policy = granted(&format!("http://{}", web.address), Duration::from_secs(10)).await;
    let port = web.address.port();
    for what in [
        format!("http:{}/ok", other.address),
        format!("http:localhost:{port}/ok"),
        format!("http:127.0.0.2:{port}/ok"),
        format!("http:127.1:{port}/ok"),
        format!("http:x@127.0.0.1:{port}/ok"),
        format!("tls:127.0.0.1:{port}/ok"),
        "http:127.0.0.1/ok".to_owned(),
    ] {
        assert_eq!(tried(&policy, &what).await, DENIED, "{what}");
    }
    assert_eq!((web.connections(), other.connections()), (0, 0));
}

#[tokio::test]
async fn a_request_is_given_up_when_its_time_is_over() {
    let web = Web::start();
    let at = web.address;
    let policy = granted(&format!("http://{at}"), Duration::from_millis(150)).await;
    let said = tried(&policy, &format!("http:{at}/silent")).await;
    assert!(said.starts_with("error "), "{said}");
    let said = tried(&policy, &format!("http:{at}/endless")).await;
    assert_eq!(said, "200 begun broken off");
}

/// A host that is down is the guest's to deal with; it does not hold the gate.
#[tokio::test]
async fn nobody_there_is_an_error_for_the_guest() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let policy = granted(&format!("http://{free}"), Duration::from_secs(10)).await;
    let said = tried(&policy, &format!("http:{free}/ok")).await;
    assert!(said.starts_with("error "), "{said}");
}
