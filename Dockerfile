# Images of the operator and of the pods' runtime, for a cluster of yours:
#
#   docker build --target operator -t REGISTRY/headworks-operator:TAG .
#   docker build --target runtime  -t REGISTRY/headworks-runtime:TAG .
#   docker build --target cli      -t REGISTRY/headworks:TAG .
#
# `make demo CLUSTER=current IMAGES=REGISTRY` does the first two, and more. Pocket doesn't use this file: it makes the same layout (the
# binary, the libraries it loads, CA certificates, user 65532) without a registry, in e2e/pocket/lib/oci_layout.py.

FROM docker.io/library/rust:1.95-bookworm AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends g++ make pkg-config libssl-dev zlib1g-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock clippy.toml ./
COPY crds crds
COPY operator operator
COPY runtime runtime
COPY e2e e2e
COPY docs/runbooks docs/runbooks
# The cache mounts keep crates and dependencies between builds (BuildKit; podman and buildah know them too).
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --locked --release --workspace --bins \
 && mkdir /out \
 && cp target/release/headworks-operator target/release/headworks-runtime target/release/headworks /out/

FROM docker.io/library/debian:bookworm-slim AS base
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates libssl3 zlib1g \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 65532 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin headworks
USER 65532:65532

FROM base AS operator
COPY --from=build /out/headworks-operator /usr/local/bin/
ENTRYPOINT ["/usr/local/bin/headworks-operator"]

FROM base AS runtime
COPY --from=build /out/headworks-runtime /usr/local/bin/
ENTRYPOINT ["/usr/local/bin/headworks-runtime"]

FROM base AS cli
COPY --from=build /out/headworks /usr/local/bin/
ENTRYPOINT ["/usr/local/bin/headworks"]
