//! Who may ask: HTTP's basic authentication, with passwords kept as bcrypt hashes.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::counts::{Counts, Refusal};

/// How many passwords are checked at one moment: each check costs a good part of a second of one
/// processor, on purpose.
const CHECKS: usize = 1;

/// A hash of no user's password, so that an unknown name takes as long as a wrong password.
const NOBODY: &str = "$2b$10$abcdefghijklmnopqrstuuAlzFv/E3Z0n0XbYTdxFGUKhLDxAtFdm";

/// Users, by name, with the bcrypt hashes of their passwords.
pub(super) struct Users {
    hashes: BTreeMap<String, String>,
    checks: Semaphore,
    /// Names and passwords that were right once, hashed with keys that this process alone knows.
    known: Mutex<HashSet<u64>>,
    keys: RandomState,
    counts: Arc<Counts>,
}

/// The router for those users alone.
pub(super) fn only(
    hashes: BTreeMap<String, String>,
    counts: Arc<Counts>,
    router: Router,
) -> Router {
    let users = Arc::new(Users {
        hashes,
        checks: Semaphore::new(CHECKS),
        known: Mutex::default(),
        keys: RandomState::new(),
        counts,
    });
    router.layer(from_fn(move |request, next| {
        answer(Arc::clone(&users), request, next)
    }))
}

async fn answer(users: Arc<Users>, request: Request, next: Next) -> Response {
    let named = credentials(request.headers());
    if let Some((name, password)) = named
        && users.may_ask(name, password).await
    {
        return next.run(request).await;
    }
    users.counts.refuse(Refusal::Auth);
    let realm = (header::WWW_AUTHENTICATE, "Basic realm=\"tracer\"");
    (StatusCode::UNAUTHORIZED, [realm], "Unauthorized\n").into_response()
}

fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = given.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = BASE64_STANDARD.decode(encoded.trim()).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (name, password) = decoded.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

impl Users {
    async fn may_ask(&self, name: String, password: String) -> bool {
        let known = self.keys.hash_one((&name, &password));
        if self.remembered().contains(&known) {
            return true;
        }
        let hash = self.hashes.get(&name).cloned();
        let _one_of_few = self.checks.acquire().await;
        let is_right = spawn_blocking(move || {
            let is_right = bcrypt::verify(password, hash.as_deref().unwrap_or(NOBODY));
            hash.is_some() && is_right.unwrap_or(false)
        });
        let is_right = is_right.await.unwrap_or(false);
        if is_right {
            self.remembered().insert(known);
        }
        is_right
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, HashSet<u64>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
