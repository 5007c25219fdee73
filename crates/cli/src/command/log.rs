//! The program's own log, off unless `ACETATE_LOG` names a level or a filter.

use crate::environment::Environment;
use tracing_subscriber::EnvFilter;

/// Starts the log; a filter that makes no sense is treated as `warn`.
pub(crate) fn start(env: &Environment) {
    let text = env.log.as_deref().unwrap_or("warn");
    let filter = EnvFilter::try_new(text).unwrap_or_else(|_| EnvFilter::new("warn"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .without_time()
        .finish();
    // It fails only when a log was started before, which main does not.
    drop(tracing::subscriber::set_global_default(subscriber));
}
