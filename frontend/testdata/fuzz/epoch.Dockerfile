ARG SOURCE_DATE_EPOCH=src
FROM scratch AS src
ADD https://example.com/x.git /
FROM scratch AS t-linux
COPY --parents a/./b/* /c/
FROM t-$TARGETOS
COPY --link --from=src . /
RUN --mount=type=bind,from=src,target=/s --mount=type=tmpfs,target=/t,size=1.5m --mount=type=ssh,required --device=v/c=d,required true
