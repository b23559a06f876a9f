//! Which definitions nothing refers to.

use super::{PRUNE_AFTER, PRUNE_AFTER_BYTES, PRUNE_GRACE_BYTES, PRUNE_GRACE_MS, Unpruned, Work};
use crate::ledger::digests::digests_in;
use crate::ledger::{LedgerError, Op};
use crate::mcp::Digest;

impl Work<'_> {
    /// Removes definitions that nothing refers to, if enough have come since it was last done.
    pub(super) fn prune(&mut self, ops: &[Op]) -> Result<(), LedgerError> {
        let unpruned = *self.tables.unpruned();
        if unpruned.count < PRUNE_AFTER && unpruned.bytes < PRUNE_AFTER_BYTES {
            return Ok(());
        }
        *self.tables.unpruned() = Unpruned::default();
        let candidates = self.seasoned()?;
        if candidates.is_empty() {
            return Ok(());
        }
        let mut wanted = self.tables.sighted_digests()?;
        for observer in self.snapshot.observers.iter() {
            let items = observer.observation.iter().flat_map(|o| o.items.iter());
            wanted.extend(items.map(|item| item.digest));
        }
        for section in [&self.snapshot.facts, &self.snapshot.sightings] {
            for value in section.values().flat_map(|keys| keys.values()) {
                wanted.extend(digests_in(value));
            }
        }
        // Defined in this commit, though perhaps long known: whoever made it is about to refer to it.
        wanted.extend(ops.iter().filter_map(|op| match op {
            Op::Define(definition) => Some(definition.digest),
            _ => None,
        }));
        for digest in candidates {
            if !wanted.contains(&digest) {
                self.tables.undefine(&digest)?;
            }
        }
        self.touched.anything = true;
        Ok(())
    }

    /// Definitions that have had their time to be referred to: all but the latest, which are those of the last
    /// minute, as far as they are within [`PRUNE_GRACE_BYTES`].
    fn seasoned(&mut self) -> Result<Vec<Digest>, LedgerError> {
        let since_ms = self.world.now_ms.saturating_sub(PRUNE_GRACE_MS);
        let mut bytes = 0;
        let mut seasoned = Vec::new();
        for pinned in self.tables.definitions()? {
            bytes += pinned.bytes;
            if pinned.at_ms <= since_ms || bytes > PRUNE_GRACE_BYTES {
                seasoned.push(pinned.digest);
            }
        }
        Ok(seasoned)
    }
}
