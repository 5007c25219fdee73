//! `acetate cache keygen`.

use super::print;
use crate::failure::Failure;
use crate::flags::CacheKeygenFlags;
use acetate_engine::cache_tools::{NewSigningKey, new_signing_key};
use anyhow::{Result, anyhow};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::ExitCode;

/// Makes a key: the private half into a file of its owner, the public half on standard output.
pub(super) fn keygen(flags: &CacheKeygenFlags) -> Result<ExitCode, Failure> {
    let key = new_signing_key(flags.name.as_deref())?;
    if flags.output == "-" {
        print::out(key.private.expose())?;
        print::note(&key.public);
        return Ok(ExitCode::SUCCESS);
    }
    write(&flags.output, &key)?;
    print::out(&format!("{}\n", key.public))?;
    let (path, id) = (&flags.output, &key.id);
    print::note(&format!(
        "the private key {id} is in `{path}`; the line above goes into the list of trusted keys"
    ));
    Ok(ExitCode::SUCCESS)
}

fn write(path: &str, key: &NewSigningKey) -> Result<()> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| {
        file.write_all(key.private.expose().as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => anyhow!(
            "`{path}` exists and is not overwritten; name another file with --output, or remove it"
        ),
        _ => anyhow!("failed to write `{path}`: {error}"),
    })
}
