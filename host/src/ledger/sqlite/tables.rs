//! The rows of a ledger in SQLite, as one commit writes them.
//!
//! Knows statements. Knows no rules: those are in `ledger::apply`.

use std::collections::HashSet;

use rusqlite::{Connection, Params, params};

use super::error::Context;
use super::rows::{digest, int, observation_text, standing_word, uint};
use crate::ledger::apply::{LATEST_SIGHTED, Part, Pinned, SightedSize, Tables, Unpruned};
use crate::ledger::{
    AuditHead, Definition, LedgerError, Namespace, Observer, ServerRecord, StoredPolicy,
};
use crate::mcp::{Digest, Item};

/// The tables within a transaction that the caller began and will end.
pub(super) struct SqlTables<'a> {
    pub(super) db: &'a Connection,
    pub(super) context: &'a Context,
    /// The version the ledger will have after this commit.
    pub(super) version: u64,
    pub(super) unpruned: Unpruned,
}

impl SqlTables<'_> {
    /// Runs a statement; how many rows it changed.
    fn run(&self, sql: &str, params: impl Params) -> Result<usize, LedgerError> {
        let run = || self.db.prepare_cached(sql)?.execute(params);
        run().map_err(|error| self.context.error(error))
    }

    fn all<T, C: FromIterator<T>>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<C, LedgerError> {
        let run = || -> rusqlite::Result<C> {
            let mut statement = self.db.prepare_cached(sql)?;
            statement.query_map(params, read)?.collect()
        };
        run().map_err(|error| self.context.error(error))
    }
}

impl Tables for SqlTables<'_> {
    fn put_value(
        &mut self,
        part: Part,
        namespace: &Namespace,
        key: &str,
        value: Option<&str>,
    ) -> Result<(), LedgerError> {
        let namespace = namespace.as_str();
        match (part, value) {
            (Part::Facts, Some(value)) => self.run(
                "INSERT INTO facts (namespace, key, value) VALUES (?, ?, ?) \
                 ON CONFLICT DO UPDATE SET value = excluded.value",
                [namespace, key, value],
            ),
            (Part::Sightings, Some(value)) => self.run(
                "INSERT INTO sightings (namespace, key, value) VALUES (?, ?, ?) \
                 ON CONFLICT DO UPDATE SET value = excluded.value",
                [namespace, key, value],
            ),
            (Part::Facts, None) => self.run(
                "DELETE FROM facts WHERE namespace = ? AND key = ?",
                [namespace, key],
            ),
            (Part::Sightings, None) => self.run(
                "DELETE FROM sightings WHERE namespace = ? AND key = ?",
                [namespace, key],
            ),
        }
        .map(drop)
    }

    fn put_server(&mut self, name: &str, record: Option<&ServerRecord>) -> Result<(), LedgerError> {
        let Some(record) = record else {
            return self
                .run("DELETE FROM servers WHERE name = ?", [name])
                .map(drop);
        };
        let standing = record.standing.as_ref();
        self.run(
            "INSERT OR REPLACE INTO servers \
             (name, first_seen_ms, identity, standing, standing_actor, standing_at_ms) \
             VALUES (?, ?, ?, ?, ?, ?)",
            params![
                name,
                int(record.first_seen_ms),
                record.identity,
                standing.map(|s| standing_word(s.standing)),
                standing.map(|s| s.actor.as_str()),
                standing.map(|s| int(s.at_ms)),
            ],
        )
        .map(drop)
    }

    fn put_observer(&mut self, observer: &Observer) -> Result<(), LedgerError> {
        let observation = match &observer.observation {
            None => None,
            Some(observation) => Some(observation_text(observation).map_err(|error| {
                LedgerError::Refused(format!("a reading cannot be written: {error}"))
            })?),
        };
        self.run(
            "INSERT INTO observers (id, version, server, pid, pid_start, ended, observation) \
             VALUES (?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET version = excluded.version, server = excluded.server, \
             pid = excluded.pid, pid_start = excluded.pid_start, ended = excluded.ended, \
             observation = excluded.observation",
            params![
                observer.id,
                int(self.version),
                observer.server,
                observer.pid,
                observer.pid_start.map(int),
                observer.ended,
                observation,
            ],
        )
        .map(drop)
    }

    fn remove_observer(&mut self, id: &str) -> Result<(), LedgerError> {
        self.run("DELETE FROM observers WHERE id = ?", [id])
            .map(drop)
    }

    fn put_note(&mut self, key: &str, value: Option<&str>) -> Result<(), LedgerError> {
        match value {
            Some(value) => self.run(
                "INSERT INTO notes (key, value) VALUES (?, ?) \
                 ON CONFLICT DO UPDATE SET value = excluded.value",
                [key, value],
            ),
            None => self.run("DELETE FROM notes WHERE key = ?", [key]),
        }
        .map(drop)
    }

    fn define(&mut self, definition: &Definition, now_ms: u64) -> Result<bool, LedgerError> {
        self.run(
            "INSERT INTO definitions (digest, kind, bytes, pinned_ms, text) VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT DO NOTHING",
            params![
                definition.digest.as_bytes(),
                definition.kind.word(),
                int(definition.text.len() as u64),
                int(now_ms),
                definition.text,
            ],
        )
        .map(|rows| rows > 0)
    }

    fn definitions(&mut self) -> Result<Vec<Pinned>, LedgerError> {
        self.all(
            "SELECT digest, pinned_ms, bytes FROM definitions ORDER BY rowid DESC",
            [],
            |row| {
                Ok(Pinned {
                    digest: digest(row, 0)?,
                    at_ms: uint(row, 1)?,
                    bytes: uint(row, 2)?,
                })
            },
        )
    }

    fn undefine(&mut self, digest: &Digest) -> Result<(), LedgerError> {
        self.run(
            "DELETE FROM definitions WHERE digest = ?",
            [digest.as_bytes()],
        )
        .map(drop)
    }

    fn unpruned(&mut self) -> &mut Unpruned {
        &mut self.unpruned
    }

    fn sight(&mut self, server: &str, item: &Item, at_ms: u64) -> Result<bool, LedgerError> {
        let (kind, name) = (item.key.kind.word(), &*item.key.name);
        let added = self.run(
            "INSERT INTO sighted (server, kind, name, digest, at_ms) VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT DO NOTHING",
            params![server, kind, name, item.digest.as_bytes(), int(at_ms)],
        )?;
        if added == 0 {
            return Ok(false);
        }
        // `+seq` keeps SQLite from walking all of the server's rows in the order of `sighted_by_server`.
        let seqs: Vec<i64> = self.all(
            "SELECT seq FROM sighted WHERE server = ? AND kind = ? AND name = ? ORDER BY +seq",
            [server, kind, name],
            |row| row.get(0),
        )?;
        if seqs.len() > 1 + LATEST_SIGHTED {
            self.run("DELETE FROM sighted WHERE seq = ?", [seqs[1]])?;
        }
        Ok(true)
    }

    fn sighted_sizes(&mut self, server: &str) -> Result<Vec<SightedSize>, LedgerError> {
        self.all(
            "SELECT seq, coalesce(bytes, 0) FROM sighted LEFT JOIN definitions USING (digest) \
             WHERE server = ? ORDER BY seq",
            [server],
            |row| {
                Ok(SightedSize {
                    seq: row.get(0)?,
                    bytes: uint(row, 1)?,
                })
            },
        )
    }

    fn drop_sighted(&mut self, server: &str, seq: i64) -> Result<(), LedgerError> {
        self.run(
            "DELETE FROM sighted WHERE server = ? AND seq <= ?",
            params![server, seq],
        )
        .map(drop)
    }

    fn rename_sighted(&mut self, from: &str, to: &str) -> Result<(), LedgerError> {
        self.run("UPDATE sighted SET server = ? WHERE server = ?", [to, from])
            .map(drop)
    }

    fn sighted_digests(&mut self) -> Result<HashSet<Digest>, LedgerError> {
        self.all("SELECT DISTINCT digest FROM sighted", [], |row| {
            digest(row, 0)
        })
    }

    fn put_policy(&mut self, policy: &StoredPolicy) -> Result<bool, LedgerError> {
        self.run(
            "INSERT INTO policies (namespace, file, sha256, sidecar, component) VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT DO UPDATE SET file = excluded.file, sha256 = excluded.sha256, \
             sidecar = excluded.sidecar, component = excluded.component \
             WHERE (file, sha256, sidecar, component) IS NOT \
             (excluded.file, excluded.sha256, excluded.sidecar, excluded.component)",
            params![
                policy.namespace.as_str(),
                policy.file,
                policy.sha256,
                policy.sidecar,
                &*policy.component,
            ],
        )
        .map(|rows| rows > 0)
    }

    fn remove_policy(&mut self, namespace: &Namespace) -> Result<bool, LedgerError> {
        self.run(
            "DELETE FROM policies WHERE namespace = ?",
            [namespace.as_str()],
        )
        .map(|rows| rows > 0)
    }

    fn put_head(&mut self, head: &AuditHead) -> Result<bool, LedgerError> {
        self.run(
            "INSERT INTO audit_heads (file, seq, head, length) VALUES (?, ?, ?, ?) \
             ON CONFLICT DO UPDATE SET seq = excluded.seq, head = excluded.head, length = excluded.length \
             WHERE (seq, head, length) IS NOT (excluded.seq, excluded.head, excluded.length)",
            params![head.file, int(head.seq), head.head, int(head.length)],
        )
        .map(|rows| rows > 0)
    }
}
