//! Devices that a step asks for by their names in the container device interface.

use crate::steps::StepError;
use acetate_graph::Device;

/// Refuses the first device that a step cannot do without: there is none that it could be given.
pub(super) fn check(devices: &[Device]) -> Result<(), StepError> {
    match devices.iter().find(|device| device.required) {
        Some(device) => Err(StepError::Device(device.name.clone())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str, required: bool) -> Device {
        let name = name.to_owned();
        Device { name, required }
    }

    #[test]
    fn s115_only_a_required_device_is_missed() {
        assert!(check(&[device("a.test/x=1", false)]).is_ok());
        let error = check(&[device("a.test/x=1", false), device("b.test/y=all", true)]);
        assert_eq!(
            error.unwrap_err().to_string(),
            "device `b.test/y=all` cannot be given to a step: devices that `/etc/cdi` and \
             `/var/run/cdi` describe are not supported"
        );
    }
}
