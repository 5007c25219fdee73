use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::*;

/// The processor time of this thread, which does not depend on what else the machine does.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (secs, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(secs.unwrap(), nanos.unwrap())
}

/// Far above what it takes, so that a busy machine passes; a scan or an fsync per row would not.
#[test]
fn thousands_of_rows_are_written_and_found_quickly() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let ids: Vec<LayerId> = (0..2000).map(|_| LayerId::random()).collect();
    let start = Instant::now();
    for id in &ids {
        store.index().put_layer(row_of(&store, *id));
    }
    for n in 0..6000 {
        let chain = &ids[n as usize / 3..][..1];
        store
            .index()
            .put_records(vec![(key(n), record(&[1; 100], chain))]);
    }
    let queued = start.elapsed();
    store.flush().unwrap();
    let written = start.elapsed();
    drop(store);
    let closed = start.elapsed();

    let keys: Vec<RecordKey> = (0..2000).map(key).collect();
    let start = thread_time();
    let store = open(temp.path());
    let opened = thread_time().saturating_sub(start);
    assert!(
        store
            .index()
            .records(&keys[..10])
            .unwrap()
            .iter()
            .all(Option::is_some)
    );
    let ten = thread_time().saturating_sub(start);
    assert!(
        store
            .index()
            .records(&keys)
            .unwrap()
            .iter()
            .all(Option::is_some)
    );
    let found = thread_time().saturating_sub(start);
    assert!(
        store
            .layers()
            .available(&ids)
            .unwrap()
            .iter()
            .all(Option::is_none)
    );
    let checked = thread_time().saturating_sub(start);
    println!(
        "queued {queued:?}, written {written:?}, closed {closed:?}; processor time: \
         opened {opened:?}, 10 found {ten:?}, 2000 found {found:?}, 2000 layers {checked:?}"
    );
    assert!(written < Duration::from_secs(5), "{written:?}");
    assert!(ten < Duration::from_millis(20), "{ten:?}");
    assert!(checked < Duration::from_millis(300), "{checked:?}");
}
