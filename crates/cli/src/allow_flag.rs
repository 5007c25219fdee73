//! Reads `--allow`.

use acetate_engine::Entitlement;
use acetate_frontend::did_you_mean;
use anyhow::{Result, bail};

const NETWORK_HOST: &str = "network.host";
const SECURITY_INSECURE: &str = "security.insecure";
const DEVICE: &str = "device";

/// What others grant with it and nothing here asks for.
const UNFINISHED: &[&str] = &["buildx.local.delete", "fs", "fs.read", "fs.write", "ssh"];

/// Reads one.
pub(crate) fn parse(text: &str) -> Result<Entitlement> {
    match text.split_once('=') {
        None if text == NETWORK_HOST => Ok(Entitlement::NetworkHost),
        None if text == SECURITY_INSECURE => Ok(Entitlement::SecurityInsecure),
        None if text == DEVICE => Ok(Entitlement::Device(None)),
        Some((DEVICE, name)) => Ok(Entitlement::Device(Some(device(text, name)?))),
        Some((name @ (NETWORK_HOST | SECURITY_INSECURE), _)) => {
            bail!("--allow {text}: {name} takes no value")
        }
        _ => Err(unknown(text)),
    }
}

fn device<'a>(text: &str, name: &'a str) -> Result<String> {
    let name: &'a str = name.strip_prefix("name=").unwrap_or(name);
    if name.is_empty() {
        bail!("--allow {text}: the name is empty, expected device or device=NAME");
    }
    if name.contains(',') {
        bail!("--allow {text}: aliases of devices are not supported yet, expected device=NAME");
    }
    Ok(name.to_owned())
}

fn unknown(text: &str) -> anyhow::Error {
    let name = text.split_once('=').map_or(text, |(name, _)| name);
    let expected = "expected network.host, security.insecure or device[=NAME]";
    if UNFINISHED.contains(&name) {
        return anyhow::anyhow!("--allow {text}: {name} is not supported yet, {expected}");
    }
    if text.contains(',') {
        return anyhow::anyhow!(
            "--allow {text}: {expected}; give the flag once for each of several"
        );
    }
    match did_you_mean(name, [NETWORK_HOST, SECURITY_INSECURE, DEVICE]) {
        Some(meant) => {
            anyhow::anyhow!("--allow {text}: unknown entitlement `{name}` (did you mean {meant}?)")
        }
        None => anyhow::anyhow!("--allow {text}: unknown entitlement `{name}`, {expected}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entitlements_have_names() {
        let device = |name: &str| Entitlement::Device(Some(name.to_owned()));
        for (text, expected) in [
            ("network.host", Entitlement::NetworkHost),
            ("security.insecure", Entitlement::SecurityInsecure),
            ("device", Entitlement::Device(None)),
            ("device=vendor.com/class=0", device("vendor.com/class=0")),
            ("device=vendor.com/class", device("vendor.com/class")),
            ("device=name=a/b=*", device("a/b=*")),
        ] {
            assert_eq!(parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn unknown_ones_are_refused_and_guessed() {
        for (text, words) in [
            ("", "unknown entitlement ``, expected network.host"),
            (
                "network",
                "unknown entitlement `network`, expected network.host",
            ),
            ("network.hosts", "(did you mean network.host?)"),
            ("network-host", "(did you mean network.host?)"),
            ("Network.Host", "(did you mean network.host?)"),
            ("security.unsecure", "(did you mean security.insecure?)"),
            ("devices", "(did you mean device?)"),
            ("network.host=yes", "network.host takes no value"),
            ("security.insecure=", "security.insecure takes no value"),
            ("device=", "the name is empty"),
            (
                "device=a/b=c,alias=x",
                "aliases of devices are not supported yet",
            ),
            (
                "buildx.local.delete",
                "buildx.local.delete is not supported yet",
            ),
            ("fs.read=/x", "fs.read is not supported yet"),
            (
                "network.host,security.insecure",
                "give the flag once for each of several",
            ),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("--allow {text}: ")), "{error}");
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
