//! What a token is good for, and how long.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use super::index::Tokens;
use super::*;
use crate::ledger;

const NOW: u64 = 1_795_170_516_789;
const DAY: u64 = 24 * 60 * 60 * 1000;

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[tokio::test]
async fn a_token_is_its_name_and_roles_until_it_is_revoked() {
    let ledger = ledger::in_memory(None);
    let tokens = Tokens::new(ledger.clone());
    let roles = words(&["b", "a", "b"]);
    let secret = make(&*ledger, "ci", &roles, None, NOW).await.unwrap();
    let (caller, digest) = tokens.find(secret.text(), NOW).unwrap();
    assert_eq!(caller.id, "ci");
    assert_eq!(caller.roles, ["a", "b"]);
    assert!(tokens.holds(&digest, NOW));
    let text = format!("{:?}", ledger.snapshot().notes);
    assert!(
        !text.contains(&secret.text()[3..]),
        "only its digest is kept"
    );

    revoke(&*ledger, "ci").await.unwrap();
    assert_eq!(tokens.find(secret.text(), NOW), None);
    assert!(!tokens.holds(&digest, NOW));
    let error = revoke(&*ledger, "ci").await.unwrap_err();
    assert!(matches!(error, TokenError::Unknown(_)));
    let again = make(&*ledger, "ci", &[], None, NOW).await.unwrap();
    assert_eq!(
        tokens.find(secret.text(), NOW),
        None,
        "the old one stays revoked"
    );
    assert!(tokens.find(again.text(), NOW).is_some());
}

#[tokio::test]
async fn a_token_expires_to_the_millisecond() {
    let ledger = ledger::in_memory(None);
    let tokens = Tokens::new(ledger.clone());
    let end = NOW + DAY;
    let secret = make(&*ledger, "a", &[], Some(end), NOW).await.unwrap();
    let (_, digest) = tokens.find(secret.text(), end - 1).unwrap();
    assert_eq!(tokens.find(secret.text(), end), None);
    assert!(!tokens.holds(&digest, end));
}

#[tokio::test]
async fn one_name_is_one_token() {
    let ledger = ledger::in_memory(None);
    make(&*ledger, "a", &[], None, NOW).await.unwrap();
    let error = make(&*ledger, "a", &[], None, NOW).await.unwrap_err();
    assert!(matches!(error, TokenError::Taken(name) if name == "a"));
    for bad in ["", "a b", "../x", "local", "anonymous", "é"] {
        let error = make(&*ledger, bad, &[], None, NOW).await.unwrap_err();
        assert!(matches!(error, TokenError::BadName(_)), "{bad}");
    }
    for bad in ["", "a b", "a\nb", "\u{200b}"] {
        let error = make(&*ledger, "b", &words(&[bad]), None, NOW)
            .await
            .unwrap_err();
        assert!(matches!(error, TokenError::BadRole(_)), "{bad:?}");
    }
}

/// A token that nobody saw being made would be a door that nobody closes.
#[tokio::test]
async fn only_the_first_start_makes_a_token_by_itself() {
    let ledger = ledger::in_memory(None);
    let (one, two) = tokio::join!(first(&*ledger, NOW), first(&*ledger, NOW));
    let made: Vec<_> = [one.unwrap(), two.unwrap()].into_iter().flatten().collect();
    assert_eq!(made.len(), 1);
    let tokens = Tokens::new(ledger.clone());
    assert_eq!(tokens.find(made[0].text(), NOW).unwrap().0.id, FIRST);
    revoke(&*ledger, FIRST).await.unwrap();
    assert!(first(&*ledger, NOW).await.unwrap().is_none());

    let other = ledger::in_memory(None);
    make(&*other, "mine", &[], None, NOW).await.unwrap();
    assert!(first(&*other, NOW).await.unwrap().is_none());
}

#[tokio::test]
async fn use_is_recorded_to_the_hour() {
    let ledger = ledger::in_memory(None);
    let tokens = Tokens::new(ledger.clone());
    let secret = make(&*ledger, "a", &[], None, NOW).await.unwrap();
    let used = |ledger: &Arc<dyn Ledger>| list(&ledger.snapshot()).tokens[0].used_ms;
    assert_eq!(used(&ledger), None);
    for at in [NOW, NOW + 1] {
        tokens.find(secret.text(), at).unwrap();
        while used(&ledger).is_none() {
            tokio::task::yield_now().await;
        }
        assert_eq!(used(&ledger), Some(NOW - NOW % USE_STEP_MS));
    }
    let version = ledger.snapshot().version;
    tokens.find(secret.text(), NOW + 2).unwrap();
    tokio::task::yield_now().await;
    assert_eq!(ledger.snapshot().version, version, "one commit an hour");
}

/// A field of a later version may say that the token is good for less.
#[tokio::test]
async fn a_record_that_is_not_understood_is_not_taken() {
    let ledger = ledger::in_memory(None);
    let tokens = Tokens::new(ledger.clone());
    let secret = make(&*ledger, "a", &[], None, NOW).await.unwrap();
    let value = ledger.snapshot().notes["token/a"].clone();
    for strange in [
        value.replacen('{', "{\"servers\":[\"x\"],", 1),
        value.replacen("\"roles\":[]", "\"roles\":null", 1),
        value.replacen("\"sha256\":\"", "\"sha256\":\"0", 1),
        String::new(),
    ] {
        assert!(tokens.find(secret.text(), NOW).is_some());
        let op = note("token/a", &strange);
        ledger
            .commit(Commit::unconditional(vec![op]))
            .await
            .unwrap();
        assert_eq!(tokens.find(secret.text(), NOW), None, "{strange}");
        assert_eq!(list(&ledger.snapshot()).unreadable, ["a"]);
        let op = note("token/a", &value);
        ledger
            .commit(Commit::unconditional(vec![op]))
            .await
            .unwrap();
    }
}

/// Another process revokes; the gate's own ledger sees it by looking at the file.
#[tokio::test]
async fn revoking_in_another_process_takes_effect_here() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", dir.path().join("l.db").display());
    let marker = dir.path().join("ledger.json");
    let open = || ledger::open(&url, &marker, ledger::OpenMode::CreateIfFirst);
    let here = open().await.unwrap().unwrap();
    let there = open().await.unwrap().unwrap();
    let tokens = Tokens::new(here.clone());
    let secret = make(&*there, "a", &[], None, NOW).await.unwrap();
    here.confirm().await.unwrap();
    assert!(tokens.find(secret.text(), NOW).is_some());
    revoke(&*there, "a").await.unwrap();
    here.confirm().await.unwrap();
    assert_eq!(tokens.find(secret.text(), NOW), None);
}
