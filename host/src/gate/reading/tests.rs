#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn limits() -> Limits {
    Limits {
        max_items: 10,
        max_pages: 4,
        max_catalogue_bytes: 4096,
        ..Limits::default()
    }
}

/// A page's line under the host's id, and where its parts stand.
fn line(id: &str, names: &[&str], cursor: Option<&str>) -> (Bytes, Range<usize>, Range<usize>) {
    let tools: Vec<String> = names
        .iter()
        .map(|name| format!(r#"{{"name":"{name}"}}"#))
        .collect();
    let next = cursor
        .map(|c| format!(r#","nextCursor":"{c}""#))
        .unwrap_or_default();
    let result = format!(r#"{{"tools":[{}]{next}}}"#, tools.join(","));
    let head = r#"{"jsonrpc":"2.0","id":"#;
    let text = format!(r#"{head}{id},"result":{result}}}"#);
    let id_at = head.len()..head.len() + id.len();
    let start = text.len() - 1 - result.len();
    (text.clone().into(), id_at, start..text.len() - 1)
}

fn read(reading: &mut Reading, names: &[&str], cursor: Option<&str>) -> Step {
    let (line, id, result) = line("\"x\"", names, cursor);
    reading.page(ItemKind::Tool, line, id, result)
}

fn names(catalogue: &Catalogue) -> Vec<String> {
    let list = &catalogue.lists[&ItemKind::Tool];
    list.items
        .iter()
        .map(|item| item.key.name.to_string())
        .collect()
}

#[test]
fn pages_follow_their_cursors_and_make_one_list() {
    let mut reading = Reading::new([ItemKind::Tool], &limits());
    assert_eq!(
        read(&mut reading, &["a"], Some("p\\\"2")),
        Step::Next(r#""p\"2""#.into())
    );
    assert!(!reading.is_over());
    assert_eq!(read(&mut reading, &["b"], None), Step::Done);
    let outcome = reading.finish(&Catalogue::default());
    assert_eq!(names(&outcome.catalogue), ["a", "b"]);
    assert_eq!(outcome.complete, [ItemKind::Tool]);
    let list = &outcome.catalogue.lists[&ItemKind::Tool];
    assert!(Arc::ptr_eq(list.page_at("p\"2").unwrap(), &list.pages[1]));
    assert!(list.page_at("never issued").is_none());
}

#[test]
fn a_cursor_that_comes_back_ends_the_reading_and_keeps_what_was() {
    let mut before = Reading::new([ItemKind::Tool], &limits());
    read(&mut before, &["old"], None);
    let before = before.finish(&Catalogue::default()).catalogue;
    let mut reading = Reading::new([ItemKind::Tool], &limits());
    read(&mut reading, &["a"], Some("1"));
    read(&mut reading, &["b"], Some("1"));
    let outcome = reading.finish(&before);
    assert!(matches!(
        outcome.failed[&ItemKind::Tool],
        ReadingError::Circle
    ));
    assert_eq!(names(&outcome.catalogue), ["old"]);
    assert!(!outcome.changed);
}

#[test]
fn a_list_that_never_ends_is_too_much_and_names_the_limit() {
    let mut reading = Reading::new([ItemKind::Tool], &limits());
    for page in 0..4 {
        read(&mut reading, &[], Some(&page.to_string()));
    }
    assert_eq!(read(&mut reading, &[], Some("more")), Step::Done);
    let outcome = reading.finish(&Catalogue::default());
    assert!(
        outcome.failed[&ItemKind::Tool]
            .to_string()
            .contains("max_pages")
    );
}

#[test]
fn items_that_share_a_name_are_both_left_out_and_reported() {
    let mut reading = Reading::new([ItemKind::Tool], &limits());
    read(&mut reading, &["a", "b"], Some("1"));
    read(&mut reading, &["a"], None);
    let outcome = reading.finish(&Catalogue::default());
    assert_eq!(names(&outcome.catalogue), ["b"]);
    assert_eq!(outcome.catalogue.malformed().len(), 1);
}

#[test]
fn a_server_without_the_method_has_no_such_items_and_another_error_is_a_failure() {
    for (code, complete) in [(METHOD_NOT_FOUND, true), (-32603, false)] {
        let mut reading = Reading::new([ItemKind::Prompt], &limits());
        reading.error(ItemKind::Prompt, Bytes::from_static(b"{}"), 0..0, code);
        let outcome = reading.finish(&Catalogue::default());
        assert_eq!(!outcome.complete.is_empty(), complete);
        assert_eq!(outcome.failed.is_empty(), complete);
    }
}

#[test]
fn the_same_bytes_under_another_id_are_the_same_page() {
    let mut reading = Reading::new([ItemKind::Tool], &limits());
    read(&mut reading, &["a"], None);
    let before = reading.finish(&Catalogue::default()).catalogue;
    let page = &before.lists[&ItemKind::Tool].pages[0];
    let (again, ..) = line("\"y\"", &["a"], None);
    assert!(page.is_again(&again, b"\"y\""));
    assert!(!page.is_again(&again, b"\"z\""), "another request's answer");
    let (other, ..) = line("\"y\"", &["b"], None);
    assert!(!page.is_again(&other, b"\"y\""));
    let mut reading = Reading::new([ItemKind::Tool], &limits());
    reading.take(ItemKind::Tool, page.clone());
    assert!(!reading.finish(&before).changed);
}

proptest! {
    /// Whatever a server sends, a reading ends, holds no more than its limits, and every item of it is on a page.
    #[test]
    fn a_reading_ends_within_its_limits(
        pages in prop::collection::vec(
            (prop::collection::vec("[ab]{1,2}", 0..5), prop::option::of("[xyz]")), 1..12)
    ) {
        let mut reading = Reading::new([ItemKind::Tool], &limits());
        let mut taken = 0;
        for (names, cursor) in &pages {
            if reading.is_over() {
                break;
            }
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            read(&mut reading, &names, cursor.as_deref());
            taken += 1;
        }
        prop_assert!(taken <= limits().max_pages + 1);
        reading.fail_all(&ReadingError::Gone);
        prop_assert!(reading.is_over());
        let outcome = reading.finish(&Catalogue::default());
        prop_assert!(outcome.catalogue.items().len() <= limits().max_items);
        prop_assert_eq!(outcome.complete.is_empty(), !outcome.failed.is_empty());
    }
}
