use crate::storage::StorageError;
use acetate_cache_api::RouteError;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Why a request has no other answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("not found")]
    NotFound,
    #[error("method not allowed")]
    MethodNotAllowed,
    #[error("the host `{0}` is not served")]
    Host(String),
    #[error("a token is needed: send it as `Authorization: Bearer TOKEN`, or as a Basic password")]
    Unauthorized,
    #[error("the token does not allow this here")]
    Forbidden,
    #[error(transparent)]
    Route(#[from] RouteError),
    #[error("{0}")]
    Bad(String),
    #[error("the length of the body must be sent along")]
    LengthRequired,
    #[error("the body is too large: at most {0} bytes")]
    TooLarge(u64),
    #[error("the record names content that is not here: {}", .0.join(", "))]
    Incomplete(Vec<String>),
    #[error("the record is there already")]
    Exists,
    #[error("too many uploads of one token at a time")]
    TooMany,
    #[error("the body ended early or came too slowly")]
    Timeout,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Failure {
    fn status(&self) -> StatusCode {
        match self {
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Host(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound | Self::Route(RouteError::Form) => StatusCode::NOT_FOUND,
            Self::Route(_) | Self::Bad(_) | Self::Storage(StorageError::WrongContent { .. }) => {
                StatusCode::BAD_REQUEST
            }
            Self::LengthRequired => StatusCode::LENGTH_REQUIRED,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Incomplete(_) => StatusCode::CONFLICT,
            Self::Exists => StatusCode::PRECONDITION_FAILED,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::Storage(error) if error.is_full() => StatusCode::INSUFFICIENT_STORAGE,
            Self::Storage(StorageError::Unavailable(_)) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Storage(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = self.status();
        if status.is_server_error() {
            tracing::error!(error = %self, "a request failed");
        }
        let text = match &self {
            // Addresses of what is behind the server are for its log.
            Self::Storage(StorageError::Unavailable(_)) => {
                "objects cannot be reached just now\n".to_owned()
            }
            failure => format!("{failure}\n"),
        };
        let mut response = (status, text).into_response();
        let headers = response.headers_mut();
        match status {
            StatusCode::UNAUTHORIZED => {
                let challenge = HeaderValue::from_static(
                    "Basic realm=\"acetate cache: the token is the password\"",
                );
                headers.insert(header::WWW_AUTHENTICATE, challenge);
            }
            StatusCode::INSUFFICIENT_STORAGE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

/// An answer of JSON.
pub(super) fn json(value: &impl serde::Serialize) -> Result<Response, Failure> {
    let body = serde_json::to_vec(value).map_err(|error| Failure::Bad(error.to_string()))?;
    let kind = HeaderValue::from_static("application/json");
    Ok(([(header::CONTENT_TYPE, kind)], Body::from(body)).into_response())
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response {
    status.into_response()
}
