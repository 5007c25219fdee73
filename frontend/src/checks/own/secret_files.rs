//! Files whose names tell that they hold secrets.

use super::Copied;
use crate::ast::Instruction;
use crate::diagnostic::Diagnostic;

pub(super) fn check(stage: &[Instruction], found: &mut Vec<Diagnostic>) {
    for copied in stage.iter().filter_map(Copied::of) {
        for source in copied.sources {
            if !is_secret(source.as_str()) {
                continue;
            }
            let message = format!(
                "`{}` looks like a secret, and everybody who gets the image can read it: use `RUN --mount=type=secret` where it is needed",
                source.value
            );
            found.push(Diagnostic::warning("SecretCopied", message).at(source.span));
        }
    }
}

fn is_secret(path: &str) -> bool {
    const NAMES: [&str; 15] = [
        ".env",
        ".git-credentials",
        ".htpasswd",
        ".netrc",
        ".npmrc",
        ".pgpass",
        ".pypirc",
        ".ssh",
        ".vault-token",
        "id_dsa",
        "id_ecdsa",
        "id_ed25519",
        "id_rsa",
        "kubeconfig",
        "service-account.json",
    ];
    const TAILS: [&str; 5] = [
        ".aws/config",
        ".aws/credentials",
        ".docker/config.json",
        ".kube/config",
        ".config/gcloud",
    ];
    const ENDINGS: [&str; 7] = ["pem", "key", "p12", "pfx", "jks", "kdbx", "keystore"];
    let path = path.trim_end_matches('/').to_lowercase();
    let name = path.rsplit('/').next().unwrap_or(&path);
    if NAMES.contains(&name) {
        return true;
    }
    if TAILS.iter().any(|tail| path.ends_with(tail)) {
        return true;
    }
    if let Some(kind) = name.strip_prefix(".env.") {
        return !matches!(kind, "dist" | "example" | "sample" | "template");
    }
    let Some((stem, ending)) = name.rsplit_once('.') else {
        return false;
    };
    // Certificates are there to be shown.
    let is_public = ["ca", "cert", "chain", "pub"]
        .iter()
        .any(|word| stem.contains(word));
    ENDINGS.contains(&ending) && !is_public
}
