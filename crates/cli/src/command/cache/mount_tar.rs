//! `acetate cache export --mount` and `import --mount`.

use super::place::Site;
use super::{print, text};
use crate::csv;
use crate::failure::Failure;
use acetate_engine::cache_tools::{CacheMountItem, ImportTrust, MountName, PackedMount, Packing};
use anyhow::{Context, Result, anyhow, bail};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Writes a cache mount to a file or to standard output.
pub(super) fn export(
    site: Site<'_>,
    mount: &str,
    output: &Path,
    compression: Option<&str>,
) -> Result<ExitCode, Failure> {
    let name = mount_name(mount)?;
    let is_zstd = match compression {
        Some(name) => name == "zstd",
        None => output.extension().is_some_and(|ending| ending == "zst"),
    };
    let packing = if is_zstd {
        Packing::Zstd
    } else {
        Packing::Plain
    };
    let engine = site.engine()?;
    let mount = engine.named_mount(&name)?;
    if output == Path::new("-") {
        let packed = engine.export_mount(&mount, packing, std::io::stdout().lock())?;
        print::note(&said("exported", &mount, packed));
        return Ok(ExitCode::SUCCESS);
    }
    let partial = Partial::create(output)?;
    let packed = engine.export_mount(&mount, packing, &partial.file)?;
    partial.publish(output)?;
    print::out(&format!("{}\n", said("exported", &mount, packed)))?;
    Ok(ExitCode::SUCCESS)
}

/// Puts what is in a file or comes from standard input in the place of a cache mount.
pub(super) fn import(
    site: Site<'_>,
    mount: &str,
    file: &Path,
    trust: ImportTrust,
) -> Result<ExitCode, Failure> {
    let name = mount_name(mount)?;
    let tar = if file == Path::new("-") {
        (std::io::stdin().as_fd().try_clone_to_owned()).map(File::from)
    } else {
        File::open(file)
    };
    let tar = tar.with_context(|| format!("failed to open `{}`", file.display()))?;
    let made = site.wait(async |engine| engine.import_mount(&name, tar, trust).await)?;
    let (diff_id, size) = (made.diff_id, made.size);
    let packed = PackedMount { diff_id, size };
    print::out(&format!("{}\n", said("imported", &made.mount, packed)))?;
    Ok(ExitCode::SUCCESS)
}

/// Reads `ID[,mode=MODE][,uid=UID][,gid=GID]`.
fn mount_name(text: &str) -> Result<MountName> {
    let mut name = MountName::default();
    for (n, field) in csv::fields(text)?.into_iter().enumerate() {
        if n == 0 {
            let id = field.strip_prefix("id=").map(str::to_owned);
            name.id = id.unwrap_or(field);
            continue;
        }
        let attribute = csv::Attribute::from(field);
        let number = |radix| {
            let value = attribute.value()?;
            u32::from_str_radix(value, radix)
                .map_err(|_| anyhow!("--mount: `{value}` is no value for `{}`", attribute.key))
        };
        match attribute.key.as_str() {
            "mode" => name.mode = Some(number(8)?),
            "uid" => name.uid = Some(number(10)?),
            "gid" => name.gid = Some(number(10)?),
            key => bail!("--mount: `{key}` is unknown, expected ID[,mode=][,uid=][,gid=]"),
        }
    }
    if name.id.is_empty() {
        bail!("--mount needs the id of a cache mount; `acetate cache ls --mounts` lists them");
    }
    Ok(name)
}

fn said(verb: &str, mount: &CacheMountItem, packed: PackedMount) -> String {
    let id = mount.name.as_ref().map(|name| text::plain(&name.id));
    let id = id.unwrap_or_else(|| text::short(&mount.identity.hex()).to_owned());
    let (size, digest) = (text::size(packed.size, true), packed.diff_id);
    format!("{verb} cache mount {id}: tar of {size}, {digest}")
}

/// A file beside its final place; dropped before it is published it vanishes.
struct Partial {
    file: File,
    path: Option<PathBuf>,
}

impl Partial {
    /// What is no regular file, such as a pipe or `/dev/null`, is written to as it is.
    fn create(target: &Path) -> Result<Self> {
        let words = || format!("failed to write `{}`", target.display());
        if std::fs::metadata(target).is_ok_and(|data| !data.is_file()) {
            let file = OpenOptions::new().write(true).open(target);
            return Ok(Self {
                file: file.with_context(words)?,
                path: None,
            });
        }
        let name = target.file_name().ok_or_else(|| anyhow!("{}", words()))?;
        let name = name.to_string_lossy();
        for n in 0..u32::MAX {
            let path = target.with_file_name(format!(".{name}.{}-{n}.partial", std::process::id()));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                // Of a process that was killed and whose id has come again.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                file => {
                    return Ok(Self {
                        file: file.with_context(words)?,
                        path: Some(path),
                    });
                }
            }
        }
        bail!("{}: too many partial files lie beside it", words())
    }

    fn publish(mut self, target: &Path) -> Result<()> {
        let words = || format!("failed to write `{}`", target.display());
        self.file.flush().with_context(words)?;
        if let Some(path) = &self.path {
            self.file.sync_all().with_context(words)?;
            std::fs::rename(path, target).with_context(words)?;
            self.path = None;
        }
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            drop(std::fs::remove_file(path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_named_by_id_and_attributes() {
        let name = mount_name("npm,uid=1000,mode=0700").unwrap();
        assert_eq!((name.id.as_str(), name.mode), ("npm", Some(0o700)));
        assert_eq!((name.uid, name.gid), (Some(1000), None));
        assert_eq!(mount_name("id=/root/.cache").unwrap().id, "/root/.cache");
        assert_eq!(mount_name("\"a,b\"").unwrap().id, "a,b");
        for (text, part) in [
            ("", "needs the id"),
            ("a,uid=x", "`x` is no value for `uid`"),
            ("a,mode=999", "`999` is no value"),
            ("a,size=3", "`size` is unknown"),
            ("a,uid", "expected `uid=VALUE`"),
        ] {
            let error = mount_name(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
