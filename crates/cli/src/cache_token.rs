//! Tokens of cache servers: from the environment, from files, or from a program that knows them.

use crate::environment::Environment;
use acetate_engine::{
    BuildError, BuildRequest, CacheAddress, CachePlace, CredentialError, Redacted,
};
use anyhow::{Context, Result, anyhow, bail};
use std::collections::{BTreeMap, BTreeSet};

/// Names the token, and begins the names of those for one server.
const TOKEN: &str = "ACETATE_CACHE_TOKEN";

/// The token in a variable that a flag names; an empty one is none, which is what secrets are in
/// builds of strangers' changes.
pub(crate) fn of_variable(name: &str, env: &Environment) -> Result<Option<Redacted<String>>> {
    match env.get(name) {
        None => bail!("`token-env`: the variable `{name}` is not set"),
        Some(value) if value.trim().is_empty() => Ok(None),
        Some(value) => Ok(Some(checked(&value, &format!("the variable `{name}`"))?)),
    }
}

/// The token in a file.
pub(crate) fn of_file(path: &str) -> Result<Redacted<String>> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| anyhow!("`token-file`: `{path}` cannot be read: {error}"))?;
    checked(&text, &format!("the file `{path}`"))
}

/// A token is sent in a line of its own; what else it could hold would change that line.
fn checked(text: &str, place: &str) -> Result<Redacted<String>> {
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        bail!("{place} holds no token, expected one line of visible characters");
    }
    Ok(token.to_owned().into())
}

/// What a credential helper answers; the outer error is one of this program.
type Asked = Result<Result<Option<Redacted<String>>, CredentialError>>;

/// Finds the tokens of the servers that the flags name none for, and gives what the user should know
/// about it. `ask` asks a credential helper for the token of an address.
///
/// # Errors
/// When what is found cannot be a token, or the helper cannot be run at all.
pub(crate) fn fill(
    request: &mut BuildRequest,
    env: &Environment,
    ask: impl Fn(&str, &str) -> Asked,
) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    let mut servers = servers(request)?;
    let origins = servers.values().map(|server| &server.address.origin);
    let n_origins = origins.collect::<BTreeSet<_>>().len();
    servers.retain(|_, server| server.wants_token);
    let mut found = BTreeMap::new();
    for (url, server) in &servers {
        if let Some(token) = of_environment(&server.address, n_origins, env)? {
            found.insert(url.clone(), token);
        }
    }
    servers.retain(|url, _| !found.contains_key(url));
    if n_origins > 1 && env.cache_token.is_some() && !servers.is_empty() {
        warnings.push(format!(
            "{TOKEN} is not used: it is for one server, and the flags name {n_origins}; use \
             token-env=NAME, or {TOKEN}_HOST for each"
        ));
    }
    for (url, server) in &servers {
        let Some(helper) = &env.cache_helper else {
            break;
        };
        match of_helper(helper, server, ask(helper, url)?)? {
            Answer::Token(token) => drop(found.insert(url.clone(), token)),
            Answer::Unknown => {}
            Answer::Failed(warning) => warnings.push(warning),
        }
    }
    give(request, &found)?;
    Ok(warnings)
}

/// What a helper comes to.
enum Answer {
    Token(Redacted<String>),
    Unknown,
    Failed(String),
}

fn of_helper(
    helper: &str,
    server: &Server,
    asked: Result<Option<Redacted<String>>, CredentialError>,
) -> Result<Answer> {
    let url = &server.address.url;
    match asked {
        Ok(Some(token)) => {
            let place = format!("the answer of the credential helper `{helper}`");
            Ok(Answer::Token(checked(token.expose(), &place)?))
        }
        Ok(None) => Ok(Answer::Unknown),
        Err(CredentialError::Cancelled) => Err(BuildError::Cancelled.into()),
        Err(error) if error.is_configuration() => Err(error).context("ACETATE_CACHE_HELPER"),
        Err(error) if server.is_needed => {
            Err(error).with_context(|| format!("failed to get a token for the cache {url}"))
        }
        Err(error) => Ok(Answer::Failed(format!(
            "no token for the cache {url}: {error}"
        ))),
    }
}

/// A server that is used.
struct Server {
    address: CacheAddress,
    /// A flag names no token for it.
    wants_token: bool,
    /// A build without it is to fail.
    is_needed: bool,
}

fn servers(request: &BuildRequest) -> Result<BTreeMap<String, Server>> {
    let from = request
        .cache_from
        .iter()
        .map(|import| (&import.place, false));
    let to = request
        .cache_to
        .iter()
        .map(|export| (&export.place, !export.ignore_error));
    let mut servers = BTreeMap::new();
    for (place, is_needed) in from.chain(to) {
        let (CachePlace::Http { token, .. }, Some(address)) = (place, place.address()?) else {
            continue;
        };
        let server = servers.entry(address.url.clone()).or_insert(Server {
            address,
            wants_token: false,
            is_needed: false,
        });
        server.wants_token |= token.is_none();
        server.is_needed |= is_needed;
    }
    Ok(servers)
}

/// The token of one server goes before the one of all; that one is taken only where it cannot reach
/// a server that it is not meant for.
fn of_environment(
    address: &CacheAddress,
    n_origins: usize,
    env: &Environment,
) -> Result<Option<Redacted<String>>> {
    let with_port = address.port.map(|port| format!("{}_{port}", address.host));
    let hosts = with_port.into_iter().chain([address.host.clone()]);
    for name in hosts.map(|host| variable_of(&host)) {
        match env.get(&name) {
            Some(value) if !value.trim().is_empty() => return of_variable(&name, env),
            _ => {}
        }
    }
    match &env.cache_token {
        Some(token) if n_origins == 1 => {
            checked(token, &format!("the variable `{TOKEN}`")).map(Some)
        }
        _ => Ok(None),
    }
}

fn variable_of(host: &str) -> String {
    let host = host.trim_matches(['[', ']']).to_ascii_uppercase();
    let host = host.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    format!("{TOKEN}_{host}")
}

fn give(request: &mut BuildRequest, found: &BTreeMap<String, Redacted<String>>) -> Result<()> {
    let from = request
        .cache_from
        .iter_mut()
        .map(|import| &mut import.place);
    let to = request.cache_to.iter_mut().map(|export| &mut export.place);
    for place in from.chain(to) {
        let address = place.address()?;
        if let (
            CachePlace::Http {
                token: token @ None,
                ..
            },
            Some(address),
        ) = (place, address)
        {
            *token = found.get(&address.url).cloned();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache_flag;
    use acetate_engine::ContextInput;
    use std::cell::RefCell;
    use std::time::Duration;

    /// What a test's helper does.
    #[derive(Clone, Copy)]
    enum Helper {
        Gives(&'static str),
        KnowsNothing,
        Hangs,
        IsMissing,
        IsCancelled,
    }

    impl Helper {
        fn answer(self, url: &str) -> Result<Option<Redacted<String>>, CredentialError> {
            let program = "acetate-credential-h".to_owned();
            match self {
                Self::Gives(secret) => Ok(Some(secret.replace("URL", url).into())),
                Self::KnowsNothing => Ok(None),
                Self::Hangs => Err(CredentialError::Late {
                    program,
                    limit: Duration::from_secs(10),
                }),
                Self::IsMissing => Err(CredentialError::NoProgram(program)),
                Self::IsCancelled => Err(CredentialError::Cancelled),
            }
        }
    }

    /// The tokens of all caches in order, the warnings, and what the helper was asked.
    type Filled = (Vec<Option<String>>, Vec<String>, Vec<String>);

    fn filled(
        from: &[&str],
        to: &[&str],
        pairs: &[(&str, &str)],
        helper: Helper,
    ) -> Result<Filled, String> {
        let env = Environment::of(pairs);
        let own = |texts: &[&str]| -> Vec<String> {
            texts.iter().map(|text| (*text).to_owned()).collect()
        };
        let (cache_from, cache_to) = cache_flag::parse_all(&own(from), &own(to), &env).unwrap();
        let mut request = BuildRequest {
            cache_from,
            cache_to,
            ..BuildRequest::new(ContextInput::Stdin)
        };
        let asked = RefCell::new(Vec::new());
        let warnings = fill(&mut request, &env, |name, url| {
            asked.borrow_mut().push(format!("{name} {url}"));
            Ok(helper.answer(url))
        });
        let warnings = warnings.map_err(|error| format!("{error:#}"))?;
        let places = request.cache_from.iter().map(|import| &import.place);
        let places = places.chain(request.cache_to.iter().map(|export| &export.place));
        let tokens = places.map(|place| match place {
            CachePlace::Http { token, .. } => token.as_ref().map(|token| token.expose().clone()),
            _ => None,
        });
        Ok((tokens.collect(), warnings, asked.into_inner()))
    }

    const ONE: (&str, &str) = ("ACETATE_CACHE_TOKEN", "one");
    const HELPER: (&str, &str) = ("ACETATE_CACHE_HELPER", "h");

    #[test]
    fn the_environment_gives_tokens_to_the_servers_that_it_means() {
        let of = |from: &[&str], to: &[&str], pairs: &[(&str, &str)]| {
            let (tokens, warnings, asked) = filled(from, to, pairs, Helper::Hangs).unwrap();
            assert!(asked.is_empty());
            let tokens: Vec<String> = tokens.into_iter().map(Option::unwrap_or_default).collect();
            (tokens.join(" "), warnings.len())
        };
        let own = |tokens: &str, n_warnings| (tokens.to_owned(), n_warnings);
        // Two namespaces of one server, and things that are no servers.
        let same = &["https://h/a", "user/app"][..];
        assert_eq!(
            of(same, &["https://h:443/b", "type=inline"], &[ONE]),
            own("one  one ", 0)
        );
        // It could reach a server that it is not for.
        let two = &["https://h/a", "https://g/a"][..];
        assert_eq!(of(two, &[], &[ONE]), own(" ", 1));
        assert_eq!(
            of(&["https://h/a", "https://h:444/a"], &[], &[ONE]),
            own(" ", 1)
        );
        assert_eq!(
            of(&["http://localhost:1", "http://localhost:2"], &[], &[]),
            own(" ", 0)
        );
        let each = [
            ("ACETATE_CACHE_TOKEN_H", "for-h"),
            ("ACETATE_CACHE_TOKEN_G", "for-g"),
        ];
        assert_eq!(of(two, &[], &each), own("for-h for-g", 0));
        assert_eq!(of(two, &[], &[ONE, each[0]]), own("for-h ", 1));
        assert_eq!(of(&["https://h"], &[], &[ONE, each[0]]), own("for-h", 0));
        let ports = [
            ("ACETATE_CACHE_TOKEN_MY_CACHE_EXAMPLE_8443", "a"),
            ("ACETATE_CACHE_TOKEN_MY_CACHE_EXAMPLE", "b"),
            ("ACETATE_CACHE_TOKEN___1", "c"),
        ];
        let hosts = [
            "https://my-cache.example:8443",
            "https://my-cache.example:1",
            "http://[::1]:5",
        ];
        assert_eq!(of(&hosts, &[], &ports), own("a b c", 0));
        // A flag goes before all; what is empty is not set.
        let named = ["https://h,token-env=T", "https://h/b"];
        assert_eq!(of(&named, &[], &[ONE, ("T", "t")]), own("t one", 0));
        assert_eq!(
            of(&["https://h,token-env=T"], &[], &[ONE, ("T", "")]),
            own("one", 0)
        );
        let empty = ("ACETATE_CACHE_TOKEN_H", "");
        assert_eq!(of(&["https://h"], &[], &[ONE, empty]), own("one", 0));
    }

    #[test]
    fn a_helper_is_asked_once_for_each_address_without_a_token() {
        let pairs = [HELPER, ("T", "t"), ("ACETATE_CACHE_TOKEN_G", "g")];
        let from = ["https://h/a/", "https://h/b,token-env=T", "https://g/a"];
        let to = ["https://h/a", "type=inline"];
        let (tokens, warnings, asked) =
            filled(&from, &to, &pairs, Helper::Gives("for:URL\n")).unwrap();
        let tokens: Vec<_> = tokens.iter().map(Option::as_deref).collect();
        let own = Some("for:https://h/a");
        assert_eq!(tokens, [own, Some("t"), Some("g"), own, None]);
        assert_eq!(
            (warnings, asked),
            (vec![], vec!["h https://h/a".to_owned()])
        );
        let unknown = filled(&from[..1], &[], &pairs, Helper::KnowsNothing).unwrap();
        assert_eq!((unknown.0, unknown.1), (vec![None], vec![]));
    }

    #[test]
    fn a_helper_that_fails_is_a_warning_unless_the_build_needs_the_cache() {
        let needed = "https://h/a,ignore-error=false";
        let late = "run `acetate-credential-h`: no answer within 10 s";
        for (from, to) in [("https://h/a", "type=inline"), ("user/app", "https://h/a")] {
            let (tokens, warnings, _) = filled(&[from], &[to], &[HELPER], Helper::Hangs).unwrap();
            assert_eq!(tokens, [None, None]);
            assert_eq!(
                warnings,
                [format!("no token for the cache https://h/a: {late}")]
            );
        }
        let error = filled(&["https://h/a"], &[needed], &[HELPER], Helper::Hangs).unwrap_err();
        assert_eq!(
            error,
            format!("failed to get a token for the cache https://h/a: {late}")
        );
    }

    #[test]
    fn what_can_never_be_a_token_fails_at_once() {
        for (pairs, helper, words) in [
            (
                &[HELPER][..],
                Helper::IsMissing,
                "ACETATE_CACHE_HELPER: run `acetate-credential-h`: it is not in PATH",
            ),
            (
                &[HELPER],
                Helper::Gives("a\r\nX-Evil: 1"),
                "the answer of the credential helper `h` holds no token",
            ),
            (&[HELPER], Helper::IsCancelled, "cancelled"),
            (
                &[("ACETATE_CACHE_TOKEN", "two words")],
                Helper::KnowsNothing,
                "the variable `ACETATE_CACHE_TOKEN` holds no token, expected one line",
            ),
            (
                &[("ACETATE_CACHE_TOKEN_H", "two words")],
                Helper::KnowsNothing,
                "the variable `ACETATE_CACHE_TOKEN_H` holds no token",
            ),
        ] {
            let error = filled(&["https://h"], &[], pairs, helper).unwrap_err();
            assert!(error.contains(words), "{error}");
            assert!(
                !error.contains("Evil") && !error.contains("two words"),
                "{error}"
            );
        }
    }
}
