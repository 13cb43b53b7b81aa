//! The `dingsync` program: everything of interest is in the library.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    dingsync::cli::main(std::env::args_os())
}
