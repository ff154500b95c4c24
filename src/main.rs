//! The `sereno` command.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // A panic anywhere ends the whole process: a thread that stopped in doubt must not leave the
    // others running on its state. Only the query engine's own threads hold no state of ours:
    // there a panic is one query's error, and one user's SQL must not end ingest.
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
        if !sereno::service::may_panic(std::thread::current().name()) {
            std::process::abort();
        }
    }));
    sereno::cli::main()
}
