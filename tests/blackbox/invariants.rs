//! Invariants 1, 2 and 9 under mutation: whatever becomes of a message's bytes, the server gets no call but of a tool
//! that is listed, however it is read, and the client sees no tool but those.

use std::collections::BTreeSet;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::support::{Home, tool};

/// A generator of numbers that is the same for every run: a failure can be looked at again.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// What is put into messages: whatever has led one parser or another astray.
const SPLICES: [&str; 26] = [
    r#""name":"hidden","#,
    r#","name":"hidden""#,
    r#""n\u0061me":"hidden","#,
    r#""Name":"hidden","#,
    r#""params":{"name":"hidden"},"#,
    r#"\u0000"#,
    "\u{0}",
    "\u{feff}",
    "\\",
    "\"",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "hidden",
    "null",
    "1e999",
    "-",
    r#"\ud800"#,
    " ",
    "\r",
    r#""method":"tools/call","#,
    r#""id":1,"#,
    "/**/",
];

fn mutate(random: &mut Random, line: &str) -> Vec<u8> {
    let mut bytes = line.as_bytes().to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len() + 1);
        match random.below(5) {
            0 if at < bytes.len() => drop(bytes.remove(at)),
            1 if at < bytes.len() => bytes[at] = u8::try_from(random.below(256)).unwrap(),
            2 => {
                let end = (at + random.below(30)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                let to = random.below(bytes.len() + 1);
                bytes.splice(to..to, copy);
            }
            3 => bytes.truncate(at.max(1)),
            _ => drop(
                bytes
                    .splice(at..at, random.one(&SPLICES).bytes())
                    .collect::<Vec<_>>(),
            ),
        }
    }
    bytes.retain(|byte| *byte != b'\n');
    bytes
}

/// A JSON value with every member kept, a key that stands twice included.
enum Every {
    Object(Vec<(String, Every)>),
    Array(Vec<Every>),
    Text(String),
    Other,
}

impl<'de> Deserialize<'de> for Every {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Every;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("JSON")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Every, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Every::Object(members))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Every, A::Error> {
                let mut elements = Vec::new();
                while let Some(element) = seq.next_element()? {
                    elements.push(element);
                }
                Ok(Every::Array(elements))
            }
            fn visit_str<E>(self, text: &str) -> Result<Every, E> {
                Ok(Every::Text(text.to_owned()))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Every, E> {
                Ok(Every::Other)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Every, E> {
                Ok(Every::Other)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Every, E> {
                Ok(Every::Other)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Every, E> {
                Ok(Every::Other)
            }
            fn visit_unit<E>(self) -> Result<Every, E> {
                Ok(Every::Other)
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl Every {
    /// The values of all members called `key`.
    fn all(&self, key: &str) -> Vec<&Self> {
        match self {
            Self::Object(members) => members
                .iter()
                .filter(|(name, _)| name == key)
                .map(|(_, value)| value)
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Whether any object in it has a key twice.
    fn doubles(&self) -> bool {
        match self {
            Self::Object(members) => {
                let keys: BTreeSet<&str> = members.iter().map(|(key, _)| &**key).collect();
                keys.len() < members.len() || members.iter().any(|(_, value)| value.doubles())
            }
            Self::Array(elements) => elements.iter().any(Self::doubles),
            Self::Text(_) | Self::Other => false,
        }
    }
}

#[test]
fn no_mutation_of_a_call_reaches_the_server_as_a_call_of_something_else() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", ""), tool("hidden", "")]);
    let client = home
        .gate("s", &server)
        .with(&["--deny-tool", "hidden"])
        .open();
    client.tools();
    let seeds = [
        r#"{"jsonrpc":"2.0","id":"m$N","method":"tools/call","params":{"name":"a","arguments":{"x":{"y":[1,"z"]}}}}"#,
        r#"{"jsonrpc":"2.0","id":"m$N","method":"tools/call","params":{"name":"hidden","arguments":{}}}"#,
        r#"{ "params" : { "arguments" : { "name" : "hidden" } , "name" : "\u0061" } , "method" : "tools\/call" , "id" : $N , "jsonrpc" : "2.0" }"#,
    ];
    let mut random = Random(0x5eed_2026);
    let mut sent = Vec::new();
    for n in 0..2000 {
        let seed = random.one(&seeds).replace("$N", &n.to_string());
        let line = mutate(&mut random, &seed);
        sent.extend_from_slice(&line);
        sent.push(b'\n');
    }
    client.write(&sent);
    // In order: what follows is answered after everything before was judged.
    client.call("a").ran();
    client.close_well();

    let received = server.received();
    let calls: Vec<&String> = received
        .iter()
        .filter(|line| line.contains("call"))
        .collect();
    assert!(
        calls.len() > 50,
        "some mutations leave a call a call: {}",
        calls.len()
    );
    for line in &received {
        let message: Every =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for key in ["jsonrpc", "id", "method", "params"] {
            assert!(message.all(key).len() <= 1, "{key} twice: {line}");
        }
        assert!(
            !message.all("params").iter().any(|params| params.doubles()),
            "{line}"
        );
        let Some(Every::Text(method)) = message.all("method").pop() else {
            continue;
        };
        if method.to_lowercase().contains("call") {
            assert_eq!(method, "tools/call", "{line}");
            let params = message.all("params").pop().unwrap_or(&Every::Other);
            let names = params.all("name");
            assert!(
                matches!(names[..], [Every::Text(name)] if name == "a"),
                "a call of something else: {line}"
            );
            assert_eq!(message.all("id").len(), 1, "a call without id: {line}");
        }
    }
}

#[test]
fn no_mutation_of_a_list_shows_the_client_a_hidden_tool() {
    let home = Home::new();
    let mut server = home.fixture("s");
    let list = format!(
        r#"{{"tools":[{},{}]}}"#,
        tool("a", "A"),
        tool("hidden", "HIDDEN")
    );
    let line = format!(r#"{{"jsonrpc":"2.0","id":$ID,"result":{list}}}"#);
    server.tools([tool("a", "A"), tool("hidden", "HIDDEN")]);
    let client = home
        .gate("s", &server)
        .with(&["--deny-tool", "hidden"])
        .open();
    client.tools();
    let mut random = Random(0x000d_15ea_5e20);
    let mut shown = 0;
    for _ in 0..800 {
        let mutated = mutate(&mut random, &line);
        // Only text can stand in a script; and an answer to nobody would be waited for.
        let Ok(mutated) = String::from_utf8(mutated) else {
            continue;
        };
        if !mutated.contains(r#""id":$ID"#) {
            continue;
        }
        server.rules([serde_json::json!({
            "method": "tools/list",
            "line": mutated,
            // So that a line the gate takes for no answer ends the wait.
            "after": [r#"{"jsonrpc":"2.0","id":$ID,"error":{"code":-32603,"message":"after all"}}"#],
        })
        .to_string()]);
        let answer = client.raw("tools/list", "");
        let message: Every =
            serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"));
        for list in message
            .all("result")
            .iter()
            .flat_map(|result| result.all("tools"))
        {
            let Every::Array(items) = list else {
                panic!("no list: {answer}")
            };
            shown += items.len();
            for item in items {
                assert!(!item.doubles(), "{answer}");
                let names = item.all("name");
                let [Every::Text(name)] = names[..] else {
                    panic!("no one name: {answer}")
                };
                assert_ne!(
                    name.trim().to_lowercase(),
                    "hidden",
                    "{answer}\nof {mutated}"
                );
            }
        }
    }
    assert!(shown > 20, "some mutations leave a list a list: {shown}");
}
