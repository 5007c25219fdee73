use std::fs::OpenOptions;

use super::*;
use crate::FactKey;

#[test]
fn rows_survive_and_are_seen_at_once() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let id = LayerId::random();
    let mut row = row_of(&store, id);
    row.parent = Some(LayerId::Chain(Digest::of(b"parent")));
    row.size = 77;
    row.used = NOW + 100_000_000;
    store.index().put_layer(row.clone());
    assert_eq!(store.index().layer(&id).unwrap(), Some(row.clone()));
    store.flush().unwrap();
    assert_eq!(store.index().layer(&id).unwrap(), Some(row.clone()));
    drop(store);
    let store = open(temp.path());
    assert_eq!(store.index().layer(&id).unwrap(), Some(row.clone()));
    // A sealed layer stays sealed whatever an older copy of the row says later.
    let sealed = LayerRow {
        diff_id: Some(Digest::of(b"d")),
        blob: Some(blob_ref(b"t")),
        ..row.clone()
    };
    store.index().put_layer(sealed.clone());
    store.flush().unwrap();
    store.index().put_layer(row.clone());
    assert_eq!(store.index().layer(&id).unwrap(), Some(sealed.clone()));
    store.flush().unwrap();
    assert_eq!(store.index().layer(&id).unwrap(), Some(sealed.clone()));
    assert_eq!(
        store.index().layer_by_diff(&Digest::of(b"d")).unwrap(),
        Some(sealed)
    );
    assert_eq!(
        store.index().layer_by_diff(&Digest::of(b"e")).unwrap(),
        None
    );
    store.index().drop_layer(&id);
    assert_eq!(store.index().layer(&id).unwrap(), None);
    assert_eq!(
        store.index().layer_by_diff(&Digest::of(b"d")).unwrap(),
        None
    );
    store.flush().unwrap();
    assert_eq!(store.index().layer(&id).unwrap(), None);
}

#[test]
fn layers_are_found_by_diff_before_they_are_written() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let diff = Digest::of(b"d");
    for _ in 0..3 {
        let mut row = row_of(&store, LayerId::random());
        row.diff_id = Some(diff);
        store.index().put_layer(row);
    }
    let before = store.index().layers_by_diff(&diff).unwrap();
    store.flush().unwrap();
    assert_eq!(store.index().layers_by_diff(&diff).unwrap().len(), 3);
    assert_eq!(before.len(), 3);
    assert!(before.is_sorted_by_key(|row| row.id));
}

#[test]
fn records_and_facts_come_and_go() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let index = store.index();
    assert_eq!(index.records(&[key(1)]).unwrap(), [None], "no index at all");
    let layers = [LayerId::random(), LayerId::Chain(Digest::of(b"c"))];
    index.put_records(vec![
        (key(1), record(b"one", &layers)),
        (key(2), record(b"", &[])),
    ]);
    let fact = FactKey::new("gzip", b"diff");
    index.put_facts(vec![(fact.clone(), b"blob".to_vec())]);
    for _ in 0..2 {
        let found = index.records(&[key(3), key(2), key(1), key(2)]).unwrap();
        let empty = Some(record(b"", &[]));
        assert_eq!(
            found,
            [None, empty.clone(), Some(record(b"one", &layers)), empty]
        );
        let near = FactKey::new("gzi", b"pdiff");
        assert_eq!(
            index.facts(&[near, fact.clone()]).unwrap(),
            [None, Some(b"blob".to_vec())]
        );
        store.flush().unwrap();
    }
    index.drop_record(&key(1));
    index.drop_fact(&fact);
    for _ in 0..2 {
        assert_eq!(index.records(&[key(1)]).unwrap(), [None]);
        assert_eq!(index.facts(std::slice::from_ref(&fact)).unwrap(), [None]);
        store.flush().unwrap();
    }
}

#[test]
fn use_is_noted_once_an_hour() {
    let temp = tempfile::tempdir().unwrap();
    let clock = Arc::new(FixedClock::at(NOW));
    let store = open_at(temp.path(), 1, &clock);
    let id = make_layer(&store);
    store
        .index()
        .put_records(vec![(key(1), record(b"r", &[id]))]);
    let used = || {
        store.index().records(&[key(1)]).unwrap();
        let layer = store.index().layer(&id).unwrap().unwrap();
        store.flush().unwrap();
        let records = store.index().record_layers().unwrap();
        (records[0].1, layer.id)
    };
    used();
    clock.advance(3599);
    assert_eq!(used().0, NOW);
    clock.advance(1);
    assert_eq!(used().0, NOW + 3600);
    assert_eq!(store.index().layer(&id).unwrap().unwrap().used, NOW + 3600);
}

fn fill(store: &Store) {
    let records = (0..500).map(|n| (key(n), record(&[7; 200], &[LayerId::random()])));
    store.index().put_records(records.collect());
    store.flush().unwrap();
}

/// Reads may miss, must not fail, and after one write everything works again.
fn check_rebuilt(root: &Path) {
    let store = open(root);
    let keys: Vec<RecordKey> = (0..500).map(key).collect();
    store.index().records(&keys).unwrap();
    fill(&store);
    assert!(
        store
            .index()
            .records(&keys)
            .unwrap()
            .iter()
            .all(Option::is_some)
    );
    drop(store);
    let store = open(root);
    assert!(
        store
            .index()
            .records(&keys)
            .unwrap()
            .iter()
            .all(Option::is_some)
    );
}

fn filled() -> (tempfile::TempDir, std::path::PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    fill(&open(temp.path()));
    let index = temp.path().join("index.sqlite");
    // Everything into the main file, so that damaging it hurts.
    let conn = rusqlite::Connection::open(&index).unwrap();
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    (temp, index)
}

#[test]
fn a_lost_index_is_made_anew() {
    let (temp, index) = filled();
    std::fs::remove_file(index).unwrap();
    check_rebuilt(temp.path());
}

#[test]
fn a_truncated_index_is_made_anew() {
    for size in [0, 1, 99, 100, 4096, 5000, 8192, 40_960] {
        let (temp, index) = filled();
        assert!(index.metadata().unwrap().len() > size);
        OpenOptions::new()
            .write(true)
            .open(&index)
            .unwrap()
            .set_len(size)
            .unwrap();
        check_rebuilt(temp.path());
    }
}

#[test]
fn a_garbled_index_is_made_anew() {
    for from in [0, 16, 100, 4096, 8192, 20_000] {
        let (temp, index) = filled();
        let mut bytes = std::fs::read(&index).unwrap();
        bytes[from..].iter_mut().for_each(|byte| *byte = 0xa5);
        std::fs::write(&index, bytes).unwrap();
        check_rebuilt(temp.path());
    }
}

#[test]
fn a_garbled_log_is_no_error() {
    let temp = tempfile::tempdir().unwrap();
    fill(&open(temp.path()));
    let log = temp.path().join("index.sqlite-wal");
    let mut bytes = std::fs::read(&log).unwrap();
    let half = bytes.len() / 2;
    bytes[half..].iter_mut().for_each(|byte| *byte = 0xa5);
    std::fs::write(&log, bytes).unwrap();
    check_rebuilt(temp.path());
}

#[test]
fn other_schema_versions_are_made_anew() {
    for version in [0, 2, 99] {
        let (temp, index) = filled();
        let conn = rusqlite::Connection::open(&index).unwrap();
        conn.pragma_update(None, "user_version", version).unwrap();
        if version == 0 {
            conn.execute_batch("DROP TABLE layers; DROP TABLE records; DROP TABLE facts")
                .unwrap();
        }
        drop(conn);
        check_rebuilt(temp.path());
    }
}

#[test]
fn an_open_handle_follows_an_exchanged_index() {
    let temp = tempfile::tempdir().unwrap();
    let (one, two) = (open(temp.path()), open(temp.path()));
    fill(&one);
    assert!(two.index().records(&[key(1)]).unwrap()[0].is_some());
    for suffix in ["", "-wal", "-shm"] {
        std::fs::remove_file(temp.path().join(format!("index.sqlite{suffix}"))).unwrap();
    }
    assert_eq!(two.index().records(&[key(1)]).unwrap(), [None]);
    one.index().put_records(vec![(key(9), record(b"new", &[]))]);
    one.flush().unwrap();
    assert_eq!(
        two.index().records(&[key(9)]).unwrap(),
        [Some(record(b"new", &[]))]
    );
}

#[test]
fn many_writers_on_many_handles_lose_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let stores: Vec<_> = (0..4).map(|_| open(temp.path())).collect();
    std::thread::scope(|scope| {
        for (n_store, store) in (0_u32..).zip(&stores) {
            scope.spawn(move || {
                for n in 0..200 {
                    let key = key(n_store * 1000 + n);
                    store.index().put_records(vec![(key, record(b"r", &[]))]);
                    if n % 50 == 0 {
                        store.flush().unwrap();
                    }
                }
                store.flush().unwrap();
            });
        }
    });
    let keys: Vec<_> = (0..4)
        .flat_map(|s| (0..200).map(move |n| key(s * 1000 + n)))
        .collect();
    for store in &stores {
        assert!(
            store
                .index()
                .records(&keys)
                .unwrap()
                .iter()
                .all(Option::is_some)
        );
    }
}
