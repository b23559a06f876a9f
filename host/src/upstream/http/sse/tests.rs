#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

/// What a stream says, fed in these pieces: data and id of each event.
fn read(pieces: &[&[u8]], limit: usize) -> Result<Vec<(String, Option<String>)>, TooLong> {
    let mut parser = Parser::new(limit);
    let mut events = Vec::new();
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    for piece in pieces {
        parser.feed(Bytes::copy_from_slice(piece));
        while let Some(event) = parser.read()? {
            events.push((text(&event.data), event.id.as_ref().map(text)));
        }
    }
    Ok(events)
}

fn said(stream: &str) -> Vec<(String, Option<String>)> {
    read(&[stream.as_bytes()], 1 << 20).unwrap()
}

fn plain(data: &str) -> (String, Option<String>) {
    (data.to_owned(), None)
}

#[test]
fn the_examples_of_the_standard_read_as_the_standard_says() {
    // HTML standard, 9.2.6.
    assert_eq!(
        said("data: YHOO\ndata: +2\ndata: 10\n\n"),
        [plain("YHOO\n+2\n10")]
    );
    let stream = ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n";
    assert_eq!(
        said(stream),
        [
            ("first event".to_owned(), Some("1".to_owned())),
            plain("second event"),
            plain(" third event")
        ]
    );
    // Events with no data at all, or only empty lines of it, say nothing to anybody here; the last is cut off.
    assert_eq!(said("data\n\ndata\ndata\n\ndata:"), [plain("\n")]);
    assert_eq!(
        said("data:test\n\ndata: test\n\n"),
        [plain("test"), plain("test")]
    );
}

#[test]
fn lines_end_by_any_of_the_three_and_a_mark_may_stand_first() {
    let expected = [plain("a\nb"), plain("c")];
    for end in ["\n", "\r", "\r\n"] {
        let stream = format!("\u{feff}data: a{end}data: b{end}{end}data: c{end}{end}");
        assert_eq!(said(&stream), expected, "{end:?}");
    }
    // Only before the first line.
    assert_eq!(said("data: a\n\n\u{feff}data: b\n\n"), [plain("a")]);
}

#[test]
fn other_types_of_events_are_passed_over() {
    assert_eq!(
        said("event: endpoint\ndata: /x\n\nevent: message\ndata: a\n\nevent\ndata: b\n\n"),
        [plain("a"), plain("b")]
    );
}

#[test]
fn an_event_without_data_still_gives_its_id_and_the_time_to_wait() {
    let mut parser = Parser::new(100);
    parser.feed(Bytes::from_static(b"id: 7\nretry: 1500\ndata:\n\n"));
    assert_eq!(parser.read(), Ok(None));
    assert_eq!(parser.id().unwrap(), "7");
    assert_eq!(parser.retry(), Some(Duration::from_millis(1500)));
    // No number, no meaning; an id with a NUL is passed over.
    parser.feed(Bytes::from_static(b"retry: soon\nid: a\0b\n\n"));
    assert_eq!(parser.read(), Ok(None));
    assert_eq!(parser.id().unwrap(), "7");
    assert_eq!(parser.retry(), Some(Duration::from_millis(1500)));
}

#[test]
fn a_line_or_an_event_over_the_limit_ends_the_reading() {
    let endless = vec![b'x'; 300];
    assert_eq!(read(&[b"data: ", &endless], 100), Err(TooLong));
    assert_eq!(read(&[&endless, b"\n"], 100), Err(TooLong));
    let many = "data: 0123456789\n".repeat(20);
    assert_eq!(read(&[many.as_bytes()], 100), Err(TooLong));
    // At the limit it goes through.
    let full = format!("data: {}\n\n", "y".repeat(100));
    assert_eq!(read(&[full.as_bytes()], 100).unwrap().len(), 1);
}

#[test]
fn a_line_within_one_chunk_is_not_copied() {
    let chunk = Bytes::from_static(b"id: 1\ndata: {\"jsonrpc\":\"2.0\"}\n\n");
    let mut parser = Parser::new(1000);
    parser.feed(chunk.clone());
    let event = parser.read().unwrap().unwrap();
    assert!(chunk.as_ptr_range().contains(&event.data.as_ptr()));
}

proptest! {
    /// Whatever the pieces, the events are those of the whole.
    #[test]
    fn cutting_changes_nothing(
        lines in prop::collection::vec(
            prop_oneof![
                Just(String::new()),
                "data: ?[a-z{}:é ]{0,12}",
                "id: ?[a-z0-9]{0,4}",
                "event: ?(message|ping)?",
                ": [a-z]{0,5}",
                "\u{feff}data: x",
            ],
            0..20,
        ),
        ends in prop::collection::vec(prop::sample::select(vec!["\n", "\r", "\r\n"]), 20),
        cuts in prop::collection::vec(0usize..400, 0..12),
    ) {
        let stream: String = lines.iter().zip(ends).map(|(line, end)| format!("{line}{end}")).collect();
        let bytes = stream.as_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        prop_assert_eq!(read(&pieces, 1 << 20), read(&[bytes], 1 << 20));
    }
}
