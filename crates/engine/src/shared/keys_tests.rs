use super::*;
use crate::{CacheExport, CacheImport, ContextInput};
use std::path::PathBuf;

const SEED: &str = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
const PUBLIC: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

fn place(url: &str) -> CachePlace {
    CachePlace::Http {
        url: url.to_owned(),
        token: None,
    }
}

fn request(imports: &[(&str, Trust)], exports: &[(&str, Option<SigningKey>)]) -> BuildRequest {
    let mut request = BuildRequest::new(ContextInput::Directory(".".into()));
    let imports = imports.iter().map(|(url, trust)| CacheImport {
        place: place(url),
        trust: trust.clone(),
        lease: None,
    });
    let exports = exports.iter().map(|(url, sign)| CacheExport {
        sign: sign.clone(),
        ..CacheExport::new(place(url))
    });
    request.cache_from = imports.collect();
    request.cache_to = exports.collect();
    request
}

fn value() -> SigningKey {
    SigningKey::Value(SEED.to_owned().into())
}

fn required() -> Trust {
    Trust::Require(PathBuf::from("list"))
}

#[test]
fn a_place_that_two_flags_name_has_the_keys_of_both() {
    let request = request(
        &[("https://a", required()), ("https://b", Trust::Anyone)],
        &[("https://a", Some(value())), ("https://c", Some(value()))],
    );
    let import = |n: usize| {
        let spec = &request.cache_from[n];
        Keys::import(&request, &spec.place, &spec.trust)
    };
    let export = |n: usize| {
        let spec = &request.cache_to[n];
        Keys::export(&request, &spec.place, spec.sign.as_ref())
    };
    assert_eq!(import(0), export(0));
    assert_eq!(
        (&import(0).trust, &import(0).signer),
        (&required(), &Some(value()))
    );
    assert_eq!(import(1).signer, None);
    assert_eq!(
        (&export(1).trust, &export(1).signer),
        (&Trust::Anyone, &Some(value()))
    );
}

#[test]
fn nobody_signs_what_is_built_on_unsigned_results() {
    let list = PathBuf::from("list");
    for (imports, signer, is_refused) in [
        (vec![], Some(value()), false),
        (vec![required()], Some(value()), false),
        (vec![required(), Trust::Anyone], Some(value()), true),
        (vec![Trust::Prefer(list)], Some(value()), true),
        (vec![Trust::Anyone], None, false),
    ] {
        let imports: Vec<_> = imports
            .into_iter()
            .map(|trust| ("https://a", trust))
            .collect();
        let checked = check(&request(&imports, &[("https://a", signer)]));
        assert_eq!(checked.is_err(), is_refused, "{imports:?}");
    }
}

#[test]
fn keys_are_refused_where_records_have_no_signatures() {
    let layout = CachePlace::Layout {
        dir: PathBuf::from("d"),
        tag: "latest".to_owned(),
        digest: None,
        reset: false,
    };
    let registry = CachePlace::Registry {
        reference: "r.example/c".to_owned(),
        insecure: false,
    };
    for place in [layout, registry, CachePlace::Inline] {
        for trust in [required(), Trust::Prefer(PathBuf::from("list"))] {
            let mut trusting = request(&[("https://a", trust)], &[]);
            assert!(check(&trusting).is_ok());
            trusting.cache_from[0].place = place.clone();
            let error = format!("{:?}", check(&trusting).unwrap_err());
            assert!(error.contains("`trust` has no effect"), "{error}");
        }
        let mut signing = request(&[], &[("https://a", Some(value()))]);
        signing.cache_to[0].place = place.clone();
        let error = format!("{:?}", check(&signing).unwrap_err());
        assert!(error.contains("`sign` has no effect"), "{error}");
        // Without keys they are as good as before.
        signing.cache_to[0].sign = None;
        assert!(check(&signing).is_ok());
    }
}

#[test]
fn keys_are_read_and_what_is_none_is_refused_with_a_hint() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("list");
    std::fs::write(&list, format!("{PUBLIC} main\n{PUBLIC}")).unwrap();
    let keys = |trust, signer| Keys {
        place: String::new(),
        trust,
        signer,
        reading: None,
        writing: None,
    };
    let error = keys(Trust::Require(list.clone()), None)
        .trust()
        .unwrap_err();
    let text = format!("{error:?}");
    assert!(
        text.contains("list`, line 2: is the same key as line 1"),
        "{text}"
    );
    assert!(text.contains("remove one of the two lines"), "{text}");
    std::fs::write(&list, format!("{PUBLIC} main")).unwrap();
    let trust = keys(Trust::Require(list), None).trust().unwrap();
    assert_eq!(trust.policy, sign::Policy::Require);
    let signer = keys(Trust::Anyone, Some(value()))
        .signer()
        .unwrap()
        .unwrap();
    assert_eq!(trust.keys.keys()[0].key, signer.public());
    let wrong = Some(SigningKey::Value("secret".to_owned().into()));
    let error = format!("{:?}", keys(Trust::Anyone, wrong).signer().unwrap_err());
    assert!(
        error.contains("`sign`") && !error.contains("secret"),
        "{error}"
    );
}
