//! `acetate image save` and `acetate image load`.

use super::{Site, options, platform, print, reference};
use crate::failure::Failure;
use crate::flags::{ImageLoadFlags, ImageSaveFlags};
use crate::progress::Mode;
use acetate_engine::{Destination, SaveFormat, SaveRequest};
use anyhow::{Result, anyhow, bail};
use std::io::IsTerminal;
use std::path::Path;

/// Writes images to one file or directory.
pub(super) fn save(site: Site<'_>, flags: &ImageSaveFlags) -> Result<(), Failure> {
    let request = SaveRequest {
        images: flags.images.clone(),
        format: format(flags)?,
        options: flags.compression.as_deref().map(options).transpose()?,
        platform: flags.platform.as_deref().map(platform).transpose()?,
    };
    let mode = site.mode(&flags.shown, flags.quiet, Mode::Quiet)?;
    site.watch((mode, "Saving"), async |engine, sink| {
        engine.save_images(&request, sink).await
    })
}

fn format(flags: &ImageSaveFlags) -> Result<SaveFormat> {
    let is_stdout = flags.output == Path::new("-");
    let destination = if is_stdout {
        Destination::Stdout
    } else {
        Destination::Path(flags.output.clone())
    };
    let format = match flags.format.as_str() {
        "docker" => SaveFormat::Docker(destination),
        "oci" => SaveFormat::Oci(destination),
        "dir" if is_stdout => bail!("--format=dir needs -o DIRECTORY"),
        "dir" => return Ok(SaveFormat::Directory(flags.output.clone())),
        other => bail!("--format {other}: expected docker, oci or dir"),
    };
    if is_stdout && std::io::stdout().is_terminal() {
        bail!("refusing to write an archive to the terminal; use -o FILE or redirect the output");
    }
    Ok(format)
}

/// Keeps what is in an archive.
pub(super) fn load(site: Site<'_>, flags: &ImageLoadFlags) -> Result<(), Failure> {
    if flags.input == Path::new("-") && std::io::stdin().is_terminal() {
        return Err(anyhow!("nothing to load: use -i FILE or redirect the input").into());
    }
    let name = flags.tag.as_deref().map(reference).transpose()?;
    let mode = site.mode(&flags.shown, flags.quiet, Mode::Quiet)?;
    let loaded = site.watch((mode, "Loading"), async |engine, sink| {
        let loading = engine.load_images(&flags.input, name.as_ref(), sink);
        loading.await
    })?;
    if !flags.quiet {
        for image in loaded {
            print::out(&format!("Loaded image: {}\n", image.name.familiar()))?;
        }
    }
    Ok(())
}
