//! Instances that serve several messages, where the operator said so.

use super::*;

async fn reused(reuse: u32, component: Vec<u8>) -> Arc<Policy> {
    let mut given = source("guest", component);
    given.reuse = reuse;
    load(&engine(limits()), given).await.unwrap()
}

/// The guest denies (by a trap) whoever meets its memory a second time.
#[tokio::test]
async fn an_instance_serves_as_many_messages_as_the_operator_says() {
    let ask = async |policy: &Policy| policy.check(&view(), &context(), &call("a")).await;
    let fresh = reused(1, hostile::remembers()).await;
    for _ in 0..3 {
        assert!(ask(&fresh).await.is_ok());
    }
    let twice = reused(2, hostile::remembers()).await;
    assert!(ask(&twice).await.is_ok());
    assert_eq!(ask(&twice).await.unwrap_err().kind, FailureKind::Trap);
    // What trapped is dead, whatever was left of its uses.
    assert!(ask(&twice).await.is_ok());
}

#[tokio::test]
async fn an_instance_is_let_go_after_its_last_message() {
    let policy = reused(3, hostile::allow()).await;
    for _ in 0..3 {
        assert_eq!(policy.pool.ready(), 1);
        policy.check(&view(), &context(), &call("a")).await.unwrap();
    }
    assert_eq!(policy.pool.ready(), 0);
    policy.refill().await;
    assert!(policy.pool.ready() > 0);
}

/// What one message left in memory may change the next verdict.
#[tokio::test]
async fn verdicts_of_reused_instances_are_not_kept() {
    let policy = reused(2, hostile::allow()).await;
    assert!(!policy.replayable());
    let answer = policy.check(&view(), &context(), &call("a")).await.unwrap();
    assert!(!answer.pure);
}

/// One message's clock is not the next one's excuse.
#[tokio::test]
async fn an_instance_begins_each_message_anew() {
    let policy = reused(10, hostile::asks_clock()).await;
    for _ in 0..4 {
        policy.check(&view(), &context(), &call("a")).await.unwrap();
    }
    assert_eq!(policy.stats().traps, 0);
    // Before any message an import answers nothing, also when the instance has served one.
    assert_eq!(policy.pool.ready(), 1);
}
