//! `RUN --device=name[,required]`.

use super::run;
use crate::diagnostic::Diagnostic;
use crate::mount;
use crate::remote;
use crate::request::{Entitlement, PlanRequest};
use crate::span::Spanned;
use crate::suggest::did_you_mean;
use acetate_graph::Device;

/// The devices of a RUN, in the order written.
pub(super) fn of_run(
    flags: &[Spanned<String>],
    request: &PlanRequest,
) -> Result<Vec<Device>, Diagnostic> {
    flags
        .iter()
        .map(|flag| {
            let device = parse(&flag.value)
                .map_err(|message| Diagnostic::error("invalid-device", message).at(flag.span))?;
            let wanted = Entitlement::Device(Some(device.name.clone()));
            run::require(request, &wanted, "RUN --device", flag.span)?;
            Ok(device)
        })
        .collect()
}

/// Reads `vendor/class=name,required` or `name=...,required=true`; the error is the message.
fn parse(text: &str) -> Result<Device, String> {
    let fields = mount::split_fields(text).map_err(|error| error.message)?;
    let mut name = String::new();
    let mut required = false;
    for field in fields {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_lowercase(), Some(value)),
            None => (field.to_lowercase(), None),
        };
        match (key.as_str(), value) {
            ("required", None) => required = true,
            ("required", Some(value)) => {
                required = remote::boolean(value)
                    .ok_or_else(|| format!("invalid value for {key}: {value}"))?;
            }
            ("name", Some(value)) if name.is_empty() => value.clone_into(&mut name),
            ("name", Some(_)) => return Err(format!("device name already set to {name}")),
            // The name of a device holds an equals sign itself.
            _ if name.is_empty() => name = field,
            (_, None) => return Err(format!("invalid field '{field}' must be a key=value pair")),
            (key, Some(_)) => return Err(unexpected(key, &field)),
        }
    }
    if name.is_empty() {
        return Err("a device needs a name".to_owned());
    }
    Ok(Device { name, required })
}

fn unexpected(key: &str, field: &str) -> String {
    let message = format!("unexpected key '{key}' in '{field}'");
    match did_you_mean(key, ["name", "required"]) {
        Some(close) => format!("{message} (did you mean {close}?)"),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn shown(text: &str) -> Result<String, String> {
        parse(text).map(|device| {
            let required = if device.required { " required" } else { "" };
            format!("{}{required}", device.name)
        })
    }

    #[test]
    fn names_and_flags() {
        for (text, expected) in [
            ("vendor.example/class=dev", "vendor.example/class=dev"),
            (
                "vendor.example/class=*,required",
                "vendor.example/class=* required",
            ),
            (
                "vendor.example/class,required=true",
                "vendor.example/class required",
            ),
            ("required=0,name=v.example/c=d", "v.example/c=d"),
            ("Vendor.example/Class=Dev", "Vendor.example/Class=Dev"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_wrong() {
        for (text, message) in [
            ("", "a device needs a name"),
            ("required", "a device needs a name"),
            ("v/c=d,required=maybe", "invalid value for required: maybe"),
            (
                "v/c=d,optional",
                "invalid field 'optional' must be a key=value pair",
            ),
            ("v/c=d,name=x", "device name already set to v/c=d"),
            (
                "v/c=d,requird=true",
                "unexpected key 'requird' in 'requird=true' (did you mean required?)",
            ),
        ] {
            assert_eq!(shown(text).unwrap_err(), message, "{text}");
        }
    }
}
