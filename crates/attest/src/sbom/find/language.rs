use super::scan::{FileKind, Reader};
use super::{cargo, composer, gem, go_binary, go_mod, node, pnpm, poetry, pypi, yarn};

/// Who reads a file of a language's package manager, by its path alone.
pub(super) fn reader(path: &str, name: &str, executable: bool) -> Option<(Reader, FileKind)> {
    let reader: Reader = match name {
        "Cargo.lock" => |p, b, _| cargo::lock(p, b),
        "package-lock.json" | "npm-shrinkwrap.json" | ".package-lock.json" => {
            |p, b, _| node::lock(p, b)
        }
        "package.json" if is_installed_node_package(path) => |p, b, _| node::installed(p, b),
        "yarn.lock" => |p, b, _| Ok(yarn::lock(p, b)),
        "pnpm-lock.yaml" => |p, b, _| pnpm::lock(p, b),
        "go.mod" => |p, b, _| Ok(go_mod::module(p, b)),
        "poetry.lock" => |p, b, _| poetry::lock(p, b),
        "METADATA" if in_folder(path, ".dist-info") => |p, b, _| Ok(pypi::metadata(p, b)),
        "PKG-INFO" if in_folder(path, ".egg-info") => |p, b, _| Ok(pypi::metadata(p, b)),
        "Gemfile.lock" | "gems.locked" => |p, b, _| Ok(gem::lock(p, b)),
        "composer.lock" => |p, b, _| composer::lock(p, b),
        _ if is_requirements(name) => |p, b, _| Ok(pypi::requirements(p, b)),
        _ if executable => {
            let reader: Reader = |p, b, _| go_binary::modules(p, b);
            return Some((reader, FileKind::Program));
        }
        _ => return None,
    };
    Some((reader, FileKind::List))
}

fn is_requirements(name: &str) -> bool {
    name.starts_with("requirements")
        && std::path::Path::new(name)
            .extension()
            .is_some_and(|extension| extension == "txt")
}

/// `…/node_modules/name/package.json`, or with a scope in front of the name.
fn is_installed_node_package(path: &str) -> bool {
    let mut folders = path.rsplit('/').skip(1);
    let first = folders.next();
    let second = folders.next();
    let third = folders.next();
    let is_name = first.is_some_and(|name| !name.starts_with('@') && name != "node_modules");
    let unscoped = second == Some("node_modules");
    let scoped = second.is_some_and(|s| s.starts_with('@')) && third == Some("node_modules");
    is_name && (unscoped || scoped)
}

fn in_folder(path: &str, suffix: &str) -> bool {
    path.rsplit('/')
        .nth(1)
        .is_some_and(|folder| folder.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_packages_themselves_are_installed_packages() {
        for (path, wanted) in [
            ("app/node_modules/a/package.json", true),
            ("node_modules/@s/a/package.json", true),
            ("node_modules/a/lib/package.json", false),
            ("node_modules/@s/package.json", false),
            ("app/package.json", false),
            ("package.json", false),
        ] {
            assert_eq!(is_installed_node_package(path), wanted, "{path}");
        }
    }
}
