//! What it takes to forget a server's name, or to change it.

use std::sync::Arc;

use super::Work;
use crate::ledger::LedgerError;

impl Work<'_> {
    pub(super) fn forget(&mut self, server: &str) -> Result<(), LedgerError> {
        if self.snapshot.servers.contains_key(server) {
            self.tables.put_server(server, None)?;
            Arc::make_mut(&mut self.snapshot.servers).remove(server);
            self.touched.anything = true;
            self.touched.revision = true;
            self.touched.servers = true;
        }
        let gone: Vec<String> = self.observer_ids(|observer| observer.server == server);
        if !gone.is_empty() {
            self.remove_observers(&gone)?;
            self.touched.revision = true;
        }
        if let Some(last) = self.tables.sighted_sizes(server)?.last() {
            self.tables.drop_sighted(server, last.seq)?;
            self.touched.anything = true;
            self.touched.revision = true;
        }
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> Result<(), LedgerError> {
        if from == to {
            return Ok(());
        }
        let observed = |name: &str| self.snapshot.observers.iter().any(|o| o.server == name);
        if self.snapshot.servers.contains_key(to)
            || observed(to)
            || !self.tables.sighted_sizes(to)?.is_empty()
        {
            return Err(LedgerError::Refused(format!(
                "the name `{to}` is taken: choose another, or `witgate server forget {to}` first"
            )));
        }
        let record = self.snapshot.servers.get(from).cloned();
        if record.is_none() && !observed(from) {
            return Err(LedgerError::Refused(format!(
                "there is no server `{from}`: `witgate server list` shows those there are"
            )));
        }
        if let Some(record) = record {
            self.tables.put_server(from, None)?;
            self.tables.put_server(to, Some(&record))?;
            let servers = Arc::make_mut(&mut self.snapshot.servers);
            servers.remove(from);
            servers.insert(to.to_owned(), record);
            self.touched.servers = true;
        }
        if observed(from) {
            for observer in Arc::make_mut(&mut self.snapshot.observers) {
                if observer.server == from {
                    to.clone_into(&mut observer.server);
                    self.tables.put_observer(observer)?;
                }
            }
            self.touched.observers = true;
        }
        self.tables.rename_sighted(from, to)?;
        self.touched.anything = true;
        self.touched.revision = true;
        Ok(())
    }
}
