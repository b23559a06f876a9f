//! The long run: whether the gate's memory stays flat over many calls and many sessions.

use crate::client::{Ask, Connection, Era};
use crate::measure::{print, resident};
use crate::ways::{Home, Way};
use crate::{CONNECTIONS, GATE};

/// How often the memory is looked at in each part.
const LOOKS: usize = 20;

/// Makes `calls` calls, half of them in each revision, then opens and ends `sessions` sessions with a list and a call in
/// each; prints the gate's memory meanwhile.
pub(crate) fn run(calls: usize, sessions: usize) {
    let home = Home::new(false);
    // In this order, so that the processes of the last list live on.
    let ways = home.ways(Era::Modern, false);
    let gate = &ways[GATE];
    for era in [Era::Legacy, Era::Modern] {
        make_calls(gate, era, calls / 2);
    }
    open_sessions(gate, sessions);
}

fn look(gate: &Way, what: &str, done: usize) {
    let resident = resident(gate.process()).map_or("?".to_owned(), |kib| {
        format!("{:.1} MiB resident", kib as f64 / 1024.0)
    });
    print(&format!("{done} {what}"), &resident, None);
}

fn make_calls(gate: &Way, era: Era, calls: usize) {
    let what = format!("calls, {}", era.version());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let connections: Vec<_> = (0..CONNECTIONS)
        .map(|_| Connection::open(gate, era))
        .collect();
    let mut connections: Vec<_> = {
        let _guard = runtime.enter();
        connections
            .into_iter()
            .map(Connection::beside_others)
            .collect()
    };
    look(gate, &what, 0);
    let each = (calls / LOOKS / CONNECTIONS).max(1);
    let mut done = 0;
    while done < calls {
        runtime.block_on(async {
            futures_util::future::join_all(
                connections
                    .iter_mut()
                    .enumerate()
                    .map(|(n, connection)| connection.calls(each, (done + n * each) as u64)),
            )
            .await
        });
        done += each * CONNECTIONS;
        look(gate, &what, done);
    }
}

fn open_sessions(gate: &Way, sessions: usize) {
    let what = "sessions opened and ended";
    look(gate, what, 0);
    for n in 1..=sessions {
        let mut connection = Connection::open(gate, Era::Legacy);
        connection.time(Ask::List, "tool_2");
        connection.time(Ask::Call("run", n as u64), "done");
        let (status, ..) = connection.exchange(Ask::Delete);
        assert!((200..300).contains(&status), "DELETE: {status}");
        if n % (sessions / LOOKS).max(1) == 0 {
            look(gate, what, n);
        }
    }
}
