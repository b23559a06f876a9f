//! Instances that are ready ahead of need.

use super::*;

/// The message finds an instance; what it used is cleared away and replaced only when it says so.
#[tokio::test]
async fn a_used_instance_is_replaced_by_refill() {
    let policy = policy(limits(), hostile::allow()).await;
    policy.refill().await;
    assert_eq!(policy.pool.ready(), 2);
    policy.check(&view(), &context(), &call("a")).await.unwrap();
    assert_eq!(policy.pool.ready(), 1);
    policy.refill().await;
    assert_eq!(policy.pool.ready(), 2);
}

/// A burst that empties the pool makes it larger, up to what the options say.
#[tokio::test]
async fn more_are_kept_where_more_are_needed() {
    let policy = policy(limits(), hostile::allow()).await;
    let (view, context, call) = (view(), context(), call("a"));
    for _ in 0..4 {
        policy.refill().await;
        let burst = (0..8).map(|_| policy.check(&view, &context, &call));
        for answer in futures_util::future::join_all(burst).await {
            answer.unwrap();
        }
    }
    policy.refill().await;
    assert_eq!(policy.pool.ready(), 4);
    assert_eq!(policy.stats().instances, 32);
}

/// Refills that run at once do not make more than are wanted.
#[tokio::test]
async fn refills_at_once_do_not_overfill() {
    let policy = policy(limits(), hostile::configure_ok()).await;
    futures_util::future::join_all((0..8).map(|_| policy.refill())).await;
    assert_eq!(policy.pool.ready(), 2);
}

/// More messages at once than there are slots wait for each other instead of failing.
#[tokio::test]
async fn beyond_the_slots_messages_wait() {
    let engine = engine(limits());
    let policy = load(&engine, source("guest", hostile::asks_seven()))
        .await
        .unwrap();
    let (view, context, call) = (view(), context(), call("a"));
    let slots = engine.shared.inline.available_permits();
    let many = (0..3 * slots).map(|_| policy.check(&view, &context, &call));
    for answer in futures_util::future::join_all(many).await {
        answer.unwrap();
    }
    assert_eq!(engine.shared.inline.available_permits(), slots);
}

/// Hooks run on any thread, also while others refill.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_threads_share_a_policy() {
    let policy = policy(limits(), hostile::remembers()).await;
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let policy = policy.clone();
            tokio::spawn(async move {
                for _ in 0..100 {
                    let answer = policy.check(&view(), &context(), &call("a")).await;
                    answer.unwrap();
                    policy.refill().await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(policy.stats().instances, 800);
    let shared = &policy.pool.maker.engine;
    let free = shared.inline.available_permits();
    drop(policy);
    assert_eq!(free, 64);
}

/// An interpreter's memory is large: fewer of it are kept.
#[tokio::test]
async fn large_guests_are_kept_in_small_numbers() {
    let wide = PolicyLimits {
        memory: 64 << 20,
        ..limits()
    };
    let policy = policy(wide, hostile::big_at_start(20 << 20)).await;
    let (view, context, call) = (view(), context(), call("a"));
    for _ in 0..3 {
        let burst = (0..4).map(|_| policy.check(&view, &context, &call));
        futures_util::future::join_all(burst).await;
        policy.refill().await;
    }
    assert_eq!(policy.pool.ready(), 1);
}
