//! What the flags come to.

use super::{DIGEST, Ground, line};
use acetate_engine::CachePlace;

#[test]
fn caches_are_read_from_where_the_flag_says() {
    let ground = Ground::new();
    for (text, expected) in [
        ("https://h/org/repo", "https://h/org/repo Anyone None"),
        ("HTTP://127.0.0.1:1", "HTTP://127.0.0.1:1 Anyone None"),
        ("http://cache.lan/a", "http://cache.lan/a Anyone None"),
        ("type=http,url=https://h/a", "https://h/a Anyone None"),
        ("https://h/a,trust=off", "https://h/a Anyone None"),
        ("https://h,trust=~/key", "https://h Require(\"~/key\") None"),
        (
            "https://h,trust=require:~/key",
            "https://h Require(\"~/key\") None",
        ),
        (
            "https://h,trust=prefer:~/key",
            "https://h Prefer(\"~/key\") None",
        ),
        ("https://h,lease=on", "https://h Anyone Some(600s)"),
        ("https://h,lease=90s", "https://h Anyone Some(90s)"),
        ("https://h,lease=off", "https://h Anyone None"),
        (
            "https://h,token-env=TOKEN",
            "https://h token=from-env Anyone None",
        ),
        ("https://h,token-env=EMPTY", "https://h Anyone None"),
        (
            "https://h,token-file=~/token",
            "https://h token=from-file Anyone None",
        ),
        (
            "type=local,src=cache",
            "cache latest None false Anyone None",
        ),
        (
            "Type=local,SRC=a=b,tag=main",
            "a=b main None false Anyone None",
        ),
        ("user/app:cache", "registry user/app:cache Anyone None"),
        (
            "type=registry,ref=h:5000/app",
            "registry h:5000/app Anyone None",
        ),
        (
            "type=registry,ref=h/app,registry.insecure=true",
            "insecure registry h/app Anyone None",
        ),
        // The last of two counts, as with other builders.
        (
            "type=http,type=local,src=a,src=b",
            "b latest None false Anyone None",
        ),
    ] {
        assert_eq!(ground.import(text).as_deref(), Ok(expected), "{text}");
    }
    let digest = format!("type=local,src=a,digest={DIGEST}");
    let expected = r#"a latest Some("sha256:e3b") false Anyone None"#;
    assert_eq!(ground.import(&digest).as_deref(), Ok(expected));
}

#[test]
fn caches_are_written_to_where_the_flag_says_and_how() {
    let ground = Ground::new();
    for (text, expected) in [
        ("https://h/a", "https://h/a"),
        ("https://h/a,mode=max", "https://h/a mode=Max"),
        ("type=inline", "inline"),
        ("type=inline,mode=min", "inline"),
        ("type=local,dest=~/d", "~/d latest None false"),
        ("type=local,dest=d,tag=t,reset=true", "d t None true"),
        (
            "https://h,stages=a;b ,min-cost=1m30s",
            r#"https://h stages=["a", "b"] min_cost=90s"#,
        ),
        (
            r#"https://h,"stages=a,b",mounts="c,d""#,
            r#"https://h stages=["a", "b"] mounts=["c", "d"]"#,
        ),
        (
            "https://h,mounts=c,mounts-max=1g",
            r#"https://h mounts=["c"] mounts_max=1073741824"#,
        ),
        (
            "https://h,sign=~/key,wait=0",
            r#"https://h sign=Some(File("~/key")) wait=0ns"#,
        ),
        ("https://h,forms=none", "https://h forms=None"),
        ("https://h,forms=names", "https://h forms=Names"),
        ("https://h,forms=blobs", "https://h"),
        (
            "https://h,sign=env:KEY",
            "https://h sign=Some(Value([redacted]))",
        ),
        (
            "https://h,ignore-error=false",
            "https://h ignore_error=false",
        ),
        (
            "type=local,dest=d,compression=zstd,compression-level=22,force-compression=true",
            "d latest None false compression=Zstd compression_level=Some(22) \
             force_compression=true",
        ),
        (
            "type=local,dest=d,compression-level=9",
            "d latest None false compression_level=Some(9)",
        ),
        (
            "type=local,dest=d,image-manifest=true,oci-mediatypes=1,compression=uncompressed",
            "d latest None false compression=None",
        ),
    ] {
        assert_eq!(ground.export(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn buckets_have_an_address_and_options() {
    let ground = Ground::new();
    for (text, expected) in [
        ("type=s3,bucket=b", "s3://b"),
        (
            "type=s3,bucket=b,prefix=/x/y/,name=main,region=eu-1",
            "s3://b/x/y/main aws_region=eu-1",
        ),
        (
            "type=s3,bucket=b,access_key_id=i,secret_access_key=s,session_token=t",
            "s3://b aws_access_key_id=i aws_secret_access_key=s aws_session_token=t",
        ),
        (
            "type=s3,bucket=b,endpoint_url=http://127.0.0.1:9000/",
            "s3://b aws_endpoint=http://127.0.0.1:9000",
        ),
        (
            "type=s3,bucket=b,endpoint_url=https://s3.example,use_path_style=true",
            "s3://b aws_endpoint=https://s3.example",
        ),
        (
            "type=s3,bucket=b,endpoint_url=https://s3.example,use_path_style=false",
            "s3://b aws_endpoint=https://b.s3.example aws_virtual_hosted_style_request=true",
        ),
        (
            "type=s3,bucket=b,prefix=,name=,region=,endpoint_url=,session_token=",
            "s3://b",
        ),
        ("type=gcs,bucket=b,prefix=p", "gs://b/p"),
        (
            "type=gcs,bucket=b,service_account=~/key,endpoint_url=http://localhost:1",
            "gs://b google_base_url=http://localhost:1 google_service_account=~/key",
        ),
        (
            "type=azblob,container=c,account_url=https://acc.blob.core.windows.net,prefix=p,name=n",
            "az://c/p/n azure_storage_account_name=acc \
             azure_storage_endpoint=https://acc.blob.core.windows.net",
        ),
        (
            "type=azblob,container=c,account_name=acc,secret_access_key=k",
            "az://c azure_storage_account_key=k azure_storage_account_name=acc",
        ),
    ] {
        assert_eq!(ground.export(text).as_deref(), Ok(expected), "{text}");
        let import = ground.import(text);
        assert_eq!(import, Ok(format!("{expected} Anyone None")), "{text}");
    }
}

#[test]
fn what_the_flags_leave_out_of_a_bucket_is_taken_from_the_environment() {
    let ground = Ground::with(&[
        ("AWS_ACCESS_KEY_ID", "i"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("AWS_SESSION_TOKEN", "t"),
        ("AWS_REGION", "r"),
        ("AWS_ROLE_ARN", ""),
        ("AWS_ENDPOINT_URL", "https://all.example"),
        ("AWS_ENDPOINT_URL_S3", "https://s3.example"),
        ("AWS_PROFILE", "not read"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "g.json"),
        ("AZURE_STORAGE_ACCOUNT_NAME", "acc"),
        ("AZURE_STORAGE_ACCOUNT_KEY", "k"),
    ]);
    for (text, expected) in [
        (
            "type=s3,bucket=b",
            "s3://b aws_access_key_id=i aws_endpoint=https://s3.example aws_region=r \
             aws_secret_access_key=s aws_session_token=t",
        ),
        // A session belongs to its own keys.
        (
            "type=s3,bucket=b,access_key_id=x,secret_access_key=y,endpoint_url=https://o.example",
            "s3://b aws_access_key_id=x aws_endpoint=https://o.example aws_region=r \
             aws_secret_access_key=y",
        ),
        (
            "type=gcs,bucket=b",
            "gs://b google_application_credentials=g.json",
        ),
        (
            "type=gcs,bucket=b,service_account=~/key",
            "gs://b google_service_account=~/key",
        ),
        (
            "type=azblob,container=c",
            "az://c azure_storage_account_key=k azure_storage_account_name=acc",
        ),
    ] {
        assert_eq!(ground.export(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn leases_are_on_where_the_cache_is_read_and_written() {
    let ground = Ground::new();
    for (from, to, expected) in [
        ("https://h/a", "https://H:443/a/,mode=max", Some(600)),
        ("https://h/a,lease=off", "https://h/a", None),
        ("https://h/a,lease=1m", "https://h/a", Some(60)),
        ("https://h/a", "https://h/b", None),
        ("https://h/a", "type=inline", None),
        ("type=local,src=a", "type=local,dest=a", None),
        ("type=s3,bucket=a", "type=s3,bucket=a", None),
    ] {
        let (imports, _) = ground.read(&[from], &[to]).unwrap();
        let lease = imports[0].lease.map(|lease| lease.as_secs());
        assert_eq!(lease, expected, "{from} {to}");
    }
}

#[test]
fn caches_stay_in_order() {
    let given = ["https://h/b", "https://h/a", "user/app"];
    let (imports, exports) = Ground::new().read(&given, &given[..2]).unwrap();
    let lines = |places: &mut dyn Iterator<Item = &CachePlace>| -> Vec<String> {
        places.map(line).collect()
    };
    let expected = ["https://h/b", "https://h/a", "registry user/app"];
    assert_eq!(lines(&mut imports.iter().map(|it| &it.place)), expected);
    assert_eq!(
        lines(&mut exports.iter().map(|it| &it.place)),
        expected[..2]
    );
}
