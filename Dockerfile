# Where a registry is out of reach, name its mirror, such as:
#   docker build --build-arg BUILD_IMAGE=mirror.example/library/rust:1-slim-bookworm .
#
# The runtime image needs glibc and libgcc, no older than those of the build image, and nothing else;
# gcr.io/distroless/cc-debian12 is a smaller one.
ARG BUILD_IMAGE=rust:1-slim-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim

FROM ${BUILD_IMAGE} AS build
WORKDIR /build

# The dependencies first, with a stub for the program: this layer stays good until one of these files changes.
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src tests/bench \
 && echo 'fn main() {}' | tee src/main.rs tests/bench/measure.rs >/dev/null \
 && touch src/lib.rs \
 && cargo build --locked --release

# Cargo goes by the time of a file, and what is copied may be older than the stub.
COPY migrations migrations
COPY src src
RUN touch src/main.rs src/lib.rs \
 && cargo build --locked --release \
 && install -D target/release/dingsync /image/usr/local/bin/dingsync \
 && install -D -m 644 /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ca-certificates.crt \
 && install -d -o 65532 -g 65532 -m 750 /image/data

# Nothing runs in this stage, so that an image without a shell will do.
FROM ${RUNTIME_IMAGE}

ARG VERSION=
ARG REVISION=
LABEL org.opencontainers.image.title="dingsync" \
      org.opencontainers.image.description="Mirrors a DingTalk organisation into the database of an OA system, and keeps it there" \
      org.opencontainers.image.licenses="Apache-2.0 OR MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

COPY LICENSE /usr/share/doc/dingsync/LICENSE
COPY --from=build /image/usr /usr
COPY --from=build /image/etc /etc
COPY --from=build --chown=65532:65532 /image/data /data

# A number, because Kubernetes' runAsNonRoot cannot judge a name.
USER 65532:65532

# The default database is a file in the current folder, and so is the default configuration: both are in /data. It is the
# only folder that is written to, so the rest may be read-only.
WORKDIR /data
VOLUME /data

# In a container, the host's loopback address is not the container's: operators and probes come from outside.
ENV DINGSYNC_OPS__LISTEN=0.0.0.0:8081 \
    TMPDIR=/data

# 8080 is for DingTalk, 8081 for health and metrics: do not publish the latter.
EXPOSE 8080 8081

HEALTHCHECK --interval=15s --timeout=5s --start-period=10s --retries=3 \
    CMD ["/usr/local/bin/dingsync", "health"]

ENTRYPOINT ["/usr/local/bin/dingsync"]
CMD ["serve"]
