//! From flags to a build request.

use crate::environment::Environment;
use crate::flags::BuildFlags;
use crate::output_flag::OutputFlags;
use crate::{
    allow_flag, attest_flag, cache_flag, call_flag, context_flag, output_flag, resource_flag,
    secret_flag, size, ssh_flag, ulimit_flag,
};
use acetate_engine::{BuildRequest, Entitlement, HostModes, Isolation, NetworkMode};
use acetate_oci::Platform;
use anyhow::{Context, Result, anyhow, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

/// Reads everything that the flags say; nothing of the build is touched yet.
pub(crate) fn from_flags(flags: &BuildFlags, env: &Environment) -> Result<BuildRequest> {
    let context = context_flag::context(&flags.context)?;
    let network = network(&flags.network)?;
    let outputs = output_flag::parse_all(&OutputFlags {
        outputs: &flags.output,
        push: flags.push,
        annotations: &flags.annotation,
    })?;
    let attest = attest_flag::parse_all(flags)?;
    let (cache_from, cache_to) = cache_flag::parse_all(&flags.cache_from, &flags.cache_to, env)?;
    Ok(BuildRequest {
        dockerfile: context_flag::dockerfile(flags.file.as_deref(), &context)?,
        target: flags.target.clone(),
        platforms: platforms(&flags.platform, env)?,
        build_args: build_args(&flags.build_arg, env),
        labels: flags.label.iter().map(|label| pair(label)).collect(),
        build_contexts: contexts(&flags.build_context)?,
        no_cache: flags.no_cache,
        no_cache_filter: flags.no_cache_filter.clone(),
        network,
        extra_hosts: flags
            .add_host
            .iter()
            .map(|host| extra_host(host))
            .collect::<Result<_>>()?,
        tags: flags.tag.clone(),
        outputs: outputs.specs,
        epoch: outputs.epoch.or_else(|| env.source_date_epoch.clone()),
        secrets: secret_flag::parse_all(&flags.secret, env)?,
        ssh: ssh_flag::parse_all(&flags.ssh, env)?,
        allow: allow(&flags.allow, network)?,
        ulimits: ulimit_flag::parse_all(&flags.ulimit)?,
        shm_size: flags.shm_size.as_deref().map(shm_size).transpose()?,
        resources: resource_flag::parse(&flags.limits)?,
        checks: call_flag::checks(&flags.checks)?,
        cache_from,
        cache_to,
        metadata_provenance: attest_flag::metadata(flags, &attest, env)?,
        attest,
        pull: flags.pull,
        context_modes: context_modes(&flags.context_modes)?,
        explain: flags.explain,
        isolation: isolation(&flags.isolation)?,
        max_parallel: flags.max_parallel.map(std::num::NonZero::get),
        ..BuildRequest::new(context)
    })
}

/// Who asks for the host's network for all steps has allowed it, as with other builders.
fn allow(given: &[String], network: NetworkMode) -> Result<BTreeSet<Entitlement>> {
    let mut found = given
        .iter()
        .map(|text| allow_flag::parse(text))
        .collect::<Result<BTreeSet<_>>>()?;
    if network == NetworkMode::Host {
        found.insert(Entitlement::NetworkHost);
    }
    Ok(found)
}

fn shm_size(text: &str) -> Result<u64> {
    match size::bytes(text) {
        Some(0) | None => bail!("--shm-size {text}: expected a size such as 128m or 1g"),
        Some(bytes) => Ok(bytes),
    }
}

fn context_modes(text: &str) -> Result<HostModes> {
    match text {
        "exact" => Ok(HostModes::Exact),
        "git" => Ok(HostModes::Git),
        _ => bail!("--context-modes {text}: expected exact or git"),
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
        // The last three are docker's, of which two mean containers of another system.
        "native" | "" | "default" | "process" | "hyperv" => Ok(Isolation::Native),
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
        // Steps that have a network have that of this machine.
        return Ok((name.to_owned(), Ipv4Addr::LOCALHOST.into()));
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
            ("a:host-gateway", "a", "127.0.0.1"),
            ("a=host-gateway", "a", "127.0.0.1"),
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

    #[test]
    fn the_size_of_shared_memory_is_in_units() {
        for (text, bytes) in [("128m", 128 << 20), ("1GiB", 1 << 30), ("4096", 4096)] {
            assert_eq!(shm_size(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "0", "big", "-1", "1 x"] {
            let error = shm_size(text).unwrap_err().to_string();
            let expected = format!("--shm-size {text}: expected a size such as 128m or 1g");
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn the_network_of_the_host_is_allowed_by_asking_for_it() {
        let own = |texts: &[&str]| -> Vec<String> {
            texts.iter().map(|text| (*text).to_owned()).collect()
        };
        let found = allow(
            &own(&["device", "security.insecure", "device"]),
            NetworkMode::None,
        );
        let expected = [Entitlement::SecurityInsecure, Entitlement::Device(None)];
        assert_eq!(found.unwrap(), BTreeSet::from(expected));
        let host = BTreeSet::from([Entitlement::NetworkHost]);
        assert_eq!(allow(&[], NetworkMode::Host).unwrap(), host);
        assert!(allow(&[], NetworkMode::Default).unwrap().is_empty());
        assert!(allow(&own(&["all"]), NetworkMode::Default).is_err());
    }

    #[test]
    fn isolation_takes_the_words_of_docker() {
        for text in ["native", "default", "process", "hyperv", ""] {
            assert_eq!(isolation(text).unwrap(), Isolation::Native, "{text}");
        }
        assert_eq!(isolation("oci").unwrap(), Isolation::Oci);
        assert!(isolation("chroot").is_err());
    }
}
