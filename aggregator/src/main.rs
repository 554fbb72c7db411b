//! `picket-aggregator`: parse, dispatch, conclude.

use std::process::ExitCode;

fn main() -> ExitCode {
    aggregator::cli::main(std::env::args_os())
}
