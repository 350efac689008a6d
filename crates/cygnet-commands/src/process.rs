//! What whoever started this process gave it: variables of the environment that switch something, and limits on files.

use cygnet::hub::offline_by_env;
use cygnet::runtime::Level;

use crate::args::wrong_usage;
use crate::output::Hinted;

/// Looks at it once, before any command: a variable that means nothing is wrong usage, whether or not a command would
/// need it.
pub(crate) fn check() -> anyhow::Result<()> {
    Level::chosen().map_err(|reason| {
        let problem = format!("CYGNET_ISA: {reason}");
        let hint = format!("leave CYGNET_ISA unset for the best that this CPU has, {}", Level::best().name());
        wrong_usage(problem.clone()).context(Hinted { problem, hint })
    })?;
    offline_by_env().map_err(|error| wrong_usage(error.to_string()))?;
    Ok(heed_limits()?)
}

/// Has writes beyond the largest file that this process may write fail as on a full disk, with an error that names the
/// file, where the system would end the process.
#[cfg(unix)]
fn heed_limits() -> std::io::Result<()> {
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, std::sync::Arc::default()).map(|_| ())
}

#[cfg(not(unix))]
fn heed_limits() -> std::io::Result<()> {
    Ok(())
}
