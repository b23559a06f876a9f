//! A policy that has every hook and does what names and texts tell it to: the engine's and the gate's tests drive it,
//! and its component as built for each released version of the contract is kept, to show that later hosts run it.
//!
//! | hook | behaviour |
//! |---|---|
//! | `configure` | refuses settings with `refuse`, quoting it, and unknown keys |
//! | `observe` | counts readings under `count/SERVER`; keeps the catalogue's digest under `sighting/SERVER` |
//! | `filter` | withholds names that begin with `hide`, code `hidden` |
//! | `check` | by the name up to the first `_` or `:`, see [`Golden::check`] |
//! | `inspect` | by markers in the outcome, see [`Golden::inspect`] |
//! | `admit` | by the settings, then by markers in the parameters, see [`Golden::admit`] |
//! | `surface` | surfaces what it withholds, except names that begin with `hide_wholly` |
//! | `entries` | one entry for each server that was observed, its id the server's name |
//! | `decide` | `approve` keeps the digest under `approved/SERVER` if it is the one last seen; other actions are not allowed |

use witgate_policy::{
    Action, Admission, Call, Catalogue, Change, ClientRequest, Context, Decided, Decision, Denial,
    Entry, Hold, Host, Item, ItemKind, Locked, LogLevel, Policy, Refusal, Ruling, Server, Verdict,
    Withheld,
};

/// What the golden policy can be told.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// If it is there, the policy refuses its settings and says this.
    pub refuse: Option<String>,
    /// Appended to the reason of every denial by `check` and `admit`.
    pub suffix: String,
    /// Methods that `admit` denies.
    pub deny_requests: Vec<String>,
}

/// See the module.
#[derive(Debug)]
pub struct Golden {
    suffix: String,
    deny_requests: Vec<String>,
}

impl Golden {
    fn deny(&self, code: &str, reason: impl Into<String>) -> Verdict {
        Verdict::Deny(Denial::new(code, reason.into() + &self.suffix))
    }

    fn entry(host: &impl Host, server: &str, count: &str) -> Entry {
        let seen = host.get(&format!("sighting/{server}"));
        let approved = host.get(&format!("approved/{server}"));
        let waiting = seen.is_some() && seen != approved;
        Entry {
            id: server.to_owned(),
            server: server.to_owned(),
            kind: ItemKind::SelfDescription,
            name: String::new(),
            status: if waiting { "pending" } else { "approved" }.to_owned(),
            waiting,
            by: String::new(),
            since_ms: 0,
            approved_digests: approved.into_iter().collect(),
            present: seen.is_some(),
            current_digests: seen.into_iter().collect(),
            labels: vec![("count".to_owned(), count.to_owned())],
        }
    }
}

impl Policy for Golden {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        match settings.refuse {
            Some(why) => Err(format!("told to refuse: {why}")),
            None => Ok(Self {
                suffix: settings.suffix,
                deny_requests: settings.deny_requests,
            }),
        }
    }

    fn observe(
        &self,
        host: &impl Host,
        server: &Server,
        catalogue: &Catalogue,
        _now_ms: u64,
    ) -> Vec<Change> {
        let key = format!("count/{}", server.name);
        let count: u64 = host
            .get(&key)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        vec![
            Change::keep(key, (count + 1).to_string()),
            Change::keep(
                format!("sighting/{}", server.name),
                catalogue.digest.as_str(),
            ),
        ]
    }

    fn filter(&self, _host: &impl Host, _context: &Context, items: &[Item]) -> Vec<Option<Denial>> {
        let judge =
            |item: &Item| (item.name.starts_with("hide")).then(|| Denial::new("hidden", "Hidden"));
        items.iter().map(judge).collect()
    }

    /// By the name up to the first `_` or `:`. `deny`, `hold` and `other` answer so. `trap`, `spin`, `grow` and
    /// `recurse` misbehave. `get:KEY`, `scan:PREFIX`, `definition:DIGEST` and `clock` deny with code `echo` and, as the
    /// reason, what the import answered; `log:TEXT` logs and allows, `count:NAME` counts and allows; `caller` echoes the caller and its roles, `arguments`
    /// the arguments, `huge` a million letters. All else is allowed.
    fn check(&self, host: &impl Host, context: &Context, call: &Call) -> Verdict {
        let name = call.item.name.as_str();
        let (verb, rest) = name.split_once(['_', ':']).unwrap_or((name, ""));
        match verb {
            "deny" => self.deny("denied", "Told to deny"),
            "hold" => Verdict::Hold(Hold::new("ask", "Told to hold")),
            "other" => Verdict::Other("something new".to_owned()),
            "trap" => panic!("told to trap"),
            "spin" => spin(),
            "grow" => grow(),
            "recurse" => self.deny("denied", recurse(1).to_string()),
            "get" => self.deny("echo", format!("{:?}", host.get(rest))),
            "scan" => self.deny("echo", format!("{:?}", host.scan(rest))),
            "definition" => self.deny("echo", format!("{:?}", host.definition(rest))),
            "clock" => self.deny("echo", host.now_ms().to_string()),
            "log" => {
                host.log(LogLevel::Info, rest);
                Verdict::Allow
            }
            "count" => {
                host.count(rest, 1);
                Verdict::Allow
            }
            "caller" => self.deny(
                "echo",
                format!("{} {:?}", context.caller.id, context.caller.roles),
            ),
            "arguments" => self.deny("echo", format!("{:?}", call.arguments)),
            "huge" => self.deny("denied", "x".repeat(1_000_000)),
            _ => Verdict::Allow,
        }
    }

    /// By the first marker the outcome holds: `[replace]` becomes `[replaced]`; `[deny]` denies, code `result_denied`;
    /// `[garbage]` is replaced by what is no JSON; `[other]` is answered with a ruling nobody knows.
    fn inspect(
        &self,
        _host: &impl Host,
        _context: &Context,
        _call: &Call,
        outcome: &str,
    ) -> Ruling {
        if outcome.contains("[replace]") {
            Ruling::Replace(outcome.replace("[replace]", "[replaced]"))
        } else if outcome.contains("[deny]") {
            Ruling::Deny(Denial::new("result_denied", "Told to withhold"))
        } else if outcome.contains("[garbage]") {
            Ruling::Replace("{not JSON".to_owned())
        } else if outcome.contains("[other]") {
            Ruling::Other("something new".to_owned())
        } else {
            Ruling::Pass
        }
    }

    /// Denies the methods that the settings name, code `request_denied`. Else by the first marker the parameters hold:
    /// `[deny]` denies so too; `[echo]` denies with code `echo` and, as the reason, the method, the mode and the name of
    /// the item that was called; `[clock]` asks the clock and allows; `[trap]` traps; `[other]` is answered with an
    /// admission nobody knows. All else is allowed.
    fn admit(&self, host: &impl Host, _context: &Context, request: &ClientRequest) -> Admission {
        let deny =
            |code: &str, reason: String| Admission::Deny(Denial::new(code, reason + &self.suffix));
        let params = request.params.as_deref().unwrap_or_default();
        if self.deny_requests.contains(&request.method) || params.contains("[deny]") {
            deny("request_denied", "Told to deny".to_owned())
        } else if params.contains("[echo]") {
            let during = request.during.as_ref().map(|call| call.item.name.as_str());
            deny(
                "echo",
                format!("{} {:?} {during:?}", request.method, request.mode),
            )
        } else if params.contains("[clock]") {
            host.now_ms();
            Admission::Allow
        } else if params.contains("[trap]") {
            panic!("told to trap")
        } else if params.contains("[other]") {
            Admission::Other("something new".to_owned())
        } else {
            Admission::Allow
        }
    }

    fn surface(
        &self,
        _host: &impl Host,
        _context: &Context,
        withheld: &[Withheld],
    ) -> Vec<Option<Locked>> {
        let judge = |withheld: &Withheld| {
            (!withheld.item.name.starts_with("hide_wholly"))
                .then(|| Locked::new("pending_approval", "witgate review"))
        };
        withheld.iter().map(judge).collect()
    }

    fn entries(&self, host: &impl Host, server: Option<&str>) -> Vec<Entry> {
        host.scan("count/")
            .iter()
            .filter_map(|(key, count)| Some((key.strip_prefix("count/")?, count)))
            .filter(|(name, _)| server.is_none_or(|server| server == *name))
            .map(|(name, count)| Self::entry(host, name, count))
            .collect()
    }

    fn decide(&self, host: &impl Host, decision: &Decision) -> Result<Decided, Refusal> {
        let server = decision.entry.as_str();
        let Some(count) = host.get(&format!("count/{server}")) else {
            return Err(Refusal::UnknownEntry);
        };
        if decision.action != Action::Approve {
            return Err(Refusal::NotAllowed);
        }
        if host.get(&format!("sighting/{server}")).as_ref() != Some(&decision.expected_digest) {
            return Err(Refusal::MovedOn);
        }
        let entry = Entry {
            status: "approved".to_owned(),
            waiting: false,
            by: decision.actor.clone(),
            since_ms: decision.now_ms,
            approved_digests: vec![decision.expected_digest.clone()],
            ..Self::entry(host, server, &count)
        };
        Ok(Decided {
            entry: Some(entry),
            changes: vec![Change::keep(
                format!("approved/{server}"),
                decision.expected_digest.as_str(),
            )],
            labels: Vec::new(),
        })
    }
}

/// Never ends.
fn spin() -> Verdict {
    let mut n = 0_u64;
    while std::hint::black_box(n) != u64::MAX {
        n = n.wrapping_add(1) % 1000;
    }
    Verdict::Allow
}

/// Allocates until there is no more.
fn grow() -> Verdict {
    let mut kept = Vec::new();
    loop {
        kept.push(std::hint::black_box(vec![1_u8; 1 << 20]));
    }
}

/// Never ends, and every step needs stack.
fn recurse(depth: u64) -> u64 {
    if std::hint::black_box(depth) == 0 {
        return 0;
    }
    std::hint::black_box(recurse(depth + 1)) + 1
}

witgate_policy::export!(
    Golden: settings, inventory, list_filter, call_gate, result_gate, client_request_gate,
    discovery_surface, review
);
