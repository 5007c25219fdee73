//! From flags to a build request.

use crate::environment::Environment;
use crate::flags::BuildFlags;
use crate::output_flag;
use acetate_engine::{BuildRequest, ContextInput, DockerfileInput, Isolation, NetworkMode};
use acetate_oci::Platform;
use anyhow::{Context, Result, anyhow, bail};
use std::collections::BTreeMap;
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;

/// Reads everything that the flags say; nothing of the build is touched yet.
pub(crate) fn from_flags(flags: &BuildFlags, env: &Environment) -> Result<BuildRequest> {
    if flags.context == Path::new("-") {
        bail!("a context from standard input is not supported yet; give a directory");
    }
    let text = flags.context.to_string_lossy();
    if text.contains("://") || text.starts_with("git@") {
        bail!("context `{text}` is not supported yet; give a directory");
    }
    Ok(BuildRequest {
        context: ContextInput::Directory(flags.context.clone()),
        dockerfile: dockerfile(flags.file.as_deref())?,
        target: flags.target.clone(),
        platforms: platforms(&flags.platform, env)?,
        build_args: build_args(&flags.build_arg, env),
        labels: flags.label.iter().map(|label| pair(label)).collect(),
        build_contexts: contexts(&flags.build_context)?,
        no_cache: flags.no_cache,
        no_cache_filter: flags.no_cache_filter.clone(),
        network: network(&flags.network)?,
        extra_hosts: flags
            .add_host
            .iter()
            .map(|host| extra_host(host))
            .collect::<Result<_>>()?,
        tags: flags.tag.clone(),
        outputs: flags
            .output
            .iter()
            .map(|text| output_flag::parse(text))
            .collect::<Result<_>>()?,
        epoch: env.source_date_epoch.clone(),
        isolation: isolation(&flags.isolation)?,
        ..BuildRequest::new(ContextInput::Directory(flags.context.clone()))
    })
}

fn dockerfile(path: Option<&Path>) -> Result<DockerfileInput> {
    match path {
        None => Ok(DockerfileInput::InContext),
        Some(path) if path == Path::new("-") => {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            read.context("failed to read the Dockerfile from standard input")?;
            Ok(DockerfileInput::Text(text))
        }
        Some(path) if path.to_string_lossy().contains("://") => {
            bail!("a Dockerfile by URL is not supported yet")
        }
        Some(path) => Ok(DockerfileInput::Path(path.to_owned())),
    }
}

fn platforms(given: &[String], env: &Environment) -> Result<Vec<Platform>> {
    let default = env.default_platform.iter().cloned();
    let texts: Vec<String> = if given.is_empty() {
        default.collect()
    } else {
        given.to_vec()
    };
    let mut out: Vec<Platform> = Vec::new();
    for text in texts {
        let platform = if text == "local" {
            Platform::host()
        } else {
            text.parse().context("--platform")?
        };
        if !out.contains(&platform) {
            out.push(platform);
        }
    }
    Ok(out)
}

/// A name alone takes its value from the environment, and is left out where it has none (S14).
fn build_args(given: &[String], env: &Environment) -> BTreeMap<String, String> {
    given
        .iter()
        .filter_map(|text| match text.split_once('=') {
            Some((name, value)) => Some((name.to_owned(), value.to_owned())),
            None => Some((text.clone(), env.get(text)?)),
        })
        .collect()
}

fn pair(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (name.to_owned(), value.to_owned())
}

fn contexts(given: &[String]) -> Result<BTreeMap<String, String>> {
    given
        .iter()
        .map(|text| match text.split_once('=') {
            Some((name, value)) if !name.is_empty() && !value.is_empty() => {
                Ok((name.to_owned(), value.to_owned()))
            }
            _ => Err(anyhow!("--build-context {text}: expected NAME=VALUE")),
        })
        .collect()
}

pub(crate) fn network(text: &str) -> Result<NetworkMode> {
    match text {
        "default" => Ok(NetworkMode::Default),
        "none" => Ok(NetworkMode::None),
        "host" => Ok(NetworkMode::Host),
        other => bail!("--network {other}: expected default, none or host"),
    }
}

pub(crate) fn isolation(text: &str) -> Result<Isolation> {
    match text {
        "native" | "default" => Ok(Isolation::Native),
        "oci" => Ok(Isolation::Oci),
        other => bail!("--isolation {other}: expected native or oci"),
    }
}

/// `host:ip`, `host=ip`, and IPv6 addresses with or without brackets.
fn extra_host(text: &str) -> Result<(String, IpAddr)> {
    let separator = text.find(['=', ':']).filter(|at| *at > 0);
    let at = separator.ok_or_else(|| anyhow!("--add-host {text}: expected HOST:IP"))?;
    let (name, address) = (&text[..at], &text[at + 1..]);
    if address == "host-gateway" {
        bail!("--add-host {text}: host-gateway is not supported yet");
    }
    let bare = address
        .strip_prefix('[')
        .and_then(|a| a.strip_suffix(']'))
        .unwrap_or(address);
    let address = bare
        .parse()
        .map_err(|_| anyhow!("--add-host {text}: `{address}` is no IP address"))?;
    Ok((name.to_owned(), address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_come_in_every_spelling() {
        for (text, name, address) in [
            ("a:1.2.3.4", "a", "1.2.3.4"),
            ("a=1.2.3.4", "a", "1.2.3.4"),
            ("a:::1", "a", "::1"),
            ("a=[::1]", "a", "::1"),
        ] {
            let (found, ip) = extra_host(text).unwrap();
            assert_eq!(
                (found.as_str(), ip),
                (name, address.parse().unwrap()),
                "{text}"
            );
        }
        for text in ["a", ":1.2.3.4", "a:b", "a:"] {
            assert!(extra_host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_build_argument_without_value_is_taken_from_the_environment_or_absent() {
        let env = Environment::of(&[("HOME_ARG", "x")]);
        let args = [
            "A=1".to_owned(),
            "HOME_ARG".to_owned(),
            "MISSING".to_owned(),
            "E=".to_owned(),
        ];
        let found = build_args(&args, &env);
        let expected = [("A", "1"), ("E", ""), ("HOME_ARG", "x")];
        let expected = expected.map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(found, BTreeMap::from(expected));
    }
}
