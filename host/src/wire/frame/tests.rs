#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

/// Feeds `stream` in chunks of `size`; every frame, the last one included.
fn frames(stream: &[u8], size: usize, max: usize) -> Vec<Frame> {
    let mut reader = LineReader::new(max);
    let mut buffer = BytesMut::new();
    let mut found = Vec::new();
    for chunk in stream.chunks(size) {
        buffer.extend_from_slice(chunk);
        while let Some(frame) = reader.next(&mut buffer) {
            found.push(frame);
        }
        assert!(buffer.len() <= max + 1, "more than a line is kept");
    }
    found.extend(reader.end(&mut buffer));
    found
}

fn line(text: &str) -> Frame {
    Frame::Line(Bytes::copy_from_slice(text.as_bytes()))
}

fn too_long(message: &str, size: usize) -> (Option<String>, bool) {
    let stream = format!("{message}\n{{}}\n");
    let found = frames(stream.as_bytes(), size, 16);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[1], line("{}"));
    let Frame::TooLong {
        id,
        is_request,
        bytes,
    } = &found[0]
    else {
        panic!("{found:?}");
    };
    assert_eq!(*bytes, message.len() as u64);
    (id.as_ref().map(|id| id.raw().to_owned()), *is_request)
}

#[test]
fn lines_end_at_lf_or_cr_lf_and_blank_ones_are_skipped() {
    let stream = b"{\"a\":1}\n\r\n  \n{\"b\":2}\r\n\n{\"c\"";
    for size in 1..=stream.len() {
        let found = frames(stream, size, 100);
        assert_eq!(
            found,
            [
                line("{\"a\":1}"),
                line("{\"b\":2}"),
                Frame::Partial("{\"c\"".into())
            ]
        );
    }
    assert_eq!(frames(b"a\r\r\n", 9, 9), [line("a\r")]);
    assert_eq!(frames(b" \r\n ", 9, 9), []);
}

#[test]
fn the_limit_itself_is_allowed_and_its_line_break_does_not_count() {
    for end in ["\n", "\r\n"] {
        for size in 1..20 {
            let found = frames(format!("0123456789{end}x\n").as_bytes(), size, 10);
            assert_eq!(found, [line("0123456789"), line("x")]);
            let found = frames(format!("0123456789a{end}x\n").as_bytes(), size, 10);
            assert_eq!(
                found,
                [
                    Frame::TooLong {
                        id: None,
                        is_request: false,
                        bytes: 11
                    },
                    line("x")
                ]
            );
        }
    }
    assert_eq!(
        frames(b"0123456789a", 3, 10),
        [Frame::TooLong {
            id: None,
            is_request: false,
            bytes: 11
        }]
    );
}

#[test]
fn a_line_too_long_still_tells_its_id_before_and_after_the_big_member() {
    let big = "x".repeat(100);
    for size in [1, 2, 3, 7, 64, 1000] {
        for (message, id, request) in [
            (
                format!(r#"{{"jsonrpc":"2.0","id":7,"method":"a","params":{{"v":"{big}"}}}}"#),
                Some("7"),
                true,
            ),
            (
                format!(r#"{{"params":{{"v":"{big}","id":9}},"method":"a","id" : "x\"}}" }}"#),
                Some("\"x\\\"}\""),
                true,
            ),
            (
                format!(r#"{{"result":[{{"id":1}},"\\","{big}"],"\u0069d":-3}}"#),
                Some("-3"),
                false,
            ),
            (format!(r#"{{"id":null,"result":"{big}"}}"#), None, false),
            (format!(r#"{{"id":1,"id":2,"method":"{big}"}}"#), None, true),
            (
                format!(r#"{{"id":{{"a":1}},"method":"{big}"}}"#),
                None,
                true,
            ),
            (
                format!(r#"{{"id":"{}","method":"a"}}"#, "y".repeat(1200)),
                None,
                true,
            ),
            (format!(r#"{{"{big}":1,"method":"a"}}"#), None, true),
            (
                format!(r#"{{"x":"method","y":["id",{{"method":1}}],"z":"{big}"}}"#),
                None,
                false,
            ),
        ] {
            let (found, is_request) = too_long(&message, size);
            assert_eq!((found.as_deref(), is_request), (id, request), "{message}");
        }
    }
}

#[test]
fn a_line_too_long_keeps_no_memory() {
    let mut reader = LineReader::new(1 << 16);
    let mut buffer = BytesMut::new();
    for _ in 0..64 {
        buffer.extend_from_slice(&[b'x'; 1 << 16]);
        assert_eq!(reader.next(&mut buffer), None);
    }
    assert!(buffer.len() <= (1 << 16) + 1, "{}", buffer.len());
    buffer.extend_from_slice(b"\n");
    let bytes = 64 << 16;
    assert_eq!(
        reader.next(&mut buffer),
        Some(Frame::TooLong {
            id: None,
            is_request: false,
            bytes
        })
    );
}

proptest! {
    #[test]
    fn how_a_stream_is_cut_into_chunks_does_not_matter(stream in "[ab{}\":,\\\\\r\n]{0,120}", size in 1..40_usize) {
        prop_assert_eq!(frames(stream.as_bytes(), size, 10), frames(stream.as_bytes(), stream.len().max(1), 10));
    }

    #[test]
    fn every_short_line_arrives(lines in prop::collection::vec("[a-z{}\"]{1,20}", 0..20), size in 1..50_usize) {
        let stream: String = lines.iter().map(|l| format!("{l}\n")).collect();
        let expected: Vec<_> = lines.iter().map(|l| line(l)).collect();
        prop_assert_eq!(frames(stream.as_bytes(), size, 20), expected);
    }
}
