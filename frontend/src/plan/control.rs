//! Build arguments that steer the build itself.

use crate::diagnostic::Diagnostic;
use crate::remote;
use crate::request::PlanRequest;

/// `BUILDKIT_MULTI_PLATFORM`: whether an index is made, which several platforms need anyway (S106).
pub(super) fn multi_platform(request: &PlanRequest) -> Result<bool, Diagnostic> {
    let needed = request.target_platforms().len() > 1;
    let Some(text) = request.build_args.get("BUILDKIT_MULTI_PLATFORM") else {
        return Ok(needed);
    };
    let invalid = |message: String| Diagnostic::error("invalid-multi-platform", message);
    let wanted = remote::boolean(text)
        .ok_or_else(|| invalid(format!("invalid boolean value for multi-platform: {text}")))?;
    if needed && !wanted {
        let message = "conflicting config: returning multiple target platforms is not allowed";
        return Err(invalid(message.to_owned()));
    }
    Ok(wanted)
}
