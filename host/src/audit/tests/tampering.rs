//! What somebody with the operator's file rights can do to the files, and how it shows.

use proptest::prelude::*;

use super::*;

/// Two closed files, and the heads that the ledger knows.
async fn written() -> (Place, [String; 2], Vec<AuditHead>) {
    let place = Place::new();
    let one = place.run(&["a", "b", "c", "d"]).await;
    let two = place.run(&["e", "f"]).await;
    let heads = place.ledger.audit_heads().await.unwrap();
    (place, [one, two], heads)
}

/// Changes a file's lines; the first bad one by the ledger's heads.
async fn after(change: impl FnOnce(&mut Vec<String>)) -> Option<Bad> {
    let (place, [one, _], heads) = written().await;
    let path = place.dir().join(&one);
    let mut all = lines(&path);
    change(&mut all);
    std::fs::write(&path, all.concat_lines()).unwrap();
    let report = verify(&place.dir(), &heads).unwrap();
    let bad = report.bad?;
    assert_eq!(bad.file, one);
    Some(bad)
}

trait ConcatLines {
    fn concat_lines(&self) -> String;
}

impl ConcatLines for Vec<String> {
    fn concat_lines(&self) -> String {
        self.iter().map(|line| format!("{line}\n")).collect()
    }
}

#[tokio::test]
async fn untouched_files_are_good() {
    assert_eq!(after(|_| {}).await, None);
}

/// Lines: 1 header, 2–5 records, 6 the end.
#[tokio::test]
async fn the_line_that_was_edited_is_named() {
    for number in 1..=6 {
        for (from, to) in [(":00", ":01"), ("\"time\"", "\"time\" "), ("Z\"", "z\"")] {
            let edit = |all: &mut Vec<String>| {
                let line = &mut all[number - 1];
                let edited = line.replacen(from, to, 1);
                if edited == *line {
                    line.push(' ');
                } else {
                    *line = edited;
                }
            };
            assert_eq!(after(edit).await.unwrap().line, number as u64);
        }
        let edit = |all: &mut Vec<String>| {
            let at = all[number - 1].find("\"prev\":\"").unwrap() + 8;
            all[number - 1].replace_range(at..at + 4, "beef");
        };
        assert_eq!(after(edit).await.unwrap().line, number as u64, "its `prev`");
    }
}

#[tokio::test]
async fn deleted_inserted_moved_and_added_lines_are_found() {
    let bad = after(|all| drop(all.remove(2))).await.unwrap();
    assert_eq!(bad.line, 3);
    let bad = after(|all| drop(all.remove(0))).await.unwrap();
    assert_eq!(bad.line, 1);
    let bad = after(|all| all.insert(2, all[1].clone())).await.unwrap();
    assert_eq!(bad.line, 3);
    let bad = after(|all| all.swap(2, 3)).await.unwrap();
    assert_eq!(bad.line, 3);
    let bad = after(|all| all.insert(3, String::new())).await.unwrap();
    assert_eq!(bad.line, 4);
    let bad = after(|all| all.push(all[1].clone())).await.unwrap();
    assert_eq!(bad.line, 7);
}

/// A line appended with a right number and predecessor to a file that had ended.
#[tokio::test]
async fn a_line_that_continues_a_finished_file_is_found() {
    let forge = |all: &mut Vec<String>| {
        let prev = hex::encode(Sha256::digest(all[5].as_bytes()));
        all.push(format!("{{\"time\":\"\",\"seq\":6,\"prev\":\"{prev}\"}}"));
    };
    assert_eq!(after(forge).await.unwrap().line, 7);
}

/// Somebody who rewrites the whole chain from an edit on does not have the ledger's head.
#[tokio::test]
async fn a_file_chained_anew_is_found() {
    let forge = |all: &mut Vec<String>| {
        all[2] = all[2].replacen("denied", "allowed", 1);
        for n in 3..all.len() {
            let prev = hex::encode(Sha256::digest(all[n - 1].as_bytes()));
            let at = all[n].find("\"prev\":\"").unwrap() + 8;
            all[n].replace_range(at..at + 64, &prev);
        }
    };
    assert_eq!(after(forge).await.unwrap().line, 6);
}

#[tokio::test]
async fn a_cut_file_is_found() {
    for left in 0..6 {
        let bad = after(|all| all.truncate(left)).await.unwrap();
        assert_eq!(bad.line, left as u64 + 1);
        assert!(bad.detail.contains("cut"), "{}", bad.detail);
    }
}

#[tokio::test]
async fn a_deleted_file_is_found() {
    let (place, names, heads) = written().await;
    for name in &names {
        let path = place.dir().join(name);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let bad = verify(&place.dir(), &heads).unwrap().bad.unwrap();
        assert_eq!((&bad.file, bad.line), (name, 0));
        std::fs::write(&path, bytes).unwrap();
    }
    std::fs::remove_dir_all(place.dir()).unwrap();
    assert!(verify(&place.dir(), &heads).unwrap().bad.is_some());
}

/// Even with another ledger, that knows no heads, a later file speaks of an earlier one.
#[tokio::test]
async fn a_later_file_bears_witness_of_an_earlier_one() {
    let (place, [one, _], _) = written().await;
    assert_eq!(verify(&place.dir(), &[]).unwrap().bad, None);
    let path = place.dir().join(&one);
    let all = lines(&path);
    std::fs::write(&path, all[..3].to_vec().concat_lines()).unwrap();
    let bad = verify(&place.dir(), &[]).unwrap().bad.unwrap();
    assert_eq!((bad.file.as_str(), bad.line), (one.as_str(), 6));
    std::fs::remove_file(&path).unwrap();
    let bad = verify(&place.dir(), &[]).unwrap().bad.unwrap();
    assert_eq!((bad.file, bad.line), (one, 0));
}

/// A process that was killed: its last records are chained, but not bound, and the very last may be half written.
#[tokio::test]
async fn the_end_of_a_killed_process_is_not_tampering() {
    let (place, [one, two], heads) = written().await;
    let heads: Vec<AuditHead> = heads.into_iter().filter(|head| head.file == one).collect();
    let path = place.dir().join(&two);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &text[..text.len() - 40]).unwrap();
    let report = verify(&place.dir(), &heads).unwrap();
    let expected = Report {
        files: 2,
        records: 6,
        unbound: 2,
        bad: None,
    };
    assert_eq!(report, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever byte of a closed file becomes whatever other byte, the file is named.
    #[test]
    fn any_edited_byte_of_a_closed_file_is_found(at in any::<prop::sample::Index>(), by in 1..=255_u8) {
        thread_local! {
            static WRITTEN: (Place, [String; 2], Vec<AuditHead>) = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap()
                .block_on(written());
        }
        WRITTEN.with(|(place, [one, _], heads)| {
            let path = place.dir().join(one);
            let good = std::fs::read(&path).unwrap();
            let mut bytes = good.clone();
            let at = at.index(bytes.len());
            bytes[at] ^= by;
            std::fs::write(&path, &bytes).unwrap();
            let report = verify(&place.dir(), heads);
            std::fs::write(&path, good).unwrap();
            let bad = report.unwrap().bad.unwrap();
            let line = 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count() as u64;
            prop_assert_eq!(&bad.file, one);
            prop_assert!(bad.line == line, "{} for {line}: {}", bad.line, bad.detail);
            Ok(())
        })?;
    }
}
