# syntax=docker/dockerfile:1
#
# Sereno in one image: the console is built with Node, embedded into the binary by Cargo, and only
# the binary and the shipped pipelines reach the last stage.
#
#   docker build -t sereno:0.1.0 .

FROM node:22-bookworm-slim AS console
WORKDIR /console
COPY console/package.json console/package-lock.json console/.npmrc* ./
RUN --mount=type=cache,target=/root/.npm npm ci
COPY console/ ./
RUN npm run build

FROM rust:1.95-bookworm AS builder
# Debian's point releases carry the security fixes; a pinned version would hold them back.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libssl-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /sereno
COPY . .
COPY --from=console /console/dist console/dist
# The target directory is a cache, not a layer: the binary is copied out of it in the same step.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/sereno/target \
    cargo build --release --locked --workspace \
    && install -D -m 0755 target/release/sereno /out/sereno

FROM debian:bookworm-slim
# curl is the health check's; the time zone database is in the binary.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates curl libssl3 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 sereno \
    && useradd --system --uid 10001 --gid 10001 --home-dir /var/lib/sereno --shell /usr/sbin/nologin sereno \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/sereno
COPY --from=builder /out/sereno /usr/local/bin/sereno
COPY pipelines /etc/sereno/pipelines
COPY LICENSE /usr/share/doc/sereno/LICENSE
USER 10001:10001
WORKDIR /var/lib/sereno
VOLUME /var/lib/sereno
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=10s --start-period=30s --retries=4 \
    CMD ["curl", "--fail", "--silent", "--show-error", "--max-time", "5", "--output", "/dev/null", "http://127.0.0.1:8080/api/v1/status"]
ENTRYPOINT ["sereno"]
CMD ["run", "--config", "/etc/sereno/sereno.toml"]
