//! The `witgate` binary: hands its arguments to the command line.

fn main() -> std::process::ExitCode {
    witgate::cli::main()
}
