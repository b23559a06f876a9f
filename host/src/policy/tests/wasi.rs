//! What a component gets that imports WASI: nothing of this machine, and the same every time.

use std::net::{TcpListener, UdpSocket};

use super::super::contract::{Denial, Verdict};
use super::*;
use crate::config::{Grants, HttpGrant, HttpHost};

const LIBC: &[u8] = include_bytes!("../../../../tests/golden/wasi/wasi_libc.wasm");
const SOCKETS: &[u8] = include_bytes!("../../../../tests/golden/wasi/wasi_sockets.wasm");
const HTTP: &[u8] = include_bytes!("../../../../tests/golden/wasi/wasi_http.wasm");

/// The C library's stack alone is 16 MiB.
fn wide(limits: PolicyLimits) -> Engine {
    engine(PolicyLimits {
        memory: 32 << 20,
        ..limits
    })
}

async fn wasi(component: &'static [u8]) -> Arc<Policy> {
    load(&wide(limits()), source("guest", component))
        .await
        .unwrap()
}

async fn evaluated(policy: &Policy, name: &str) -> Evaluated<Verdict> {
    policy
        .check(&view(), &context(), &call(name))
        .await
        .unwrap()
}

/// What came of trying what `name` says.
async fn tried(policy: &Policy, name: &str) -> String {
    match evaluated(policy, name).await.value {
        Verdict::Deny(Denial { code, reason, .. }) if code == "tried" => reason,
        other => panic!("{name}: {other:?}"),
    }
}

fn granted(hosts: &[String]) -> Grants {
    Grants {
        http: Some(HttpGrant {
            hosts: hosts.iter().map(|h| HttpHost::parse(h).unwrap()).collect(),
            timeout: Duration::from_secs(5),
        }),
    }
}

#[tokio::test]
async fn clocks_stand_at_the_messages_time() {
    let policy = wasi(LIBC).await;
    assert_eq!(tried(&policy, "wall").await, "1700000000123000000");
    assert_eq!(tried(&policy, "mono").await, "1700000000123000000");
    assert_eq!(tried(&policy, "elapsed").await, "0");
    // An instance is made before there is a message.
    assert_eq!(tried(&policy, "setup").await, "0");
}

/// Some runtimes take zero for a broken clock.
#[tokio::test]
async fn the_monotonic_clock_is_never_zero() {
    let policy = wasi(LIBC).await;
    let epoch = View {
        now_ms: 0,
        ..view()
    };
    let answer = policy.check(&epoch, &context(), &call("mono")).await;
    let Verdict::Deny(Denial { reason, .. }) = answer.unwrap().value else {
        panic!("it denies every call");
    };
    assert_eq!(reason, "1");
}

/// The same inputs must give the same verdict, so a verdict on the time is not kept, and randomness is none.
#[tokio::test]
async fn the_same_question_has_the_same_answer() {
    let policy = wasi(LIBC).await;
    assert!(!evaluated(&policy, "wall").await.pure);
    assert!(!evaluated(&policy, "mono").await.pure);
    assert!(evaluated(&policy, "random").await.pure);
    assert!(evaluated(&policy, "env").await.pure);
    let first = tried(&policy, "random").await;
    assert_eq!(first.len(), 32, "{first}");
    assert_eq!(tried(&policy, "random").await, first);
    assert_eq!(tried(&*wasi(LIBC).await, "random").await, first);
}

#[tokio::test]
async fn nothing_of_this_machine_is_there() {
    let policy = wasi(LIBC).await;
    assert_eq!(tried(&policy, "env").await, "0");
    assert_eq!(tried(&policy, "args").await, "0");
    assert_eq!(tried(&policy, "dirs").await, "0");
    assert_eq!(tried(&policy, "stdin").await, "0 bytes");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "x").unwrap();
    for what in [
        format!("open:{}", file.display()),
        format!("make:{}", folder.path().join("new").display()),
        format!("list:{}", folder.path().display()),
        "open:.".to_owned(),
        "list:/".to_owned(),
    ] {
        let said = tried(&policy, &what).await;
        assert!(said.starts_with("error: "), "{what}: {said}");
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
}

#[tokio::test]
async fn no_packet_leaves() {
    let policy = wasi(SOCKETS).await;
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    tcp.set_nonblocking(true).unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.set_nonblocking(true).unwrap();
    for what in [
        format!("tcp:{}", tcp.local_addr().unwrap().port()),
        format!("udp:{}", udp.local_addr().unwrap().port()),
        "listen".to_owned(),
        "resolve:localhost".to_owned(),
    ] {
        let said = tried(&policy, &what).await;
        assert!(!said.ends_with("ok"), "{what}: {said}");
    }
    assert!(tcp.accept().is_err());
    assert!(udp.recv(&mut [0]).is_err());
}

/// Time stands still, so there is nothing to wait for.
#[tokio::test]
async fn sleeping_is_over_at_once() {
    let policy = wasi(LIBC).await;
    assert_eq!(tried(&policy, "sleep:86400000").await, "ok");
    tried(&policy, "poll").await;
}

#[tokio::test]
async fn leaving_and_spinning_are_failures_like_any_other() {
    let policy = load(&wide(short()), source("guest", LIBC)).await.unwrap();
    for (name, kind) in [
        ("exit:0", FailureKind::Trap),
        ("exit:7", FailureKind::Trap),
        ("abort", FailureKind::Trap),
        ("spin", FailureKind::Timeout),
    ] {
        let failure = policy
            .check(&view(), &context(), &call(name))
            .await
            .unwrap_err();
        assert_eq!(failure.kind, kind, "{name}: {failure}");
    }
}

/// Requests need the operator's word, which names the hosts; the error says which table it stands in.
#[tokio::test]
async fn a_policy_that_makes_requests_is_refused_without_a_grant() {
    let error = load(&wide(limits()), source("guest", HTTP))
        .await
        .unwrap_err()
        .to_string();
    for part in [
        "policies.d/guest.wasm",
        "wasi:http/",
        "[policy_dir.grants.guest.\"wasi:http\"]",
        "witgate.toml",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let mut configured = source("guest", HTTP);
    configured.origin = PolicyOrigin::Configuration;
    let error = load(&wide(limits()), configured).await.unwrap_err();
    assert!(
        error.to_string().contains("[policy.grants.\"wasi:http\"]"),
        "{error}"
    );
}

#[tokio::test]
async fn verdicts_of_a_policy_that_may_make_requests_are_never_kept() {
    let mut given = source("guest", LIBC);
    given.grants = granted(&["http://127.0.0.1:9".to_owned()]);
    let policy = load(&wide(limits()), given).await.unwrap();
    assert!(!policy.replayable());
    assert!(!evaluated(&policy, "random").await.pure);
}
