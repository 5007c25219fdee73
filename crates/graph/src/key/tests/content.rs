use super::*;

#[test]
fn written_inputs_are_chains_and_read_ones_selections() {
    use {UsePlace::*, UseRole::*};
    let roles = |op: Op, n| {
        let uses = uses(&vertex(op, n));
        uses.iter()
            .map(|u| (u.input, u.place, u.role))
            .collect::<Vec<_>>()
    };
    let mut writable = mount();
    writable.access = MountAccess::ReadWrite;
    let mut discarded = mount();
    (discarded.access, discarded.source) = (MountAccess::Discard, MountSource::Input(0));
    let mut op = exec();
    let scratch = super::Mount {
        source: MountSource::Scratch,
        ..mount()
    };
    op.mounts.extend([writable, discarded, scratch]);
    assert_eq!(
        roles(Op::Exec(op), 2),
        [
            (0, Mount(0), Written),
            (1, Mount(1), Read),
            (1, Mount(2), Written),
            (0, Mount(3), Read)
        ]
    );
    let actions = vec![FileAction::Mkdir(mkdir()), FileAction::Copy(copy())];
    assert_eq!(
        roles(Op::File(file(actions)), 2),
        [(0, Base, Written), (1, Action(1), Read)]
    );
    assert_eq!(
        roles(Op::Merge, 2),
        [(0, Whole, Written), (1, Whole, Written)]
    );
    assert_eq!(roles(local(), 0), []);
}

/// What a cache directory begins with is only read, and so are accounts beside a base.
#[test]
fn beginnings_of_caches_and_accounts_are_read() {
    let mut op = exec();
    op.mounts[1].source = MountSource::Cache(CacheMount {
        base: Some(1),
        ..cache()
    });
    op.mounts[1].access = MountAccess::ReadWrite;
    let found = uses(&vertex(Op::Exec(op), 2));
    assert_eq!(found[1].role, UseRole::Read);
    let linked = FileOp {
        base: None,
        accounts: Some(0),
        actions: vec![FileAction::Copy(copy())],
    };
    let places: Vec<_> = uses(&vertex(Op::File(linked), 2))
        .iter()
        .map(|found| (found.input, found.place, found.role))
        .collect();
    let read = UseRole::Read;
    assert_eq!(
        places,
        [
            (0, UsePlace::Accounts, read),
            (1, UsePlace::Action(0), read)
        ]
    );
}

#[test]
fn content_keys_see_chains_in_order_and_selections() {
    let vertex = vertex(Op::Exec(exec()), 2);
    let [a, b] = [digest("a"), digest("b")];
    let key = |root: &[Digest], bind: InputContent| {
        content_key(&vertex, &[InputContent::Chain(root.to_vec()), bind]).unwrap()
    };
    let keys = [
        key(&[], InputContent::Selection(a)),
        key(&[a], InputContent::Selection(a)),
        key(&[a, b], InputContent::Selection(a)),
        key(&[b, a], InputContent::Selection(a)),
        key(&[a], InputContent::Selection(b)),
        key(&[a], InputContent::Chain(vec![a])),
        key(&[a], InputContent::Chain(vec![])),
    ];
    let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
    assert_eq!(distinct.len(), keys.len());
}

#[test]
fn content_keys_do_not_see_how_inputs_were_made() {
    let contents = [
        InputContent::Chain(vec![digest("a")]),
        InputContent::Selection(digest("b")),
    ];
    let mut elsewhere = vertex(Op::Exec(exec()), 2);
    elsewhere.inputs = vec![
        Edge {
            vertex: VertexId(8),
            output: 3,
        },
        Edge::first(VertexId(9)),
    ];
    assert_eq!(
        content_key(&vertex(Op::Exec(exec()), 2), &contents),
        content_key(&elsewhere, &contents)
    );
}

#[test]
fn contents_that_do_not_fit_are_refused() {
    let vertex = vertex(Op::Exec(exec()), 2);
    let selection = || InputContent::Selection(digest("a"));
    assert_eq!(
        content_key(&vertex, &[selection()]),
        Err(ContentKeyError::Count {
            wanted: 2,
            given: 1
        })
    );
    assert_eq!(
        content_key(&vertex, &[selection(), selection()]),
        Err(ContentKeyError::NotAChain { input: 0 })
    );
}
