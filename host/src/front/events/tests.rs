#![allow(clippy::unwrap_used)]

use std::future::poll_fn;

use futures_util::FutureExt as _;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::super::limits::Bound;
use super::*;

const QUIET: Duration = Duration::from_secs(15);

fn slot() -> Slot {
    Bound::new(1).take().unwrap()
}

fn always() -> Check {
    Box::new(|| true)
}

fn source() -> (UnboundedSender<Bytes>, Source) {
    let (sender, mut receiver) = unbounded_channel();
    (
        sender,
        Box::pin(futures_util::stream::poll_fn(move |cx| {
            receiver.poll_recv(cx)
        })),
    )
}

async fn next(events: &mut Events) -> Option<Bytes> {
    poll_fn(|cx| events.poll(cx)).await
}

/// What comes without waiting.
fn now(events: &mut Events) -> String {
    let mut all = Vec::new();
    while let Some(Some(piece)) = next(events).now_or_never() {
        all.extend_from_slice(&piece);
    }
    String::from_utf8(all).unwrap()
}

fn attach(stream: &Arc<Kept>, after: u64) -> Option<Events> {
    let reader = stream.read(after)?;
    Some(Events::kept(reader, false, always(), QUIET, slot()))
}

#[tokio::test]
async fn a_quiet_stream_gets_comments() {
    let quiet = Duration::from_millis(20);
    let (sender, source) = source();
    let mut events = Events::once(None, source, always(), quiet, slot());
    let begun = std::time::Instant::now();
    assert_eq!(next(&mut events).await.unwrap(), sse::COMMENT);
    assert_eq!(next(&mut events).await.unwrap(), sse::COMMENT);
    assert!(begun.elapsed() >= quiet * 2);
    sender.send("{}".into()).unwrap();
    drop(sender);
    assert_eq!(
        next(&mut events).await.unwrap(),
        "event: message\ndata: {}\n\n"
    );
    assert_eq!(next(&mut events).await, None);
}

#[tokio::test]
async fn a_stream_that_is_told_to_stop_ends_though_more_may_come() {
    let (sender, source) = source();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut events =
        Events::once(None, source, always(), QUIET, slot()).until(stopped.map(|_| ()).boxed());
    assert_eq!(next(&mut events).now_or_never(), None);
    stop.send(()).unwrap();
    assert_eq!(next(&mut events).await, None);
    assert!(sender.is_closed(), "what it came from is let go");
}

#[tokio::test]
async fn what_came_after_an_event_is_given_again_and_nothing_else() {
    let (sender, source) = source();
    let stream = Kept::new(4, false, Some("1".into()), source);
    let mut events = Events::kept(stream.read(0).unwrap(), true, always(), QUIET, slot());
    sender.send("2".into()).unwrap();
    assert_eq!(
        now(&mut events),
        "id: 4-0\nretry: 1000\ndata: \n\nid: 4-1\nevent: message\ndata: 1\n\nid: 4-2\nevent: message\ndata: 2\n\n"
    );
    drop(events);
    sender.send("3".into()).unwrap();
    tokio::task::yield_now().await;
    let mut again = attach(&stream, 1).unwrap();
    assert_eq!(
        now(&mut again),
        "id: 4-2\nevent: message\ndata: 2\n\nid: 4-3\nevent: message\ndata: 3\n\n"
    );
    sender.send("4".into()).unwrap();
    drop(sender);
    assert_eq!(now(&mut again), "id: 4-4\nevent: message\ndata: 4\n\n");
    assert!(stream.is_over());
    assert_eq!(
        now(&mut attach(&stream, 3).unwrap()),
        "id: 4-4\nevent: message\ndata: 4\n\n"
    );
    assert_eq!(now(&mut attach(&stream, 4).unwrap()), "");
    assert!(stream.read(5).is_none(), "there was no such event");
    assert!(stream.read(u64::MAX).is_none());
}

#[tokio::test]
async fn while_the_client_is_away_the_request_goes_on() {
    let (sender, source) = source();
    let stream = Kept::new(1, false, None, source);
    drop(attach(&stream, 0).unwrap());
    for n in 1..=3 {
        sender.send(n.to_string().into()).unwrap();
    }
    drop(sender);
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
    assert!(stream.is_over(), "it was read to its end by nobody");
    assert!(!stream.is_connected());
    let text = now(&mut attach(&stream, 0).unwrap());
    assert_eq!(text.matches("data: ").count(), 3);
}

#[tokio::test]
async fn a_client_that_comes_back_takes_the_stream_from_its_old_connection() {
    let (sender, source) = source();
    let stream = Kept::new(1, false, None, source);
    let mut old = attach(&stream, 0).unwrap();
    assert_eq!(next(&mut old).now_or_never(), None);
    let mut new = attach(&stream, 0).unwrap();
    sender.send("x".into()).unwrap();
    assert_eq!(next(&mut old).await, None);
    drop(old);
    assert_eq!(now(&mut new), "id: 1-1\nevent: message\ndata: x\n\n");
    assert!(stream.is_connected());
}

#[tokio::test]
async fn the_old_connection_is_woken_when_the_stream_is_taken_from_it() {
    let (_sender, source) = source();
    let stream = Kept::new(1, false, None, source);
    let mut old = attach(&stream, 0).unwrap();
    let ends = tokio::spawn(async move { next(&mut old).await });
    tokio::task::yield_now().await;
    let _new = attach(&stream, 0).unwrap();
    assert_eq!(ends.await.unwrap(), None);
}

#[tokio::test]
async fn what_was_read_is_forgotten_in_time_and_what_was_not_is_not() {
    let (sender, source) = source();
    let stream = Kept::new(1, false, None, source);
    let mut events = attach(&stream, 0).unwrap();
    let large = Bytes::from(vec![b'x'; MAX_BYTES / 4]);
    for _ in 0..64 {
        sender.send(large.clone()).unwrap();
        now(&mut events);
    }
    assert!(stream.bytes() <= MAX_BYTES);
    assert!(stream.read(1).is_none(), "it is not kept any more");
    drop(events);
    for _ in 0..64 {
        sender.send(large.clone()).unwrap();
        tokio::task::yield_now().await;
    }
    assert!(
        stream.bytes() <= 2 * MAX_BYTES,
        "more waits at the source, and not here"
    );
    let text = now(&mut attach(&stream, 64).unwrap());
    assert_eq!(text.matches("id: ").count(), 64, "nothing is lost");
}

#[tokio::test]
async fn one_large_message_nobody_read_is_kept() {
    let (sender, source) = source();
    let stream = Kept::new(1, false, None, source);
    drop(attach(&stream, 0).unwrap());
    sender.send(vec![b'x'; 8 * MAX_BYTES].into()).unwrap();
    drop(sender);
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
    let text = now(&mut attach(&stream, 0).unwrap());
    assert!(text.len() > 8 * MAX_BYTES);
    assert_eq!(stream.bytes(), 0, "and forgotten once it was read");
}

#[tokio::test]
async fn a_standalone_stream_gives_its_source_back_when_the_client_leaves() {
    let (sender, first) = source();
    let stream = Kept::new(0, true, None, first);
    let mut events = attach(&stream, 0).unwrap();
    sender.send("a".into()).unwrap();
    now(&mut events);
    drop(events);
    assert!(sender.is_closed());
    let (sender, second) = source();
    stream.goes_on_with(second);
    sender.send("b".into()).unwrap();
    let text = now(&mut attach(&stream, 0).unwrap());
    assert_eq!(text.matches("id: ").count(), 2);
}

#[tokio::test]
async fn a_stream_ends_soon_after_its_caller_may_not_be_there_any_more() {
    let (sender, source) = source();
    let allowed = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let asked = allowed.clone();
    let holds = Box::new(move || asked.load(std::sync::atomic::Ordering::Relaxed));
    let mut events = Events::once(None, source, holds, QUIET, slot());
    let waits = tokio::time::timeout(CHECKED * 2, next(&mut events));
    assert!(waits.await.is_err(), "it stays while it holds");
    allowed.store(false, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(next(&mut events).await, None);
    assert!(sender.is_closed());
}
