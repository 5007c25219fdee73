mod accepted;
mod refused;

use super::parse_all;
use crate::environment::Environment;
use acetate_engine::{CacheExport, CacheImport, CachePlace, SigningKey};

/// A file, a directory, and variables of which one is empty.
struct Ground {
    dir: tempfile::TempDir,
    env: Environment,
}

impl Ground {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(pairs: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("key"), "a key").unwrap();
        std::fs::write(dir.path().join("token"), "from-file\n").unwrap();
        std::fs::write(dir.path().join("bad"), "two words\n").unwrap();
        let own = [("TOKEN", "from-env"), ("KEY", "a key"), ("EMPTY", "")];
        let env = Environment::of(&[&own, pairs].concat());
        Self { dir, env }
    }

    /// Reads flags in which `~` is the directory.
    fn read(
        &self,
        from: &[&str],
        to: &[&str],
    ) -> Result<(Vec<CacheImport>, Vec<CacheExport>), String> {
        let dir = self.dir.path().display().to_string();
        let own = |texts: &[&str]| -> Vec<String> {
            texts.iter().map(|text| text.replace('~', &dir)).collect()
        };
        let found = parse_all(&own(from), &own(to), &self.env);
        found.map_err(|error| format!("{error:#}").replace(&dir, "~"))
    }

    /// What a `--cache-from` comes to, in one line.
    fn import(&self, text: &str) -> Result<String, String> {
        let (imports, _) = self.read(&[text], &[])?;
        let [import] = imports.as_slice() else {
            panic!("one import")
        };
        let CacheImport {
            place,
            trust,
            lease,
        } = import;
        Ok(self.hide(format!("{} {trust:?} {lease:?}", line(place))))
    }

    /// What a `--cache-to` comes to, in one line, without what is as usual.
    fn export(&self, text: &str) -> Result<String, String> {
        let (_, exports) = self.read(&[], &[text])?;
        let [export] = exports.as_slice() else {
            panic!("one export")
        };
        let usual = CacheExport::new(CachePlace::Inline);
        let mut told = vec![line(&export.place)];
        let mut tell = |name: &str, value: String, usual: String| {
            if value != usual {
                told.push(format!("{name}={value}"));
            }
        };
        macro_rules! tell {
            ($($field:ident),*) => {$(
                tell(
                    stringify!($field),
                    format!("{:?}", export.$field),
                    format!("{:?}", usual.$field),
                );
            )*};
        }
        tell!(
            mode,
            stages,
            min_cost,
            mounts,
            mounts_max,
            sign,
            forms,
            wait,
            ignore_error
        );
        tell!(compression, compression_level, force_compression);
        if let Some(SigningKey::Value(key)) = &export.sign {
            assert_eq!(key.expose(), "a key");
        }
        Ok(self.hide(told.join(" ")))
    }

    fn hide(&self, text: String) -> String {
        text.replace(&self.dir.path().display().to_string(), "~")
    }
}

fn line(place: &CachePlace) -> String {
    match place {
        CachePlace::Http { url, token: None } => url.clone(),
        CachePlace::Http {
            url,
            token: Some(token),
        } => format!("{url} token={}", token.expose()),
        CachePlace::Bucket { url, options } => {
            let pairs = options.expose().iter();
            let told = pairs.map(|(key, value)| format!(" {key}={value}"));
            format!("{url}{}", told.collect::<String>())
        }
        CachePlace::Layout {
            dir,
            tag,
            digest,
            reset,
        } => {
            let digest = digest.map(|digest| digest.to_string()[..10].to_owned());
            format!("{} {tag} {digest:?} {reset}", dir.display())
        }
        CachePlace::Inline => "inline".to_owned(),
        CachePlace::Registry {
            reference,
            insecure: false,
        } => format!("registry {reference}"),
        CachePlace::Registry { reference, .. } => format!("insecure registry {reference}"),
    }
}

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
