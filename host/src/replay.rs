//! Asking again what a tape holds, and telling what is answered otherwise.
//!
//! Knows tapes and chains. Judging hooks are pure (design, invariant 7), so that the same chain must give the same
//! verdicts exactly; another shows what it would have changed. Writes nothing, and reads no ledger: what policies
//! read is what stands on the tape.

mod compare;
mod report;
mod scan;
mod side;
#[cfg(test)]
mod tests;
mod world;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use crate::chain::Generation;
use crate::policy::contract::Item;
use crate::tape::record::{self, Judged, Record, What};
use crate::tape::{Reader, TapeError};
use compare::{Compared, Pair, Saying};
use report::{Counting, Fate};
use scan::Scan;
use side::{Asked, Side};
use world::World;

pub use report::{ChainReport, Difference, Report, Summary, TapeReport, Verdict};
pub use scan::chain_differences;

/// What is compared with what is asked again.
enum Against {
    /// What the tape says.
    Tape,
    /// What another chain says.
    Chain(Box<Side>),
}

/// Asks `chain` what the tape's chain was asked, and tells what it answers otherwise than the tape says. With `server`,
/// that server's messages only.
///
/// # Errors
/// If the tape cannot be read to its end.
pub async fn against(
    tape: &Path,
    chain: &Generation,
    server: Option<&str>,
) -> Result<Report, TapeError> {
    play(tape, Against::Tape, chain, server).await
}

/// Asks two chains what the tape's chain was asked, and tells what the second answers otherwise than the first. With
/// `server`, that server's messages only.
///
/// # Errors
/// If the tape cannot be read to its end.
pub async fn between(
    tape: &Path,
    old: &Generation,
    new: &Generation,
    server: Option<&str>,
) -> Result<Report, TapeError> {
    let old = Against::Chain(Box::new(Side::new(old)));
    play(tape, old, new, server).await
}

/// Every chain that a tape holds, in the order in which they were in force.
///
/// # Errors
/// If the tape cannot be read to its end.
pub fn chains(tape: &Path) -> Result<Vec<record::Generation>, TapeError> {
    Ok(Scan::read(tape)?.generations)
}

async fn play(
    tape: &Path,
    old: Against,
    chain: &Generation,
    server: Option<&str>,
) -> Result<Report, TapeError> {
    // All of it is looked at before anything is said: a tape that is damaged at its end is damaged.
    let scan = Scan::read(tape)?;
    let mut playing = Playing {
        world: World::default(),
        old,
        new: Side::new(chain),
        generations: BTreeMap::new(),
        fates: HashMap::new(),
        counting: Counting::default(),
        server,
    };
    let mut reader = Reader::open(tape)?;
    while let Some(line) = reader.next() {
        let line = line?;
        let number = line.number;
        let done = playing.record(&scan, number, line.record).await;
        done.map_err(|detail| reader.error_at(number, &detail))?;
    }
    let against_tape = matches!(playing.old, Against::Tape);
    let chain = against_tape.then(|| scan.compared_with(playing.new.record()));
    Ok(playing.counting.report(tape, &reader, &scan, chain))
}

struct Playing<'a> {
    world: World,
    old: Against,
    new: Side,
    generations: BTreeMap<u64, record::Generation>,
    /// What became of each evaluation, for the verdicts that were given again.
    fates: HashMap<u64, Fate>,
    counting: Counting,
    server: Option<&'a str>,
}

impl Playing<'_> {
    /// Takes up a record. An error says what is wrong with it.
    async fn record(&mut self, scan: &Scan, line: u64, record: Record) -> Result<(), String> {
        match record {
            Record::Generation(generation) => {
                self.generations.insert(generation.id, generation);
            }
            Record::Items(items) => self.world.list(items)?,
            Record::Definition(definition) => self.world.define(definition)?,
            Record::Store(store) => self.world.store(store)?,
            Record::Judged(judged) => self.judged(scan, line, judged).await?,
            Record::Again(again) => {
                if let Some(fate) = self.fates.get(&again.of) {
                    self.counting.again(fate);
                } else if self.server.is_none() {
                    self.counting.again(&Fate::lost());
                }
            }
            Record::Lost(_) | Record::Closed(_) | Record::Tape(_) => {}
        }
        Ok(())
    }

    async fn judged(&mut self, scan: &Scan, line: u64, judged: Judged) -> Result<(), String> {
        let generation = self
            .generations
            .get(&judged.generation)
            .cloned()
            .ok_or_else(|| {
                format!(
                    "refers to generation {}, which is not told",
                    judged.generation
                )
            })?;
        let items = self.world.items(judged.items)?;
        let state = self.world.state(judged.state)?;
        self.new.assume(&generation);
        if let Against::Chain(old) = &mut self.old {
            old.assume(&generation);
        }
        for advance in self.world.advances(scan)? {
            self.new.advance(&advance);
            if let Against::Chain(old) = &mut self.old {
                old.advance(&advance);
            }
        }
        let asked = Asked {
            judged: &judged,
            items: &items,
            state: &state,
            definitions: self.world.definitions(),
        };
        let wanted = self.wants(&judged.what);
        // What a policy returned about one server it may use in verdicts about another.
        if wanted || matches!(judged.what, What::Observed(_)) {
            let fate = self.compare(line, &generation, &asked).await?;
            if wanted {
                self.counting.count(&fate);
                self.fates.insert(judged.n, fate);
            }
        }
        self.world.led(&judged, &generation)?;
        Ok(())
    }

    fn wants(&self, what: &What) -> bool {
        self.server.is_none_or(|wanted| wanted == server_of(what))
    }

    async fn compare(
        &mut self,
        line: u64,
        generation: &record::Generation,
        asked: &Asked<'_>,
    ) -> Result<Fate, String> {
        let heard = self.new.ask(asked).await?;
        let compared = match &mut self.old {
            Against::Tape => {
                let pair = Pair {
                    old: Saying::on_tape(generation, &asked.judged.what),
                    new: Saying::heard(self.new.record(), &heard, "in the replay"),
                    same: self.new.same_places(),
                };
                pair.compare(asked.items)
            }
            Against::Chain(old) => {
                let before = old.ask(asked).await?;
                let pair = Pair {
                    old: Saying::heard(old.record(), &before, "in the old policy"),
                    new: Saying::heard(self.new.record(), &heard, "in the new policy"),
                    same: same_alone(old.record(), self.new.record()),
                };
                pair.compare(asked.items)
            }
        };
        let wanted = self.wants(&asked.judged.what);
        Ok(match compared {
            Compared::Same => Fate::Same,
            Compared::Not(unfit) => Fate::Not(unfit.why, unfit.now),
            Compared::Differs(differences) => {
                let place = report::Place::of(line, asked.judged);
                let differences: Vec<_> = differences.into_iter().map(|d| place.at(d)).collect();
                let fate = Fate::of(&differences);
                if wanted {
                    self.counting.differ(differences);
                }
                fate
            }
        })
    }
}

/// Two policies alone must answer the same only if they are one.
fn same_alone(old: &record::Generation, new: &record::Generation) -> Vec<(usize, usize)> {
    match (old.policies.as_slice(), new.policies.as_slice()) {
        ([one], [other]) if one.answers_as(other) => vec![(0, 0)],
        _ => Vec::new(),
    }
}

fn server_of(what: &What) -> &str {
    match what {
        What::Observed(observed) => &observed.server.name,
        What::Listed(listed) => &listed.context.server.name,
        What::Called(called) => &called.context.server.name,
        What::Returned(returned) => &returned.context.server.name,
        What::Asked(asked) => &asked.context.server.name,
    }
}

/// A list of items, as evaluations share it.
type Listing = Arc<Vec<Item>>;
