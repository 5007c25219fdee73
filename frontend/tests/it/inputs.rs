//! Texts to begin with, and changes of them: the same numbers give the same texts.

use std::path::{Path, PathBuf};

/// Every Dockerfile of `testdata`.
pub(crate) fn seeds() -> Vec<String> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut paths = Vec::new();
    for folder in ["parser/ok", "parser/err"] {
        paths.extend(below(&data.join(folder)).map(|case| case.join("Dockerfile")));
    }
    paths.extend(below(&data.join("fuzz")));
    paths.sort();
    let read = |path: &PathBuf| {
        let bytes = std::fs::read(path).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    paths.iter().map(read).collect()
}

fn below(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap();
    entries.map(|entry| entry.unwrap().path())
}

/// Numbers that look random, by the splitmix64 algorithm.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap();
        usize::try_from(self.next() % end).unwrap()
    }

    fn word(&mut self) -> &'static str {
        WORDS[self.below(WORDS.len())]
    }

    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// What Dockerfiles are made of.
const WORDS: &[&str] = &[
    "FROM scratch\n",
    "FROM debian AS b\n",
    "FROM b\n",
    "RUN ",
    "COPY ",
    "ADD ",
    "ENV ",
    "ARG ",
    "LABEL ",
    "WORKDIR ",
    "USER ",
    "EXPOSE ",
    "VOLUME ",
    "CMD ",
    "ENTRYPOINT ",
    "SHELL ",
    "HEALTHCHECK ",
    "ONBUILD ",
    "STOPSIGNAL ",
    "MAINTAINER ",
    " AS ",
    "--from=b ",
    "--from=0 ",
    "--link ",
    "--parents ",
    "--chown=1:2 ",
    "--chmod=u+x ",
    "--exclude=*.o ",
    "--mount=",
    "type=cache,target=/c",
    "type=bind,from=b,target=/b",
    "type=secret,id=s,env=S",
    "type=ssh",
    "type=tmpfs,target=/t,size=1k",
    "--network=none ",
    "--security=insecure ",
    "--device=a/b=c ",
    "--checksum=sha256:0 ",
    "--unpack ",
    "--keep-git-dir ",
    "--platform=linux/arm64 ",
    "--platform=$BUILDPLATFORM ",
    "--interval=5s ",
    "--retries=3 ",
    "--start-interval=0 ",
    "-- ",
    "https://example.com/a.tar.gz ",
    "https://example.com/x.git#v1:sub ",
    "git@example.com:a/b ",
    "<<EOF",
    "<<-EOF",
    "<<\"EOF\"",
    "3<<EOF",
    "\nEOF\n",
    "\\\n",
    "`\n",
    "# escape=`\n",
    "# syntax=a\n",
    "# check=skip=all\n",
    "# c\n",
    "#!",
    "\u{feff}",
    "\r\n",
    "\n",
    "\n\n",
    "\t",
    " ",
    "$",
    "${",
    "}",
    "$A",
    "${A}",
    "${A:-",
    "${A:+",
    "${A:?",
    "${A#",
    "${A%%",
    "${A/",
    "${A//",
    "$$",
    "$1",
    "'",
    "\"",
    "\\",
    "`",
    "[",
    "]",
    "[\"a\", \"b\"]",
    "[1]",
    ",",
    "=",
    ":",
    "/",
    ".",
    "..",
    "/./",
    "*",
    "?",
    "**",
    "[a-z]",
    "!",
    "ä",
    "🦀",
    "\u{a0}",
    "\u{3000}",
    "\0",
    "%s",
    "80/tcp",
    "70000-3",
    "9KILL",
    "SOURCE_DATE_EPOCH=1",
    "BUILDKIT_MULTI_PLATFORM=1",
    "TARGETARCH",
    "scratch",
];

/// The longest text that is made.
const MAX_LEN: usize = 6_000;

/// Changes a text in a few places, with parts of the others and of Dockerfiles in general.
pub(crate) fn mutate(seeds: &[String], rng: &mut Rng) -> String {
    let mut text = rng.pick(seeds).clone();
    // Few changes leave Dockerfiles that can be built, many do not.
    let n_changes = 1 + rng.below(3) * rng.below(4);
    for _ in 0..n_changes {
        let at = boundary(&text, rng);
        let end = boundary(&text, rng).clamp(at, text.len());
        match rng.below(9) {
            0..=2 => text.insert_str(at, rng.word()),
            3 => text.replace_range(at..end.min(floor(&text, at + 12)), rng.word()),
            4 => text.replace_range(at..end.min(floor(&text, at + 40)), ""),
            5 => {
                let part = text[at..end.min(floor(&text, at + 200))].to_owned();
                let to = boundary(&text, rng);
                text.insert_str(to, &part);
            }
            6 => {
                let other = rng.pick(seeds);
                let (from, to) = (boundary(other, rng), boundary(other, rng));
                text.insert_str(at, &other[from.min(to)..from.max(to)]);
            }
            7 => {
                let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
                if !lines.is_empty() {
                    let (from, to) = (rng.below(lines.len()), rng.below(lines.len()));
                    lines.swap(from, to);
                    text = lines.concat();
                }
            }
            _ => {
                let byte = u8::try_from(rng.below(128)).unwrap();
                text.insert(at, char::from(byte));
            }
        }
        text.truncate(floor(&text, MAX_LEN));
    }
    text
}

fn boundary(text: &str, rng: &mut Rng) -> usize {
    let at = rng.below(text.len() + 1);
    floor(text, at)
}

/// The last beginning of a character at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}
