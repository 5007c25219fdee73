use super::select::ALL;
use super::*;
use crate::{DigestMemory, FileGroup, Selection, SelectionOptions};
use acetate_oci::Digest;
use std::os::unix::fs::MetadataExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Default)]
struct Memory {
    known: Mutex<Vec<(FileGroup, Vec<Digest>)>>,
    n_recalled: AtomicUsize,
}

impl Memory {
    fn n_files(&self) -> usize {
        let known = self.known.lock().unwrap();
        known.iter().map(|(_, digests)| digests.len()).sum()
    }

    fn n_recalled(&self) -> usize {
        self.n_recalled.swap(0, Ordering::SeqCst)
    }
}

impl DigestMemory for Memory {
    fn recall(&self, groups: &[FileGroup]) -> Vec<Option<Vec<Digest>>> {
        let known = self.known.lock().unwrap();
        let find = |group: &FileGroup| {
            let found = known.iter().find(|(name, _)| name.bytes() == group.bytes());
            found.map(|(_, digests)| digests.clone())
        };
        let found: Vec<Option<Vec<Digest>>> = groups.iter().map(find).collect();
        let n = found.iter().flatten().map(Vec::len).sum();
        self.n_recalled.fetch_add(n, Ordering::SeqCst);
        found
    }

    fn remember(&self, groups: Vec<(FileGroup, Vec<Digest>)>) {
        self.known.lock().unwrap().extend(groups);
    }
}

/// The time of the last change of a file, in seconds.
fn changed(path: &std::path::Path) -> i64 {
    std::fs::metadata(path).unwrap().ctime()
}

fn read(case: &Case, memory: &dyn DigestMemory, now: i64) -> Digest {
    let context = case.context();
    let options = SelectionOptions {
        sources: &[".".to_owned()],
        ..SelectionOptions::default()
    };
    let mut found = Selection::find(&context, &options).unwrap();
    found.read_with(&context, memory, now).unwrap();
    found.digest(ALL)
}

#[test]
fn files_are_read_again_only_when_they_changed() {
    for size in [200_000, 20] {
        let case = Case::new("file\nother", "");
        let path = case.path("context/file");
        std::fs::write(&path, vec![b'a'; size]).unwrap();
        let memory = Memory::default();
        let plain = case.select(&["."]).unwrap().digest(ALL);
        // Too young to be remembered.
        assert_eq!(read(&case, &memory, changed(&path) + 2), plain);
        assert_eq!((memory.n_files(), memory.n_recalled()), (0, 0));
        let later = changed(&path) + 60;
        assert_eq!(read(&case, &memory, later), plain);
        assert_eq!((memory.n_files(), memory.n_recalled()), (2, 0));
        assert_eq!(read(&case, &memory, later), plain);
        assert_eq!((memory.n_files(), memory.n_recalled()), (2, 2));
        // The same size, and the old modification time put back.
        let time = std::fs::metadata(&path).unwrap().modified().unwrap();
        std::fs::write(&path, vec![b'b'; size]).unwrap();
        let file = std::fs::File::open(&path).unwrap();
        file.set_modified(time).unwrap();
        assert_ne!(read(&case, &memory, later), plain);
        let n_others = usize::from(size > 100_000);
        assert_eq!(memory.n_recalled(), n_others, "{size}");
    }
}

#[test]
fn a_change_makes_few_others_be_read_again() {
    const N: usize = 2000;
    let names: String = (0..N).map(|n| format!("d{}/f{n}\n", n % 50)).collect();
    let case = Case::new(&names, "");
    let memory = Memory::default();
    let later = changed(&case.path("context/d0/f0")) + 60;
    let first = read(&case, &memory, later);
    assert_eq!((memory.n_files(), memory.n_recalled()), (N, 0));
    for (n, change) in ["changed", "new", "gone"].into_iter().enumerate() {
        let path = case.path(&format!("context/d7/{change}"));
        match change {
            "gone" => std::fs::remove_file(case.path("context/d8/f8")).unwrap(),
            "changed" => std::fs::write(case.path("context/d7/f7"), "changed").unwrap(),
            _ => std::fs::write(&path, "new").unwrap(),
        }
        let digest = read(&case, &memory, later);
        assert_ne!(digest, first);
        assert_eq!(digest, case.select(&["."]).unwrap().digest(ALL), "{n}");
        // At most a group, and the one behind it whose beginning moved.
        let n_recalled = memory.n_recalled();
        assert!(n_recalled >= N - 300, "{change}: {n_recalled} of {N}");
    }
}

#[test]
fn what_is_remembered_wrongly_is_not_used() {
    struct Wrong;
    impl DigestMemory for Wrong {
        fn recall(&self, groups: &[FileGroup]) -> Vec<Option<Vec<Digest>>> {
            groups.iter().map(|_| Some(Vec::new())).collect()
        }
        fn remember(&self, _: Vec<(FileGroup, Vec<Digest>)>) {}
    }
    let case = Case::new("a\nb", "");
    let later = changed(&case.path("context/a")) + 60;
    let plain = case.select(&["."]).unwrap().digest(ALL);
    assert_eq!(read(&case, &Wrong, later), plain);
}

#[test]
fn a_file_that_changes_while_it_is_read_is_not_remembered() {
    let case = Case::new("a\nb", "");
    let path = case.path("context/a");
    let later = changed(&path) + 60;
    let context = case.context();
    let options = SelectionOptions {
        sources: &[".".to_owned()],
        ..SelectionOptions::default()
    };
    let mut found = Selection::find(&context, &options).unwrap();
    // Found, and changed before it is read.
    std::fs::write(&path, "other").unwrap();
    let memory = Memory::default();
    found.read_with(&context, &memory, later).unwrap();
    assert_eq!(memory.n_files(), 0);
}
