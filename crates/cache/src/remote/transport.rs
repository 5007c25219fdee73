//! Requests to a server that may be slow, broken or gone, and what is learnt from how they end.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use acetate_net::{Fetched, Method, Request, Response, Url};
use acetate_stdx::Redacted;
use tokio::time::{Instant, timeout};

use super::backend::{Backend, NoAnswer, NoAnswerKind};
use super::breaker::Breaker;
use super::config::Address;
use super::warning::Warnings;
use super::{Cause, Distrust, RemoteConfig, RemoteLimits, Stats};

/// The wait before a transfer is tried a second time.
const SECOND_TRY: Duration = Duration::from_millis(100);
/// How long a server that has no room is not written to, where it does not say.
const FULL: Duration = Duration::from_secs(30);

/// Why there is no answer that could be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The request was not sent: the server is left alone.
    NotAsked,
    /// The time was up.
    Timeout,
    /// For this cause, which is counted and warned of already.
    Cause(Cause),
    /// The answer means nothing for what was asked.
    Status(u16),
}

impl Fault {
    /// Where it belongs among the causes.
    pub(super) fn cause(self) -> Cause {
        match self {
            Self::NotAsked => Cause::Off,
            Self::Timeout => Cause::Unreachable,
            Self::Cause(cause) => cause,
            Self::Status(_) => Cause::Failing,
        }
    }
}

/// How much is done for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    /// A question: asked a second time beside the first when that takes long.
    Hedged,
    /// A question that must not be asked twice.
    Once,
    /// Bytes: moved a second time when the first failed.
    Transfer,
    /// A question that the server answers when something happens, within so long.
    Patient(Duration),
}

/// The way to one server, and what is known about it.
#[derive(Debug)]
pub(super) struct Transport {
    pub(super) address: Address,
    pub(super) limits: RemoteLimits,
    /// Sent with questions.
    reading: Option<Redacted<String>>,
    /// Sent with what changes something.
    writing: Option<Redacted<String>>,
    pub(super) backend: Backend,
    start: Instant,
    state: Mutex<State>,
}

/// What is known about a server.
#[derive(Debug)]
struct State {
    breaker: Breaker,
    warnings: Warnings,
    stats: Stats,
    /// It knows no such tokens, or wants one where none was sent.
    unknown: Vec<Option<Redacted<String>>>,
    /// The token may not write.
    is_read_only: bool,
    /// Nothing is asked before.
    busy_until: Option<Instant>,
    /// Nothing is written before.
    full_until: Option<Instant>,
}

impl Transport {
    pub(super) fn new(address: Address, backend: Backend, limits: &RemoteLimits) -> Self {
        let limits = limits.clone();
        Self {
            reading: None,
            writing: None,
            backend,
            start: Instant::now(),
            state: Mutex::new(State {
                breaker: Breaker::new(limits.breaker),
                warnings: Warnings::default(),
                stats: Stats::default(),
                unknown: Vec::new(),
                is_read_only: false,
                busy_until: None,
                full_until: None,
            }),
            address,
            limits,
        }
    }

    /// Sends a token with every request, that for writing with what writes.
    pub(super) fn authorize(&mut self, config: &RemoteConfig) {
        let bearer = |token: &Redacted<String>| Redacted::new(format!("Bearer {}", token.expose()));
        self.reading = config.token.as_ref().map(bearer);
        let writing = config.write_token.as_ref().or(config.token.as_ref());
        self.writing = writing.map(bearer);
    }

    pub(super) fn request(&self, method: Method, url: Url) -> Request {
        let token = match method {
            Method::Get | Method::Head => &self.reading,
            _ => &self.writing,
        };
        Request::new(method, url).authorization(token.clone())
    }

    /// A request that asks, by a method that others write with.
    pub(super) fn question(&self, url: Url) -> Request {
        Request::new(Method::Post, url).authorization(self.reading.clone())
    }

    /// Sends a request and reads the answer of at most `limit` bytes. Statuses that tell about the
    /// server, and not about what was asked, are faults.
    pub(super) async fn ask(
        &self,
        request: &Request,
        limit: u64,
        effort: Effort,
    ) -> Result<Fetched, Fault> {
        if !self.admit(request) {
            return Err(Fault::NotAsked);
        }
        let most = match effort {
            Effort::Hedged | Effort::Once => self.limits.question,
            // Each of the two tries has its own limit.
            Effort::Transfer => self.limits.transfer * 2 + SECOND_TRY,
            Effort::Patient(wait) => wait + self.limits.question,
        };
        let answer = async {
            let (backend, first_try) = (&self.backend, self.limits.first_try);
            match effort {
                Effort::Hedged => backend
                    .hedged(request, limit, first_try)
                    .await
                    .map_err(Some),
                Effort::Once => backend.fetch(request, limit).await.map_err(Some),
                Effort::Transfer => self.transfer(request, limit).await,
                Effort::Patient(_) => backend.wait(request, limit).await.map_err(Some),
            }
        };
        let asked = Instant::now();
        let ended = timeout(most, answer).await;
        // Who asked for a long wait has not lost it.
        let waited = match effort {
            Effort::Patient(wait) => asked.elapsed().saturating_sub(wait),
            Effort::Hedged | Effort::Once | Effort::Transfer => asked.elapsed(),
        };
        match ended {
            Ok(Ok(answer)) => self.judge(request, answer, waited),
            Ok(Err(Some(error))) => Err(self.failed(&error, waited)),
            Ok(Err(None)) | Err(_) => Err(self.timed_out(waited)),
        }
    }

    /// Sends what a build can do without and gives the answer when its head is here. Nothing is warned
    /// of, how it ends says nothing about the server, and one that is left alone is not asked. A
    /// bucket is asked nothing of the kind.
    pub(super) async fn quiet(&self, request: &Request) -> Option<Response> {
        if !self.is_well(request) {
            return None;
        }
        let sent = self.backend.send(request);
        match timeout(self.limits.question, sent).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                tracing::debug!(reason = error.reason, "no answer");
                None
            }
            Err(_) => None,
        }
    }

    /// Sends what somebody asked for by name: the answer or the error is theirs.
    pub(super) async fn fetch(&self, request: &Request, limit: u64) -> Result<Fetched, NoAnswer> {
        self.backend.wait(request, limit).await
    }

    /// Two tries, each with its own limit; none is the end of the time. A first one that used up all
    /// patience is the last.
    async fn transfer(&self, request: &Request, limit: u64) -> Result<Fetched, Option<NoAnswer>> {
        let began = Instant::now();
        let first = timeout(self.limits.transfer, self.backend.fetch(request, limit)).await;
        match first {
            Ok(Ok(answer)) if !is_failing(answer.status) || retry_after(&answer).is_some() => {
                return Ok(answer);
            }
            Ok(Err(error)) if !error.is_transient() => return Err(Some(error)),
            Ok(Err(error)) if began.elapsed() >= self.limits.breaker.patience => {
                return Err(Some(error));
            }
            _ => {}
        }
        tokio::time::sleep(SECOND_TRY).await;
        let second = timeout(self.limits.transfer, self.backend.fetch(request, limit)).await;
        second.map_err(|_| None)?.map_err(Some)
    }

    fn judge(
        &self,
        request: &Request,
        answer: Fetched,
        waited: Duration,
    ) -> Result<Fetched, Fault> {
        let pause = retry_after(&answer).map(|wait| wait.min(self.limits.longest_pause));
        let shown = self.address.shown();
        let mut state = self.lock();
        state.stats.bytes_down += answer.body.len() as u64;
        let status = answer.status;
        if is_failing(status) {
            state.fail(self.start.elapsed(), waited, &shown);
            if let Some(wait) = pause {
                state.busy_until = Some(Instant::now() + wait);
            }
            state.warnings.add(Cause::Failing, || {
                format!("the cache {shown} answers with status {status}; going on without it")
            });
            return Err(Fault::Cause(Cause::Failing));
        }
        state.breaker.succeed();
        match status {
            401 => {
                let token = request.credentials();
                if !state.is_unknown(token) {
                    state.unknown.push(token.cloned());
                }
                let purpose = self.purpose(token);
                state.warnings.add(Cause::Unauthorized, || {
                    format!("the cache {shown} wants another token; it is not used{purpose}")
                });
                Err(Fault::Cause(Cause::Unauthorized))
            }
            429 => {
                state.busy_until = Some(Instant::now() + pause.unwrap_or(Duration::from_secs(1)));
                state.warnings.add(Cause::Busy, || {
                    format!("the cache {shown} has too much to do; it is left alone for a while")
                });
                Err(Fault::Cause(Cause::Busy))
            }
            507 => {
                state.full_until = Some(Instant::now() + pause.unwrap_or(FULL));
                state.warnings.add(Cause::Full, || {
                    format!("the cache {shown} has no room left; results are not shared for now")
                });
                Err(Fault::Cause(Cause::Full))
            }
            _ => Ok(answer),
        }
    }

    fn failed(&self, error: &NoAnswer, waited: Duration) -> Fault {
        let shown = self.address.shown();
        let mut state = self.lock();
        if error.kind == NoAnswerKind::TooLarge {
            state.breaker.succeed();
            drop(state);
            return self.damaged("an answer that is larger than it can be");
        }
        state.fail(self.start.elapsed(), waited, &shown);
        state.warnings.add(Cause::Unreachable, || {
            format!("the cache {shown} is not used: {}", error.reason)
        });
        Fault::Cause(Cause::Unreachable)
    }

    fn timed_out(&self, waited: Duration) -> Fault {
        let shown = self.address.shown();
        let mut state = self.lock();
        state.fail(self.start.elapsed(), waited, &shown);
        state.warnings.add(Cause::Unreachable, || {
            format!("the cache {shown} does not answer in time; going on without it")
        });
        Fault::Timeout
    }

    /// Notes that the cache gave something that it should not.
    pub(super) fn damaged(&self, what: &str) -> Fault {
        let shown = self.address.shown();
        self.lock().warnings.add(Cause::Damaged, || {
            format!("the cache {shown} gave {what}; it counts as missing")
        });
        Fault::Cause(Cause::Damaged)
    }

    /// Notes that the cache gave a record that the policy refuses.
    pub(super) fn untrusted(&self, why: &Distrust) {
        let shown = self.address.shown();
        self.lock().warnings.add(Cause::Untrusted, || {
            format!(
                "the cache {shown} gave a record that is not trusted: {why}; \
                 such records count as missing"
            )
        });
    }

    /// Notes that the token does not allow to write.
    pub(super) fn read_only(&self) -> Fault {
        let shown = self.address.shown();
        let mut state = self.lock();
        state.is_read_only = true;
        state.warnings.add(Cause::Forbidden, || {
            format!("the cache {shown} does not allow writing; results are not shared")
        });
        Fault::Cause(Cause::Forbidden)
    }

    /// Notes that the token does not allow to read here.
    pub(super) fn unreadable(&self) -> Fault {
        let shown = self.address.shown();
        self.lock().warnings.add(Cause::Forbidden, || {
            format!("the cache {shown} does not allow reading; its records count as missing")
        });
        Fault::Cause(Cause::Forbidden)
    }

    /// Whether a write may be tried now, and if not, why.
    pub(super) fn check_writable(&self) -> Result<(), Fault> {
        let state = self.lock();
        if state.is_read_only {
            return Err(Fault::Cause(Cause::Forbidden));
        }
        let is_full = state.full_until.is_some_and(|until| Instant::now() < until);
        if is_full {
            return Err(Fault::Cause(Cause::Full));
        }
        Ok(())
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut Stats)) {
        count(&mut self.lock().stats);
    }

    pub(super) fn stats(&self) -> Stats {
        let state = self.lock();
        Stats {
            n_openings: state.breaker.n_openings(),
            breaker: state.breaker.state(),
            ..state.stats.clone()
        }
    }

    pub(super) fn take_warnings(&self) -> Vec<super::Warning> {
        self.lock().warnings.take()
    }

    /// Whether nothing speaks against a question. Unlike [`Self::admit`] it is no probe.
    fn is_well(&self, request: &Request) -> bool {
        let state = self.lock();
        let is_busy = state.busy_until.is_some_and(|until| Instant::now() < until);
        let is_closed = state.breaker.state() == super::BreakerState::Closed;
        !state.is_unknown(request.credentials()) && !is_busy && is_closed
    }

    fn admit(&self, request: &Request) -> bool {
        let mut state = self.lock();
        let is_busy = state.busy_until.is_some_and(|until| Instant::now() < until);
        let is_known = !state.is_unknown(request.credentials());
        is_known && !is_busy && state.breaker.admit(self.start.elapsed())
    }

    /// What a token is for, in words, where there are two.
    fn purpose(&self, token: Option<&Redacted<String>>) -> &'static str {
        if self.reading == self.writing {
            ""
        } else if self.reading.as_ref() == token {
            " for reading"
        } else {
            " for writing"
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether the server said that it knows no such token.
    fn is_unknown(&self, token: Option<&Redacted<String>>) -> bool {
        self.unknown.iter().any(|known| known.as_ref() == token)
    }

    fn fail(&mut self, now: Duration, waited: Duration, shown: &str) {
        let opened = self.breaker.fail(now, waited);
        if opened && self.breaker.state() == super::BreakerState::Off {
            self.warnings.add(Cause::Off, || {
                format!("the cache {shown} failed too often; it is not asked any more")
            });
        }
    }
}

/// Statuses that say that the server is broken. That a method or a version is unknown to it, or that
/// its disk is full, says nothing of the kind.
fn is_failing(status: u16) -> bool {
    status >= 500 && !matches!(status, 501 | 505 | 507)
}

/// The wait in seconds that an answer asks for; a date is not worth its parsing here.
fn retry_after(answer: &Fetched) -> Option<Duration> {
    let secs = answer.headers.get("retry-after")?.trim().parse().ok()?;
    Some(Duration::from_secs(secs))
}
