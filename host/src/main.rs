//! The `witgate` binary: hands its arguments to the command line.

/// Messages are judged by several threads at once, and the audit is written by another: the system's allocator makes
/// them wait for each other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    witgate::cli::main()
}
