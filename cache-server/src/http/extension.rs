//! Level 2: what only this server has, below `/x/v1/{namespace}/`.

use super::guard::{allow, caller};
use super::{Failure, admin, lease, log};
use crate::App;
use crate::auth::Access;
use acetate_cache_api::{Kind, Namespace, Route};
use acetate_oci::Digest;
use axum::extract::Request;
use axum::http::Method;
use axum::response::Response;
use std::sync::Arc;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Call<'a> {
    BatchGet,
    Stats,
    Misses,
    Records,
    Gc,
    Verify,
    Lease(Digest, Option<&'a str>),
    Log(Digest),
}

pub(super) async fn level_2(
    app: &Arc<App>,
    rest: &str,
    request: Request,
) -> Result<Response, Failure> {
    let (namespace, call) = parse(rest)?;
    let route = |key| Route {
        namespace: namespace.clone(),
        kind: Kind::Action,
        key,
    };
    match call {
        Call::Lease(key, lease) => return lease::leases(app, route(key), lease, request).await,
        Call::Log(key) => return log::logs(app, &route(key), request).await,
        _ => {}
    }
    let uri = request.uri().clone();
    let is_read = *request.method() == Method::GET;
    let is_post = *request.method() == Method::POST;
    let access = match call {
        Call::Misses => Access::Write,
        Call::Gc | Call::Verify => Access::Admin,
        _ => Access::Read,
    };
    // All content is one collection, so hashing it is for those who may do everything.
    let place = match call {
        Call::Verify => Namespace::root(),
        _ => namespace.clone(),
    };
    allow(app, &caller(request.extensions()), &place, access)?;
    match call {
        Call::BatchGet if is_post => lease::batch_get(app, namespace, request).await,
        Call::Misses if is_post => admin::misses(app, &namespace, request).await,
        Call::Stats if is_read => admin::stats(app, namespace).await,
        Call::Records if is_read => admin::records(app, namespace, &uri).await,
        Call::Gc if is_post => admin::gc(app).await,
        Call::Verify if is_post || is_read => {
            if is_post {
                app.verify.start();
            }
            admin::verify(app, &uri).await
        }
        _ => Err(Failure::MethodNotAllowed),
    }
}

/// Takes a path apart: the namespace, and behind it what is asked for.
fn parse(rest: &str) -> Result<(Namespace, Call<'_>), Failure> {
    let segments: Vec<&str> = rest.split('/').collect();
    let (call, above) = match segments.as_slice() {
        // Words first, then keys: a namespace may be called `leases` as well.
        [above @ .., "ac:batchGet"] => (Call::BatchGet, above),
        [above @ .., "stats"] => (Call::Stats, above),
        [above @ .., "misses"] => (Call::Misses, above),
        [above @ .., "records"] => (Call::Records, above),
        [above @ .., "gc"] => (Call::Gc, above),
        [above @ .., "verify"] => (Call::Verify, above),
        [above @ .., "logs", key] => (Call::Log(digest(key)?), above),
        [above @ .., "leases", key] => (Call::Lease(digest(key)?, None), above),
        [above @ .., "leases", key, lease] => (Call::Lease(digest(key)?, Some(lease)), above),
        _ => return Err(Failure::NotFound),
    };
    let namespace = Namespace::from_segments(above.iter().copied());
    let namespace = namespace.map_err(|error| Failure::Bad(error.to_string()))?;
    Ok((namespace, call))
}

fn digest(key: &str) -> Result<Digest, Failure> {
    Digest::from_hex(key).map_err(|_| Failure::Bad(format!("`{key}` is no key")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_path_says_what_is_asked_for() {
        let (key, digest) = (Digest::of(b"k").hex(), Digest::of(b"k"));
        for (path, namespace, call) in [
            ("ac:batchGet", "", Call::BatchGet),
            ("org/stats", "org", Call::Stats),
            ("leases/stats/gc", "leases/stats", Call::Gc),
            (
                &format!("org/leases/{key}"),
                "org",
                Call::Lease(digest, None),
            ),
            (
                &format!("leases/{key}/x"),
                "",
                Call::Lease(digest, Some("x")),
            ),
            // A namespace may be called as anything is.
            (&format!("logs/logs/{key}"), "logs", Call::Log(digest)),
            (
                &format!("leases/leases/{key}"),
                "leases",
                Call::Lease(digest, None),
            ),
        ] {
            let found = parse(path).unwrap();
            assert_eq!(found, (namespace.parse().unwrap(), call), "{path}");
        }
        for path in ["", "org", "a/../stats", "//stats", "leases/x", "org/logs/"] {
            assert!(parse(path).is_err(), "{path}");
        }
    }
}
