//! The texts of `/etc/hosts` and `/etc/resolv.conf` in a step.

use std::fmt::Write;
use std::net::IpAddr;

/// The host's resolver configuration.
pub(crate) const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Where systemd's resolver, whose own address is a loopback one, lists the real servers.
pub(crate) const RESOLVER_FILE: &str = "/run/systemd/resolve/resolv.conf";

/// Returns `/etc/hosts` for a step of this name.
pub(crate) fn hosts(hostname: &str, extra: &[(String, IpAddr)]) -> String {
    let mut text = format!(
        "127.0.0.1\tlocalhost {hostname}\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\n\
         ff00::0\tip6-mcastprefix\n\
         ff02::1\tip6-allnodes\n\
         ff02::2\tip6-allrouters\n"
    );
    for (name, address) in extra {
        // Writing to a string cannot fail.
        let _infallible = writeln!(text, "{address}\t{name}");
    }
    text
}

/// Returns the host's configuration without name servers on loopback addresses, which a new network
/// namespace cannot reach; if none is left, the servers that the resolver's own file names.
pub(crate) fn without_loopback(host: &str, resolver: Option<&str>) -> String {
    let kept: String = reachable(host).fold(String::new(), |text, line| text + line + "\n");
    if kept.lines().any(|line| name_server(line).is_some()) {
        return kept;
    }
    let servers = reachable(resolver.unwrap_or_default()).filter(|l| name_server(l).is_some());
    servers.fold(kept, |text, line| text + line + "\n")
}

fn reachable(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| name_server(line).is_none_or(|address| !is_loopback(address)))
}

fn name_server(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    (words.next() == Some("nameserver"))
        .then(|| words.next())
        .flatten()
}

fn is_loopback(address: &str) -> bool {
    let plain = address.split('%').next().unwrap_or(address);
    plain.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_name_the_step_and_the_extra_hosts() {
        let text = hosts("box", &[("db".into(), "10.0.0.2".parse().unwrap())]);
        assert!(text.starts_with("127.0.0.1\tlocalhost box\n::1\tlocalhost "));
        assert!(text.ends_with("\n10.0.0.2\tdb\n"));
    }

    #[test]
    fn loopback_servers_are_replaced() {
        let host = "# local\nnameserver 127.0.0.53\noptions edns0\nsearch lan\n";
        let resolver = "search other\nnameserver 9.9.9.9\nnameserver ::1\n";
        assert_eq!(
            without_loopback(host, Some(resolver)),
            "# local\noptions edns0\nsearch lan\nnameserver 9.9.9.9\n"
        );
        assert_eq!(
            without_loopback(host, None),
            "# local\noptions edns0\nsearch lan\n"
        );
    }

    #[test]
    fn reachable_servers_stay() {
        let host = "nameserver 127.0.0.1\nnameserver 1.1.1.1\nnameserver fe80::1%eth0\n";
        assert_eq!(
            without_loopback(host, Some("nameserver 8.8.8.8")),
            "nameserver 1.1.1.1\nnameserver fe80::1%eth0\n"
        );
    }
}
