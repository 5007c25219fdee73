//! Whatever the instructions are: planning ends, and its results fit together.

use super::fixture::Fixture;
use acetate_graph::{FileAction, Op};
use proptest::prelude::*;

const LINES: &[&str] = &[
    "FROM scratch",
    "FROM debian AS a",
    "FROM a AS b",
    "FROM b",
    "FROM --platform=$BUILDPLATFORM a",
    "FROM $X",
    "ARG X=a",
    "ARG X",
    "ENV X=$Y Y=1",
    "RUN make $X",
    "RUN <<EOF\n#!/bin/sh\nEOF",
    "COPY x $X/",
    "COPY --from=a x /",
    "COPY --from=b --chown=$Y x /",
    "COPY --from=0 x /",
    "COPY --from=2 x /",
    "COPY <<EOF x /d/\n$X\nEOF",
    "ADD *.tar /",
    "WORKDIR $X",
    "WORKDIR /",
    "USER 1",
    "EXPOSE $Y",
    "ENTRYPOINT a",
    "CMD []",
    "ONBUILD COPY --from=b x /",
    "ONBUILD RUN x",
    "LABEL $X=1",
    "VOLUME $X",
    "COPY --link --chown=app x /",
    "COPY --link --from=a x /",
    "COPY --parents --exclude=*.o x/./y /",
    "ADD https://example.com/a x https://example.com/b.git#v1 /",
    "ADD --link --checksum=abc https://example.com/b.git /",
    "RUN --mount=type=cache,target=$X x",
    "RUN --mount=type=cache,target=/c,from=a --mount=from=a,target=/d x",
    "RUN --mount=target=/src,rw --mount=type=bind,source=$X,target=b x",
    "RUN --mount=type=secret,id=s,env=S --mount=type=ssh --mount=type=tmpfs,target=/t x",
    "ONBUILD RUN --mount=from=b,source=x,target=/x y",
    "ARG SOURCE_DATE_EPOCH",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn planning_ends_and_fits_together(
        picks in prop::collection::vec(0..LINES.len(), 1..14),
        args in prop::sample::select(vec![
            "epoch=1", "platform=linux/amd64 platform=linux/arm64", "no-cache",
            "context:a=local", "context:b=layout", "arg:X=b", "context:a=remote", "main=remote",
            "main=remote archive", "main=empty", "arg:SOURCE_DATE_EPOCH=context main=remote time=7",
        ]),
    ) {
        let body: String =
            picks.iter().flat_map(|pick| [LINES[*pick], "\n"]).collect();
        let text = format!("//- Dockerfile\nFROM scratch AS b\n{body}//- args {args}\n");
        match Fixture::new(&text).build() {
            Err(found) => prop_assert!(found.last().is_some_and(crate::Diagnostic::is_error)),
            Ok(build) => check(&build.lowered),
        }
    }
}

fn check(lowered: &crate::Lowered) {
    for (id, vertex) in lowered.graph.ids().zip(lowered.graph.vertices()) {
        assert!(vertex.inputs.iter().all(|edge| edge.vertex < id));
        let n_inputs = u32::try_from(vertex.inputs.len()).unwrap();
        let mut used: Vec<u32> = match &vertex.op {
            Op::Source(_) => {
                assert!(vertex.meta.location.is_some());
                Vec::new()
            }
            Op::Exec(exec) => {
                assert_eq!(exec.mounts[0].target, "/");
                let inputs = exec.mounts.iter().filter_map(|mount| mount.source.input());
                inputs.collect()
            }
            Op::File(file) => {
                let read = file.actions.iter().filter_map(|action| match action {
                    FileAction::Copy(copy) => Some(copy.input),
                    FileAction::Mkdir(_) | FileAction::Mkfile(_) => None,
                });
                file.base
                    .into_iter()
                    .chain(file.accounts)
                    .chain(read)
                    .collect()
            }
            Op::Merge => (0..n_inputs).collect(),
            Op::Diff => panic!("Dockerfiles need none"),
        };
        used.sort_unstable();
        used.dedup();
        assert_eq!(used, (0..n_inputs).collect::<Vec<u32>>());
    }
    for image in &lowered.images {
        let mut layers = image.history.iter().filter_map(|item| item.layer);
        let last = layers.next_back();
        for item in &image.history {
            assert_eq!(item.entry.empty_layer, item.layer.is_none());
        }
        if let Some(last) = last {
            assert_eq!(image.output.map(|edge| edge.vertex), Some(last));
        }
    }
}
