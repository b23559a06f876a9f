//! `quarantine`: a server that the operator has not released lists nothing, and so answers no call.
//!
//! Knows a server's standing and nothing of its items. That such a server asks nothing and says nothing is the host's
//! work.

use witgate_policy::{Context, Denial, Host, Item, Locked, Policy, Standing, Withheld, export};

/// The denial's code, and the status of what is surfaced.
const CODE: &str = "server_quarantined";

/// Commands that exist; the first shows the digest the second wants.
const REMEDY: &str = "A person can release the server: `witgate server list`, then `witgate server trust NAME --digest W`";

/// See the module.
#[derive(Debug)]
pub struct Quarantine;

impl Policy for Quarantine {
    type Settings = ();

    fn new((): ()) -> Result<Self, String> {
        Ok(Self)
    }

    fn filter(&self, _host: &impl Host, context: &Context, items: &[Item]) -> Vec<Option<Denial>> {
        let denial = match context.server.standing {
            Standing::Trusted => None,
            Standing::Quarantined => {
                Some(Denial::new(CODE, "The server is quarantined").remedy(REMEDY))
            }
        };
        vec![denial; items.len()]
    }

    fn surface(
        &self,
        _host: &impl Host,
        _context: &Context,
        withheld: &[Withheld],
    ) -> Vec<Option<Locked>> {
        vec![Some(Locked::new(CODE, REMEDY)); withheld.len()]
    }
}

export!(Quarantine: list_filter, discovery_surface);
