use crate::auth::{Policy, Stamp, TokenFile};
use crate::{App, Tls};
use std::sync::Arc;
use std::time::Duration;

/// How often to look whether the file of tokens changed.
pub const LOOK: Duration = Duration::from_secs(1);

/// Reads files again while the server runs; what is being answered goes on, and what cannot be used
/// changes nothing.
#[derive(Debug)]
pub struct Reloader {
    app: Arc<App>,
    tls: Option<Tls>,
    tokens: Option<TokenFile>,
    /// The state of the file whose tokens are used.
    used: Option<Stamp>,
    /// The state that was seen last.
    seen: Option<Stamp>,
}

impl Reloader {
    /// Watches the certificates and the file of tokens, as far as there are any.
    pub fn new(app: Arc<App>, tls: Option<Tls>, tokens: Option<TokenFile>) -> Self {
        Self {
            app,
            tls,
            tokens,
            used: None,
            seen: None,
        }
    }

    /// Reads everything again: somebody asked for it.
    pub async fn hang_up(&mut self) {
        match self.tls.as_ref().map(Tls::reload) {
            None => {}
            Some(Ok(())) => tracing::info!("the certificate was read again"),
            Some(Err(error)) => tracing::warn!(%error, "the certificate stays as it was"),
        }
        if let Some(tokens) = self.tokens.clone() {
            self.used = tokens.stamp();
            self.read(tokens).await;
        }
    }

    /// Reads the tokens when their file changed and has stood still since the last look: an editor
    /// may have emptied it a moment ago, to write it.
    pub async fn look(&mut self) {
        let Some(tokens) = self.tokens.clone() else {
            return;
        };
        let file = tokens.clone();
        let Some(stamp) = acetate_stdx::blocking(move || file.stamp()).await else {
            return;
        };
        let is_settled = self.seen == Some(stamp);
        self.seen = Some(stamp);
        if is_settled && self.used != Some(stamp) {
            self.used = Some(stamp);
            self.read(tokens).await;
        }
    }

    async fn read(&self, tokens: TokenFile) {
        match acetate_stdx::blocking(move || tokens.read()).await {
            Ok(policy) => {
                let n = match &policy {
                    Policy::Open => 0,
                    Policy::Tokens { tokens, .. } => tokens.len(),
                };
                self.app.replace_policy(&policy);
                tracing::info!(n, "the tokens were read again");
            }
            Err(error) => tracing::warn!(%error, "the tokens stay as they were"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Access, TokenHash, Trust, Verdict};
    use crate::gc::Marks;
    use crate::{Config, Limits};
    use acetate_stdx::atomic::Durability;
    use acetate_stdx::clock::SystemClock;

    #[tokio::test]
    async fn a_file_is_read_when_it_stands_still() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("auth");
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        let line = |name: &str| format!("{name} {} org:read\n", TokenHash::of(name));
        let config = Config {
            dir: dir.path().join("cache"),
            max_bytes: None,
            marks: Marks::default(),
            policy: Policy::Tokens {
                tokens: Vec::new(),
                anonymous: Vec::new(),
            },
            trust: Trust::default(),
            opaque: Vec::new(),
            raw: Vec::new(),
            only_hosts: None,
            limits: Limits::default(),
            durability: Durability::Fast,
        };
        let app = crate::open(config, Arc::new(SystemClock)).unwrap();
        let tokens = TokenFile {
            path: path.clone(),
            anonymous: Vec::new(),
        };
        let mut files = Reloader::new(Arc::clone(&app), None, Some(tokens));
        let knows = async |name: &str| {
            let header = format!("Bearer {name}");
            let caller = app.gate.caller(Some(&header), None).await;
            caller.decide(&"org".parse().unwrap(), Access::Read) == Verdict::Allowed
        };
        write(&line("first"));
        files.look().await;
        assert!(!knows("first").await, "it may be half written");
        files.look().await;
        assert!(knows("first").await);
        // Emptied by an editor that writes it a moment later.
        write("");
        files.look().await;
        write(&line("second"));
        files.look().await;
        assert!(knows("first").await && !knows("second").await);
        files.look().await;
        assert!(knows("second").await && !knows("first").await);
        // Nor is it read again for nothing.
        app.replace_policy(&Policy::Open);
        files.look().await;
        assert!(knows("third").await);
        files.hang_up().await;
        // What is no file of tokens, or is gone, changes nothing.
        write("nonsense\n");
        files.look().await;
        files.look().await;
        std::fs::remove_file(&path).unwrap();
        files.look().await;
        files.look().await;
        assert!(knows("second").await);
        files.hang_up().await;
        assert!(knows("second").await);
    }
}
