//! [`Sessions`]: operators who have logged in with the master key.
//!
//! A session has two secrets. Its id is in a cookie that scripts cannot read and that browsers do not
//! send with requests of other sites. Its token is known only to the page, which sends it in a
//! header; a page of another site can do neither. Both are needed.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use http::header::{COOKIE, HeaderMap, HeaderName, HeaderValue};
use llm_provider::ApiKey;
use subtle::ConstantTimeEq;
use tokio::time::{Instant, sleep};

use crate::error::ApiError;

/// The sessions of the dashboard. They are in memory and end with the process.
pub(crate) struct Sessions(Mutex<State>);

struct State {
    /// The oldest first.
    open: VecDeque<Session>,
    /// Failed logins that are allowed now, as of `refilled`.
    attempts: f64,
    refilled: Instant,
}

struct Session {
    id: String,
    token: String,
    /// The master key at the login: another one ends the session.
    key: ApiKey,
    end: Instant,
}

/// A new session.
#[derive(Debug)]
pub(crate) struct Login {
    /// For the page.
    pub(crate) token: String,
    /// The header `set-cookie`.
    pub(crate) cookie: HeaderValue,
}

impl Sessions {
    /// Opens a session for the master key. A wrong key is answered slowly, and after several ones
    /// with 429. All clients share this limit, since those behind a proxy look alike.
    pub(crate) async fn login(
        &self,
        master_key: &ApiKey,
        given: &ApiKey,
        is_secure: bool,
    ) -> Result<Login, ApiError> {
        self.take_attempt()?;
        if !is_same_key(given, master_key) {
            tracing::warn!("a login to the dashboard failed");
            sleep(DELAY).await;
            let message = "the key is not the master key";
            let error = ApiError::new(StatusCode::UNAUTHORIZED, "auth_error", message);
            return Err(error.with_code("invalid_api_key"));
        }
        let (id, token) = (random()?, random()?);
        let cookie = cookie(&id, LIFETIME, is_secure)?;
        let mut state = self.state();
        state.attempts += 1.0;
        state.open.retain(|session| session.end > Instant::now());
        if state.open.len() >= MAX_SESSIONS {
            state.open.pop_front();
        }
        state.open.push_back(Session {
            id,
            token: token.clone(),
            key: master_key.clone(),
            end: Instant::now() + LIFETIME,
        });
        Ok(Login { token, cookie })
    }

    /// Whether a request has the cookie and the token of a session.
    pub(crate) fn admits(&self, master_key: &ApiKey, headers: &HeaderMap) -> bool {
        let token = headers.get(TOKEN).and_then(|token| token.to_str().ok());
        let token = token.filter(|token| !token.is_empty());
        token.is_some_and(|token| {
            let found = self.token(master_key, headers);
            found.is_some_and(|found| is_equal(token, &found))
        })
    }

    /// The token of the session whose cookie a request has, for a page that was loaded again.
    pub(crate) fn token(&self, master_key: &ApiKey, headers: &HeaderMap) -> Option<String> {
        let now = Instant::now();
        let ids: Vec<&str> = cookies(headers).collect();
        let state = self.state();
        let session = state.open.iter().find(|session| {
            session.end > now
                && is_same_key(&session.key, master_key)
                && ids.iter().any(|id| is_equal(id, &session.id))
        })?;
        Some(session.token.clone())
    }

    /// Ends the session of a request, and returns the header that removes its cookie.
    pub(crate) fn logout(&self, headers: &HeaderMap) -> Result<HeaderValue, ApiError> {
        let ids: Vec<&str> = cookies(headers).collect();
        let mut state = self.state();
        let is_other = |session: &Session| !ids.iter().any(|id| is_equal(id, &session.id));
        state.open.retain(is_other);
        cookie("", Duration::ZERO, false)
    }

    fn take_attempt(&self) -> Result<(), ApiError> {
        let mut state = self.state();
        let now = Instant::now();
        let passed = now.duration_since(state.refilled).as_secs_f64();
        state.attempts = (state.attempts + passed / REFILL.as_secs_f64()).min(ATTEMPTS);
        state.refilled = now;
        if state.attempts >= 1.0 {
            state.attempts -= 1.0;
            return Ok(());
        }
        let wait = REFILL.mul_f64(1.0 - state.attempts);
        let message = "too many failed logins; try again later";
        let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", message);
        Err(error
            .with_code("rate_limit_exceeded")
            .with_retry_after(wait))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self(Mutex::new(State {
            open: VecDeque::new(),
            attempts: ATTEMPTS,
            refilled: Instant::now(),
        }))
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

/// 256 random bits as text.
pub(super) fn random() -> Result<String, ApiError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "the operating system has no random bytes");
        let message = "internal error; see the gateway's log";
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", message)
            .with_code("internal_error")
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn cookie(id: &str, age: Duration, is_secure: bool) -> Result<HeaderValue, ApiError> {
    let secure = if is_secure { "; Secure" } else { "" };
    let age = age.as_secs();
    let text = format!("{NAME}={id}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::try_from(text).map_err(|_| ApiError::invalid("the session has no valid id"))
}

/// The session ids in the cookies of a request. There are several if another program on this host has
/// a cookie of the same name.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let all = headers.get_all(COOKIE).into_iter();
    let pairs = all.flat_map(|value| value.to_str().unwrap_or_default().split(';'));
    let values = pairs.filter_map(|pair| pair.trim().strip_prefix(NAME)?.strip_prefix('='));
    values.filter(|id| !id.is_empty()).take(MAX_COOKIES)
}

fn is_same_key(a: &ApiKey, b: &ApiKey) -> bool {
    is_equal(a.expose(), b.expose())
}

fn is_equal(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

/// The header with the token.
pub(crate) const TOKEN: HeaderName = HeaderName::from_static("x-polyllm-token");
const NAME: &str = "polyllm_session";
const LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);
/// Above that, the oldest session ends.
const MAX_SESSIONS: usize = 64;
const MAX_COOKIES: usize = 8;
/// How many logins may fail at once.
const ATTEMPTS: f64 = 10.0;
/// The time after which one more may fail.
const REFILL: Duration = Duration::from_secs(6);
/// How long the answer to a wrong key takes.
const DELAY: Duration = Duration::from_secs(1);
