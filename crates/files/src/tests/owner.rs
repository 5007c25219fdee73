use super::Case;
use crate::{Account, HostTree, Owner};

fn base() -> (Case, HostTree) {
    let case = Case::new("", "etc/passwd\netc/group");
    let passwd =
        "root:x:0:0::/root:/bin/sh\n# comment\napp:x:1000:1001::/home/app:/bin/sh\nbroken\n";
    let group = "root:x:0:\nstaff:x:50:app,other\nweb:x:51:app\nnobody:x:99:\n";
    std::fs::write(case.path("base/etc/passwd"), passwd).unwrap();
    std::fs::write(case.path("base/etc/group"), group).unwrap();
    let tree = HostTree::open(&case.path("base"), None).unwrap();
    (case, tree)
}

#[test]
fn owners_by_name_and_number_s37() {
    let (_case, base) = base();
    for (spec, uid, gid) in [
        ("app", 1000, 1001),
        ("1000", 1000, 1000),
        ("app:staff", 1000, 50),
        ("1000:nobody", 1000, 99),
        ("7:8", 7, 8),
        (":staff", 0, 50),
        ("app:", 1000, 1001),
    ] {
        assert_eq!(
            Owner::resolve(spec, &base).unwrap(),
            Owner { uid, gid },
            "{spec}"
        );
    }
    let error = Owner::resolve("daemon", &base).unwrap_err().to_string();
    assert_eq!(
        error,
        "no user `daemon` in `/etc/passwd` of the image that is copied to"
    );
    let error = Owner::resolve("0:wheel", &base).unwrap_err().to_string();
    assert_eq!(
        error,
        "no group `wheel` in `/etc/group` of the image that is copied to"
    );
}

#[test]
fn accounts_have_their_groups_unless_one_is_named_s63() {
    let (_case, base) = base();
    let app = Account::resolve("app", &base).unwrap();
    assert_eq!(
        (app.owner.uid, app.groups.as_slice()),
        (1000, &[1001, 50, 51][..])
    );
    assert_eq!(app.home.as_deref(), Some("/home/app"));
    assert_eq!(Account::resolve("1000", &base).unwrap(), app);
    assert_eq!(Account::resolve("app:web", &base).unwrap().groups, [51]);
    let unknown = Account::resolve("1234", &base).unwrap();
    assert_eq!(
        (
            unknown.owner.uid,
            unknown.owner.gid,
            unknown.groups.as_slice()
        ),
        (1234, 0, &[0][..])
    );
    assert_eq!(unknown.home, None);
    assert!(Account::resolve("nobody", &base).is_err());
}

#[test]
fn without_files_numbers_work_and_names_do_not() {
    let case = Case::new("", "");
    let tree = HostTree::open(&case.path("base"), None).unwrap();
    assert_eq!(
        Owner::resolve("5", &tree).unwrap(),
        Owner { uid: 5, gid: 5 }
    );
    assert!(Owner::resolve("root", &tree).is_err());
    assert_eq!(Account::resolve("5:6", &tree).unwrap().groups, [6]);
}
