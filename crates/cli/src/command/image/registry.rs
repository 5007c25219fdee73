//! `acetate image pull`, `push`, `cp` and `mirror`.

use super::{Site, options, platform, print, reference};
use crate::failure::Failure;
use crate::flags::{ImageCpFlags, ImageMirrorFlags, ImagePullFlags, ImagePushFlags};
use crate::progress::Mode;
use crate::size::human;
use acetate_engine::{CopyReport, End, Mirrored, PullRequest, WantedPlatforms};
use acetate_oci::{Platform, Reference};

/// Fetches images, one after the other.
pub(super) fn pull(site: Site<'_>, flags: &ImagePullFlags) -> Result<(), Failure> {
    let platforms = match &flags.platform {
        _ if flags.all_platforms => WantedPlatforms::All,
        Some(text) => WantedPlatforms::One(platform(text)?),
        None => match &site.env.default_platform {
            Some(text) => WantedPlatforms::One(platform(text)?),
            None => WantedPlatforms::One(Platform::host()),
        },
    };
    let mode = site.mode(&flags.shown, flags.quiet, Mode::Brief)?;
    for name in names(&flags.names)? {
        let request = PullRequest {
            name: name.clone(),
            platforms: platforms.clone(),
            insecure: flags.insecure,
        };
        let report = site.watch((mode, "Pulling"), async |engine, sink| {
            engine.pull_image(&request, sink).await
        })?;
        if flags.quiet {
            print::out(&format!("{}\n", report.digest))?;
            continue;
        }
        let platforms: Vec<String> = report.platforms.iter().map(ToString::to_string).collect();
        print::out(&format!(
            "{}: {} layers for {}\nDigest: {}\n",
            name.familiar(),
            report.n_layers,
            platforms.join(", "),
            report.digest
        ))?;
    }
    Ok(())
}

/// Gives images to their registries, one after the other.
pub(super) fn push(site: Site<'_>, flags: &ImagePushFlags) -> Result<(), Failure> {
    let options = options(&flags.compression)?;
    let mode = site.mode(&flags.shown, flags.quiet, Mode::Brief)?;
    for name in names(&flags.names)? {
        let report = site.watch((mode, "Pushing"), async |engine, sink| {
            let pushing = engine.push_image(&name, &options, flags.insecure, sink);
            pushing.await
        })?;
        if flags.quiet {
            print::out(&format!("{}\n", report.digest))?;
            continue;
        }
        print::out(&format!(
            "{}: {} of {} blobs sent, {}\nDigest: {}\n",
            name.familiar(),
            report.n_sent,
            report.n_blobs,
            human(report.n_bytes),
            report.digest
        ))?;
    }
    Ok(())
}

/// Copies one image.
pub(super) fn cp(site: Site<'_>, flags: &ImageCpFlags) -> Result<(), Failure> {
    let (source, target): (End, End) = (flags.source.parse()?, flags.target.parse()?);
    let mode = site.mode(&flags.shown, flags.quiet, Mode::Brief)?;
    let report = site.watch((mode, "Copying"), async |engine, sink| {
        let copying = engine.copy_image(&source, &target, flags.insecure, sink);
        copying.await
    })?;
    if flags.quiet {
        return Ok(print::out(&format!("{}\n", report.digest))?);
    }
    let told = match &target {
        End::Registry(_) => sent(&report),
        _ => format!("{} blobs", report.n_blobs),
    };
    Ok(print::out(&format!(
        "{}: {told}\nDigest: {}\n",
        flags.target, report.digest
    ))?)
}

fn sent(report: &CopyReport) -> String {
    format!(
        "{} of {} blobs sent, {} mounted",
        report.n_sent, report.n_blobs, report.n_mounted
    )
}

/// Copies images to a registry, one after the other; a line for each.
pub(super) fn mirror(site: Site<'_>, flags: &ImageMirrorFlags) -> Result<(), Failure> {
    let Some((target, sources)) = flags.places.split_last() else {
        return Ok(());
    };
    let mode = site.mode(&flags.shown, flags.quiet, Mode::Brief)?;
    for source in names(sources)? {
        let report = site.watch((mode, "Copying"), async |engine, sink| {
            let copying = engine.mirror_image(&source, target, flags.insecure, sink);
            copying.await
        })?;
        if flags.quiet {
            print::out(&format!("{}\n", report.target))?;
            continue;
        }
        let told = match &report.outcome {
            Mirrored::Present => "is there".to_owned(),
            Mirrored::Copied(copied) => {
                format!("{}, {} referrers", sent(copied), copied.n_referrers)
            }
        };
        print::out(&format!("{}: {told}\n", report.target))?;
    }
    Ok(())
}

/// All names are read before anything is done.
fn names(texts: &[String]) -> Result<Vec<Reference>, Failure> {
    let parsed = texts.iter().map(|text| reference(text));
    Ok(parsed.collect::<anyhow::Result<_>>()?)
}
