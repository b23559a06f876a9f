//! What guests may ask the host.

use super::super::contract::Verdict;
use super::*;

/// A verdict that depends on the time must not be remembered.
#[tokio::test]
async fn asking_the_clock_makes_an_evaluation_impure() {
    let policy = policy(limits(), hostile::asks_clock()).await;
    let answer = policy.check(&view(), &context(), &call("read")).await;
    assert!(!answer.unwrap().pure);

    let policy = super::policy(limits(), hostile::allow()).await;
    let answer = policy.check(&view(), &context(), &call("read")).await;
    assert!(answer.unwrap().pure);
}

/// A hundred lines from one hook would bury everything else; and none may reach the terminal raw.
#[tokio::test]
async fn the_log_is_bounded_and_escaped() {
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let lines = Lines::default();
    let writer = lines.clone();
    let log = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let policy = policy(limits(), hostile::logs()).await;
    let logged = tracing::subscriber::set_default(log);
    let answer = policy.check(&view(), &context(), &call("read")).await;
    drop(logged);
    assert_eq!(answer.unwrap().value, Verdict::Allow);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(!text.contains('\u{1b}'), "{text}");
    assert_eq!(text.matches("hi\\u{1b}[2Jx").count(), 32, "{text}");
    assert!(text.contains("policy=\"guest\""), "{text}");
    assert_eq!(text.matches("the rest is dropped").count(), 1, "{text}");
}
