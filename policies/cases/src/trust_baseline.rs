//! Cases of `trust-baseline`.

mod decided;
mod shown;
mod world;

use crate::Subject;

/// Every case.
pub fn all<S: Subject>() {
    shown::all::<S>();
    decided::all::<S>();
}
