# syntax=docker/dockerfile:1
ARG VERSION=1.2
FROM --platform=$BUILDPLATFORM golang:${VERSION} AS build
ARG TARGETOS TARGETARCH
WORKDIR /src
COPY --link go.mod go.sum ./
RUN --mount=type=cache,target=/root/.cache,sharing=locked --mount=type=secret,id=token,env=TOKEN \
    go mod download
COPY --exclude=*.md . .
RUN --network=none <<EOF
set -e
go build -o /out/app ./...
EOF
ADD --checksum=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 https://example.com/a.tar.gz /opt/
ADD https://example.com/x.git#v1:sub /x
FROM alpine AS base
ONBUILD COPY --from=build /out/app /app
FROM base
ENV PATH=/app:$PATH A="${B:-c}" D=${E:+f}
COPY --from=build --chown=1:1 --chmod=u=rwX,go=rX /out/. /app/
COPY <<-"A" <<B /etc/
	one $x
	A
two ${VERSION%.*}
B
USER 1000:1000
EXPOSE 80 443/tcp 5000-5003/udp
VOLUME ["/data", "/logs"]
HEALTHCHECK --interval=5s --retries=3 CMD ["/app", "-check"]
LABEL a=b "c d"="e f"
SHELL ["/bin/bash", "-c"]
STOPSIGNAL SIGINT
ENTRYPOINT ["/app"]
CMD serve $PORT
