use super::scan::Reader;
use crate::sbom::Limits;

/// Who reads a file of a language's package manager, by its path alone.
pub(super) fn reader(
    _path: &str,
    _name: &str,
    _executable: bool,
    _limits: &Limits,
) -> Option<(Reader, u64)> {
    None
}
