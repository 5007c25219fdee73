//! The checks that only this builder has.

use super::{Row, check_with};

#[track_caller]
fn asked(check: &str, rows: &[Row]) {
    check_with(rows, |request| request.checks = vec![check.to_owned()]);
}

#[test]
fn sources_are_copied_behind_what_installs() {
    asked(
        "CopySourcesBeforeInstall",
        &[
            (
                "npm",
                "FROM node\nCOPY . .\nRUN npm ci\n",
                &[
                    "CopySourcesBeforeInstall: the whole context is copied in front of `npm ci`, which then runs again after every change of any file: copy `package.json` and `package-lock.json` alone, install, and copy the rest behind that (line 2)",
                ],
            ),
            (
                "pip",
                "FROM python\nADD ./ /app/\nRUN python3 -m pip install --no-cache-dir -r requirements.txt\n",
                &[
                    "CopySourcesBeforeInstall: the whole context is copied in front of `python3 -m pip install --no-cache-dir -r...`, which then runs again after every change of any file: copy `requirements.txt` alone, install, and copy the rest behind that (line 2)",
                ],
            ),
            (
                "apt",
                "FROM debian\nCOPY . /src\nWORKDIR /src\nRUN apt-get update && apt-get install -y make\n",
                &[
                    "CopySourcesBeforeInstall: the whole context is copied in front of `apt-get install -y make`, which then runs again after every change of any file: install in front of this instruction (line 2)",
                ],
            ),
            (
                "go",
                "FROM golang\nCOPY . .\nRUN <<EOF\nset -e\ngo mod download\ngo build ./...\nEOF\n",
                &[
                    "CopySourcesBeforeInstall: the whole context is copied in front of `go mod download`, which then runs again after every change of any file: copy `go.mod` and `go.sum` alone, install, and copy the rest behind that (line 2)",
                ],
            ),
            (
                "cargo in exec form",
                "FROM rust\nCOPY . .\nRUN [\"cargo\", \"fetch\"]\n",
                &[
                    "CopySourcesBeforeInstall: the whole context is copied in front of `cargo fetch`, which then runs again after every change of any file: copy `Cargo.toml` and `Cargo.lock` alone, install, and copy the rest behind that (line 2)",
                ],
            ),
            (
                "yarn alone",
                "FROM node\nCOPY . .\nRUN yarn\n",
                &[
                    "CopySourcesBeforeInstall: the whole context is copied in front of `yarn`, which then runs again after every change of any file: copy `package.json` and `yarn.lock` alone, install, and copy the rest behind that (line 2)",
                ],
            ),
            (
                "in the right order",
                "FROM node\nCOPY package.json package-lock.json ./\nRUN npm ci\nCOPY . .\nRUN npm run build\n",
                &[],
            ),
            (
                "what installs the sources themselves",
                "FROM python\nCOPY . .\nRUN pip install .\n",
                &[],
            ),
            (
                "another stage",
                "FROM node AS a\nCOPY . .\nFROM node\nRUN npm ci\n",
                &[],
            ),
            (
                "files of a stage",
                "FROM node\nCOPY --from=x . .\nRUN npm ci\n",
                &[],
            ),
            (
                "no installation",
                "FROM node\nCOPY . .\nRUN yarn build && cargo build\n",
                &[],
            ),
        ],
    );
}

#[test]
fn files_are_removed_where_they_were_added() {
    asked(
        "DeletedInLaterLayer",
        &[
            (
                "a copied archive",
                "FROM debian\nCOPY app.tar.gz /tmp/\nRUN tar xf /tmp/app.tar.gz && rm /tmp/app.tar.gz\n",
                &[
                    "DeletedInLaterLayer: `/tmp/app.tar.gz` stays in the layer of the COPY of line 2, although it is removed here: use `RUN --mount=type=bind` instead of copying it (line 3)",
                ],
            ),
            (
                "by a wildcard, from the working directory",
                "FROM debian\nWORKDIR /opt\nADD a.deb b.deb ./\nRUN dpkg -i *.deb; rm -f *.deb\n",
                &[
                    "DeletedInLaterLayer: `/opt/a.deb` stays in the layer of the ADD of line 3, although it is removed here: use `RUN --mount=type=bind` instead of copying it (line 4)",
                ],
            ),
            (
                "with its directory",
                "FROM debian\nCOPY . /src\nRUN cd / && rm -rf src\n",
                &[
                    "DeletedInLaterLayer: `/src` stays in the layer of the COPY of line 2, although it is removed here: use `RUN --mount=type=bind` instead of copying it (line 3)",
                ],
            ),
            (
                "a download",
                "FROM debian\nRUN curl -fsSLo /tmp/x.sh https://example.com/x.sh\nRUN sh /tmp/x.sh\nRUN rm /tmp/x.sh\n",
                &[
                    "DeletedInLaterLayer: `/tmp/x.sh` stays in the layer of the RUN of line 2, although it is removed here: remove it at the end of that RUN (line 4)",
                ],
            ),
            (
                "another download",
                "FROM debian\nRUN wget --output-document=/x https://example.com/x\nRUN rm -- /x\n",
                &[
                    "DeletedInLaterLayer: `/x` stays in the layer of the RUN of line 2, although it is removed here: remove it at the end of that RUN (line 3)",
                ],
            ),
            (
                "package lists",
                "FROM debian\nRUN apt-get update\nRUN apt-get install -y x\nRUN rm -rf /var/lib/apt/lists/*\n",
                &[
                    "DeletedInLaterLayer: `/var/lib/apt/lists/partial` stays in the layer of the RUN of line 2, although it is removed here: remove it at the end of that RUN (line 4)",
                ],
            ),
            (
                "in the same step",
                "FROM debian\nRUN curl -o /x https://example.com/x && rm /x\nRUN rm -f /x\n",
                &[],
            ),
            (
                "every step cleans up",
                "FROM debian\nRUN apt-get update && rm -rf /var/lib/apt/lists/*\nRUN apt-get update && rm -rf /var/lib/apt/lists/*\n",
                &[],
            ),
            ("something else", "FROM debian\nCOPY a /a\nRUN rm /b\n", &[]),
            (
                "what a step made below a copy",
                "FROM debian\nCOPY . /src\nRUN make && rm -rf /src/target\n",
                &[],
            ),
            (
                "a variable",
                "FROM debian\nARG D=/x\nCOPY a $D/a\nRUN rm $D/a\n",
                &[],
            ),
            (
                "another stage",
                "FROM debian AS a\nCOPY x /x\nFROM debian\nRUN rm -f /x\n",
                &[],
            ),
        ],
    );
}

#[test]
fn package_managers_leave_nothing() {
    asked(
        "PackageListsLeft",
        &[
            (
                "apt",
                "FROM debian\nRUN apt-get update && apt-get install -y make\n",
                &[
                    "PackageListsLeft: what `apt-get update` downloads to choose packages stays in the layer: end the RUN with `rm -rf /var/lib/apt/lists/*`, or mount caches at /var/lib/apt and /var/cache/apt (line 2)",
                ],
            ),
            (
                "apk",
                "FROM alpine\nRUN apk add git\n",
                &[
                    "PackageListsLeft: what `apk add` downloads to choose packages stays in the layer: write `apk add --no-cache`, or mount a cache at /var/cache/apk (line 2)",
                ],
            ),
            (
                "dnf",
                "FROM fedora\nRUN dnf -y install git\n",
                &[
                    "PackageListsLeft: what `dnf install` downloads to choose packages stays in the layer: end the RUN with `dnf clean all`, or mount a cache at /var/cache/dnf (line 2)",
                ],
            ),
            (
                "yum cleaned in another step",
                "FROM centos\nRUN yum install -y git\nRUN yum clean all\n",
                &[
                    "PackageListsLeft: what `yum install` downloads to choose packages stays in the layer: end the RUN with `dnf clean all`, or mount a cache at /var/cache/dnf (line 2)",
                ],
            ),
            (
                "zypper",
                "FROM suse\nRUN zypper --non-interactive in git\n",
                &[
                    "PackageListsLeft: what `zypper in` downloads to choose packages stays in the layer: end the RUN with `zypper clean --all`, or mount a cache at /var/cache/zypp (line 2)",
                ],
            ),
            (
                "apt, cleaned",
                "FROM debian\nRUN apt-get update && apt-get install -y make \\\n  && rm -rf /var/lib/apt/lists/*\n",
                &[],
            ),
            (
                "apt, with caches",
                "FROM debian\nRUN --mount=type=cache,target=/var/cache/apt --mount=type=cache,target=/var/lib/apt apt-get update\n",
                &[],
            ),
            (
                "apk without a cache",
                "FROM alpine\nRUN apk --no-cache add git && apk add --no-cache x\n",
                &[],
            ),
            (
                "dnf, cleaned",
                "FROM fedora\nRUN dnf install -y git && dnf clean all\n",
                &[],
            ),
            ("apk removes", "FROM alpine\nRUN apk del git\n", &[]),
            (
                "only words",
                "FROM debian\nRUN echo 'apt-get update'\n",
                &[],
            ),
        ],
    );
}

#[test]
fn secrets_are_not_copied() {
    let looks = |name: &str| {
        format!(
            "SecretCopied: `{name}` looks like a secret, and everybody who gets the image can read it: use `RUN --mount=type=secret` where it is needed (line 2)"
        )
    };
    let mut request = super::request();
    request.checks = vec!["SecretCopied".to_owned()];
    for path in [
        ".env",
        "config/.env.production",
        "id_rsa",
        "keys/id_ed25519",
        "server.pem",
        "tls.key",
        ".npmrc",
        ".aws/credentials",
        "./.docker/config.json",
        "store.p12",
        ".ssh/",
        ".git-credentials",
    ] {
        let text = format!("FROM scratch\nCOPY a {path} /x/\n");
        let found = super::shown(&super::linted(&text, &request));
        assert_eq!(found, [looks(path)], "{path}");
    }
    asked(
        "SecretCopied",
        &[
            (
                "examples",
                "FROM scratch\nCOPY .env.example .env.sample /x/\n",
                &[],
            ),
            (
                "certificates",
                "FROM scratch\nCOPY ca.pem cert.pem fullchain.pem id_rsa.pub /x/\n",
                &[],
            ),
            (
                "of a stage",
                "FROM scratch AS a\nCOPY f /\nFROM scratch\nCOPY --from=a /.npmrc /\n",
                &[],
            ),
            (
                "as a mount",
                "FROM node\nRUN --mount=type=secret,id=npmrc,target=/root/.npmrc npm ci\n",
                &[],
            ),
        ],
    );
}
