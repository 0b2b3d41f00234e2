//! In charge of the names and ids in an address.
//! Invariant: an id that is none answers like one that is not there.

use axum::extract::FromRequestParts;
use axum::extract::Path;
use axum::http::request::Parts;
use engine::Error;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::problem::Problem;
use crate::state::RuntimeState;

/// What the address names; `String`, or a tuple of them.
#[derive(Clone, Debug)]
pub struct At<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<RuntimeState> for At<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &RuntimeState) -> Result<Self, Self::Rejection> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(named)) => Ok(Self(named)),
            Err(_) => Err(Error::NotFound.into()),
        }
    }
}

/// The id that a text is.
///
/// # Errors
/// Not found where it is none.
pub fn id(text: &str) -> Result<Uuid, Problem> {
    Uuid::try_parse(text).map_err(|_| Error::NotFound.into())
}
