//! Where things are in the store.
//!
//! | key | value |
//! |---|---|
//! | `item/SERVER/KIND/NAME` | a [`Record`](crate::records::Record): what was decided about the item |
//! | `baselined/SERVER/KIND` | when, in milliseconds: nothing of that kind is approved by itself any more; the kind `*` stands for all |
//! | `sighting/ever/SERVER/KIND/NAME` | an [`Ever`](crate::records::Ever): which digests it ever showed |
//! | `sighting/now/SERVER/OBSERVER/N` | a part of a [`Reading`](crate::records::Reading): what one observer saw last |
//!
//! In servers', kinds' and observers' names `%` and `/` are written `%25` and `%2F`. An item's name comes last and is
//! written as it is.

/// In place of a kind: all of them, those not known yet included.
pub const EVERY_KIND: &str = "*";

/// What begins the keys of every record.
pub const ITEMS: &str = "item/";
/// What begins the keys of everything ever seen.
pub const EVER: &str = "sighting/ever/";
/// What begins the keys of every observer's last reading.
pub const NOW: &str = "sighting/now/";
/// What begins the keys of closed baselines.
pub const BASELINED: &str = "baselined/";

/// What begins the keys of a server's records.
pub fn items(server: &str) -> String {
    of_server(ITEMS, server)
}

/// What begins the keys of one server under a table's prefix.
pub fn of_server(table: &str, server: &str) -> String {
    let mut key = table.to_owned();
    push_escaped(&mut key, server);
    key.push('/');
    key
}

/// The key of one item under a table's prefix.
pub fn of_item(table: &str, server: &str, kind: &str, name: &str) -> String {
    let mut key = of_server(table, server);
    push_escaped(&mut key, kind);
    key.push('/');
    key.push_str(name);
    key
}

/// The key of a part of an observer's last reading.
pub fn now(server: &str, observer: &str, part: &str) -> String {
    of_item(NOW, server, observer, part)
}

/// The key that closes the baseline of a kind, given by its word.
pub fn baselined(server: &str, kind: &str) -> String {
    let mut key = of_server(BASELINED, server);
    if kind == EVERY_KIND {
        key.push_str(kind)
    } else {
        push_escaped(&mut key, kind)
    }
    key
}

/// Takes the first component off what follows a table's prefix: it, unescaped, and the rest.
pub fn split(rest: &str) -> Option<(String, &str)> {
    let (first, rest) = rest.split_once('/')?;
    Some((unescaped(first), rest))
}

/// A component as it was before it became part of a key.
pub fn unescaped(component: &str) -> String {
    component.replace("%2F", "/").replace("%25", "%")
}

fn push_escaped(key: &mut String, component: &str) {
    for c in component.chars() {
        match c {
            '%' => key.push_str("%25"),
            '/' => key.push_str("%2F"),
            other => key.push(other),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn no_name_can_be_taken_for_another() {
        let key = of_item(ITEMS, "a/b%", "tool", "x/y");
        assert_eq!(key, "item/a%2Fb%25/tool/x/y");
        let (server, rest) = split(key.strip_prefix(ITEMS).unwrap()).unwrap();
        let (kind, name) = split(rest).unwrap();
        assert_eq!(
            (server.as_str(), kind.as_str(), name),
            ("a/b%", "tool", "x/y")
        );
        assert_eq!(unescaped("%252F"), "%2F");
        assert!(!of_item(ITEMS, "a/b", "tool", "").starts_with(&items("a")));
    }
}
