//! What the flags do not take, and what is said then.

use super::super::attributes::{ATTRIBUTES, KINDS, Kind, Side, shown};
use super::{DIGEST, Ground};

const UNREADABLE: &[(&str, &str)] = &[
    ("", "expected an address, or type=KIND with attributes"),
    ("s3://b/x", "a bucket is written type=s3,bucket=NAME"),
    ("local", "did you mean type=local?"),
    ("App", "`App` is no name of an image: "),
    ("url=https://h", "`type` is missing, expected an address"),
    ("type=", "unknown type ``, expected http, local"),
    ("type=htttp", "unknown type `htttp` (did you mean http?)"),
    (
        "type=oci",
        "unknown type `oci`, expected http, local, inline,",
    ),
    (
        "type=gha,scope=x",
        "type=gha is not supported: the cache service of GitHub",
    ),
    (
        "type=inline",
        "goes with --cache-to only; it is read from the image",
    ),
    (
        "type=http",
        "`url` is missing, expected type=http,url=https://HOST/",
    ),
    (
        "type=local",
        "`src` is missing, expected type=local,src=DIRECTORY",
    ),
    (
        "type=registry",
        "`ref` is missing, expected type=registry,ref=IMAGE",
    ),
    (
        "type=s3",
        "`bucket` is missing, expected type=s3,bucket=NAME",
    ),
    (
        "type=azblob",
        "`container` is missing, expected type=azblob,container=",
    ),
    ("type=azblob,container=c", "`account_name` is missing"),
    (
        "https://h,type=http",
        "`type` has no place beside a bare address",
    ),
    ("https://h,", "unknown attribute ``"),
    ("https://h,mode", "`mode` goes with --cache-to only"),
    (
        "https://h,lease",
        "`lease` has no value, expected `lease=VALUE`",
    ),
    ("https://h,lease=", "`lease` is empty"),
    (
        "https://h,lease=0s",
        "`lease` is on, off or a duration such as 10m, not `0s`",
    ),
    (
        "https://h,leases=on",
        "unknown attribute `leases` (did you mean lease?), type=http has url, token-env, token-file, trust, lease",
    ),
    (
        "https://h,token=x",
        "use token-env=NAME, token-file=FILE or the variable ACETATE_CACHE_TOKEN",
    ),
    ("https://h,token-env=NONE", "the variable `NONE` is not set"),
    (
        "https://h,token-file=~/none",
        "`~/none` cannot be read: No such file",
    ),
    (
        "https://h,token-file=~/bad",
        "the file `~/bad` holds no token, expected one line",
    ),
    (
        "https://h,token-env=TOKEN,token-file=~/token",
        "are both given",
    ),
    (
        "https://u:p@h/x",
        "holds credentials: give the token by itself",
    ),
    ("https://h/x?sig=p", "it has a query or a fragment"),
    ("https://h/a b", "is no namespace"),
    (
        "https://h,trust=~/none",
        "`trust`: `~/none` cannot be used: No such file",
    ),
    (
        "https://h,trust=~",
        "`trust`: `~` is a directory, expected a file",
    ),
    (
        "type=local,dest=x",
        "`dest` goes with --cache-to only; here it is src=DIRECTORY",
    ),
    ("type=local,src=x,digest=md5:1", "`digest`: "),
    (
        "type=local,src=x,trust=~/key",
        "`trust` goes with type=http, type=s3, type=gcs, type=azblob only; nothing signs what is in type=local, share the records",
    ),
    (
        "r.example/x,trust=require:~/key",
        "nothing signs what is in type=registry, share the records that have to be signed by a server or a bucket",
    ),
    (
        "type=registry,ref=x,registry.insecure=maybe",
        "`registry.insecure` is true or false, not `maybe`",
    ),
    (
        "type=s3,bucket=b,name=a;b",
        "`name` is one name here; repeat the flag for others",
    ),
    (
        "type=s3,bucket=b,prefix=a//b",
        "`prefix` has the part ``, expected letters",
    ),
    ("type=s3,bucket=b,prefix=../b", "`prefix` has the part `..`"),
    ("type=s3,bucket=b/c", "`b/c` is no bucket"),
    (
        "type=s3,bucket=b,access_key_id=x",
        "`access_key_id` and `secret_access_key` go together",
    ),
    (
        "type=s3,bucket=b,endpoint_url=h",
        "`endpoint_url` begins with https:// or http://",
    ),
    (
        "type=s3,bucket=b,endpoint_url=https://u@h",
        "`endpoint_url` has credentials, a query",
    ),
    (
        "type=s3,bucket=b,endpoint_url=https:///",
        "`endpoint_url` names no host",
    ),
    (
        "type=s3,bucket=b,use_path_style=yes",
        "`use_path_style` is true or false, not `yes`",
    ),
    (
        "type=gcs,bucket=b,service_account=~/none",
        "`service_account`: `~/none` cannot be used",
    ),
    ("https://h,\"lease=on", "a double quote is never closed"),
];

#[test]
fn what_is_no_cache_says_why() {
    let ground = Ground::new();
    for (text, words) in UNREADABLE {
        let error = ground.import(text).unwrap_err();
        let start = format!("--cache-from {}: ", shown(text));
        assert!(error.starts_with(&start), "{text}: {error}");
        assert!(error.contains(words), "{text}: {error}");
    }
}

const UNWRITABLE: &[(&str, &str)] = &[
    (
        "type=registry",
        "`ref` is missing, expected type=registry,ref=HOST/NAME:TAG",
    ),
    (
        "type=registry,ref=x@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "`ref` has a digest, which cannot be written; name a tag",
    ),
    (
        "type=registry,ref=x,oci-mediatypes=false",
        "`oci-mediatypes=false` goes with `image-manifest=false` only",
    ),
    (
        "type=registry,ref=x,oci-mediatypes=false,image-manifest=false,compression=zstd",
        "`compression=zstd` does not go with `oci-mediatypes=false`",
    ),
    (
        "type=registry,ref=x,mounts=cargo",
        "`mounts` goes with type=http, type=s3, type=gcs, type=azblob only",
    ),
    (
        "type=registry,ref=x,sign=env:KEY",
        "`sign` goes with type=http, type=s3, type=gcs, type=azblob only; nothing signs what is in type=registry, share the records",
    ),
    (
        "type=inline,sign=env:KEY",
        "nothing signs what is in type=inline",
    ),
    ("type=gha", "type=gha is not supported"),
    (
        "type=local,src=x",
        "`src` goes with --cache-from only; here it is dest=DIRECTORY",
    ),
    ("type=local", "`dest` is missing"),
    ("https://h,lease=on", "`lease` goes with --cache-from only"),
    ("https://h,trust=off", "`trust` goes with --cache-from only"),
    ("https://h,mode=all", "`mode` is min or max, not `all`"),
    (
        "type=inline,mode=max",
        "mode=max does not go with type=inline",
    ),
    (
        "type=inline,ignore-error=true",
        "`ignore-error` goes with type=http, type=local, type=registry, type=s3, type=gcs, type=azblob only",
    ),
    (
        "https://h,compression=zstd",
        "`compression` goes with type=local, type=registry only",
    ),
    (
        "type=local,dest=d,wait=5s",
        "`wait` goes with type=http, type=registry, type=s3, type=gcs, type=azblob only",
    ),
    (
        "type=local,dest=d,compression=lz4",
        "`compression` is gzip, zstd or uncompressed, not `lz4`",
    ),
    (
        "type=local,dest=d,compression=estargz",
        "compression=estargz is not supported",
    ),
    (
        "type=local,dest=d,compression-level=10",
        "`compression-level` of gzip is a number from 0 to 9, not `10`",
    ),
    (
        "type=local,dest=d,compression=zstd,compression-level=-1",
        "of zstd is a number from 0 to 22, not `-1`",
    ),
    (
        "type=local,dest=d,compression=uncompressed,compression-level=1",
        "`compression-level` goes with compression=gzip or zstd only",
    ),
    (
        "type=local,dest=d,force-compression=x",
        "`force-compression` is true or false, not `x`",
    ),
    (
        "type=local,dest=d,image-manifest=false",
        "`image-manifest=false` is not supported",
    ),
    (
        "type=local,dest=d,oci-mediatypes=0",
        "`oci-mediatypes=false` is not supported",
    ),
    (
        "type=local,dest=d,reset=2",
        "`reset` is true or false, not `2`",
    ),
    ("https://h,stages=a;;b", "`stages` has an empty part"),
    (
        "https://h,min-cost=5",
        "`min-cost` is a duration such as 5s or 1m30s, not `5`",
    ),
    (
        "https://h,forms=all",
        "`forms` is none, names or blobs, not `all`",
    ),
    (
        "https://h,mounts-max=much",
        "`mounts-max` is a size such as 500m or 8g, not `much`",
    ),
    (
        "https://h,wait=-1s",
        "`wait` is a duration such as 5s or 1m30s, not `-1s`",
    ),
    (
        "https://h,sign=~/none",
        "`sign`: `~/none` cannot be used: No such file",
    ),
    (
        "https://h,sign=env:NONE",
        "`sign`: the variable `NONE` is not set",
    ),
    (
        "https://h,sign=env:EMPTY",
        "the variable `EMPTY` is empty; leave `sign` out",
    ),
    (
        "type=s3,bucket=b,touch_refresh=24h",
        "`touch_refresh` of other builders has no meaning here",
    ),
];

#[test]
fn what_cannot_be_written_says_why() {
    let ground = Ground::new();
    for (text, words) in UNWRITABLE {
        let error = ground.export(text).unwrap_err();
        let start = format!("--cache-to {}: ", shown(text));
        assert!(error.starts_with(&start), "{text}: {error}");
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn errors_show_no_secrets() {
    let ground = Ground::new();
    for text in [
        "type=s3,bucket=b,access_key_id=hunter2,secret_access_key=hunter2,x=y",
        "type=s3,bucket=b,session_token=hunter2,secret_access_key=hunter2",
        "type=s3,bucket=b,endpoint_url=https://u:hunter2@h",
        "type=azblob,container=c,account_url=https://a.example/?sig=hunter2",
        "type=azblob,container=c,secret_access_key=hunter2,\"account_url=x",
        "type=s3,bucket=b,secret_access_key=hunter2\"",
        "https://u:hunter2@h/x",
        "https://u@hunter2@h/x",
        "https://h/x?token=hunter2",
        "https://h/x#hunter2,x=y",
        "https://h,token=hunter2",
        "https://h,Token =hunter2",
        "https://h,password=hunter2",
    ] {
        let error = ground.import(text).unwrap_err();
        assert!(!error.contains("hunter2"), "{text}: {error}");
    }
}

/// Every attribute with every kind in both flags: it is read where the table says so, and an error
/// that names it elsewhere.
#[test]
fn an_attribute_is_taken_exactly_where_it_has_an_effect() {
    let ground = Ground::new();
    for attribute in ATTRIBUTES {
        let key = attribute.key;
        for (name, kind) in KINDS {
            let base = match *name {
                "http" => "type=http,url=https://h",
                "local" => "type=local",
                "inline" => "type=inline",
                "registry" => "type=registry,ref=x",
                "azblob" => "type=azblob,container=c,account_name=a",
                "s3" => "type=s3,bucket=b,access_key_id=i,secret_access_key=s",
                _ => "type=gcs,bucket=b",
            };
            let value = match key {
                "url" | "endpoint_url" | "account_url" => "https://h.example",
                "trust" | "service_account" => "~/key",
                "token-file" => "~/token",
                "token-env" => "TOKEN",
                "sign" => "env:KEY",
                "digest" => DIGEST,
                "lease" | "min-cost" | "wait" => "5s",
                "mounts-max" => "1g",
                "mode" => "min",
                "forms" => "names",
                "compression" => "zstd",
                "compression-level" => "3",
                "reset" | "use_path_style" | "ignore-error" | "force-compression"
                | "image-manifest" | "oci-mediatypes" | "registry.insecure" => "true",
                _ => "x",
            };
            for side in [Side::From, Side::To] {
                let place = match (name, side) {
                    (&"local", Side::From) => ",src=d",
                    (&"local", Side::To) => ",dest=d",
                    _ => "",
                };
                let text = format!("{base}{place},{key}={value}");
                let (result, is_never) = match side {
                    Side::From => (ground.import(&text), *kind == Kind::Inline),
                    Side::To => (ground.export(&text), false),
                };
                let is_taken = !is_never && attribute.is_for(side, *kind);
                assert_eq!(result.is_ok(), is_taken, "{side:?} {text}: {result:?}");
                if let Err(error) = result {
                    let names_it = error.contains(&format!("`{key}` goes with"));
                    assert!(names_it || is_never, "{side:?} {text}: {error}");
                }
            }
        }
    }
}
