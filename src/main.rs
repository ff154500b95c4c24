//! The `sereno` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    // A panic anywhere ends the whole process: a thread that stopped in doubt must not leave the
    // others running on its state.
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
        std::process::abort();
    }));
    sereno::cli::main()
}
