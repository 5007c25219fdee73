use acetate_oci::Platform;

/// The name of an attestation beside the files of a local or tar export.
///
/// `prefix` is the attribute `attestation-prefix`. With `merged`, several platforms share one
/// directory, and the platform stands in the name: `provenance.linux_amd64.json`.
pub fn file_name(prefix: &str, name: &str, merged: Option<&Platform>) -> String {
    let Some(platform) = merged else {
        return format!("{prefix}{name}");
    };
    let platform = platform.to_string().replace('/', "_");
    let extension_at = [".spdx.json", ".json"]
        .iter()
        .find_map(|extension| Some(name.strip_suffix(extension)?.len()))
        .unwrap_or(name.len());
    let (stem, extension) = name.split_at(extension_at);
    format!("{prefix}{stem}.{platform}{extension}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s105_merged_platforms_stand_in_the_name() {
        let arm: Platform = "linux/arm/v7".parse().unwrap();
        assert_eq!(file_name("", "provenance.json", None), "provenance.json");
        assert_eq!(
            file_name("", "provenance.json", Some(&arm)),
            "provenance.linux_arm_v7.json"
        );
        assert_eq!(
            file_name("a-", "sbom.spdx.json", Some(&arm)),
            "a-sbom.linux_arm_v7.spdx.json"
        );
        assert_eq!(file_name("", "slsa", Some(&arm)), "slsa.linux_arm_v7");
    }
}
