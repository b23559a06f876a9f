//! Tells cargo of the folders that are embedded whole: a file that comes or goes there changes the binary.
#![allow(clippy::print_stdout)] // so cargo is told

fn main() {
    for folder in ["templates/policy", "../wit"] {
        println!("cargo::rerun-if-changed={folder}");
    }
}
