//! What an author of policies works with: cases, one hook run on one of them, measuring, a new project.
//!
//! Knows case files, how a hook of one component is run on one, and how what it answers is compared. Uses the engine as
//! a gate does, under the same limits. Knows no terminal and no gate; decides nothing.

pub mod bench;
pub mod case;
mod compare;
mod files;
mod found;
mod hook;
pub mod project;
mod reader;
pub mod reuse;
mod run;
pub mod schema;
mod world;

pub use case::Case;
pub use compare::{Difference, differences};
pub use files::{FilesError, read, read_one};
pub use hook::Hook;
pub use reader::CaseError;
pub use run::{Ran, Subject, Trouble};
