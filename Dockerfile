# mcpace in a small image: generator and reference server are the same binary.
#
#   docker build -t mcpace .
#   docker run --rm mcpace serve --host 0.0.0.0 --allowed-host mcp-server
#
# A binary that was built on the host (as dist/mcpace, against a C library no newer than the runtime image's) is taken
# with --build-arg BINARY_FROM=prebuilt; then nothing is compiled here.
ARG BUILD_IMAGE=rust:1-slim-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim
ARG BINARY_FROM=build

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src ./src
COPY bench ./bench
RUN cargo build --release --locked --bin mcpace && install -D target/release/mcpace /dist/mcpace

FROM scratch AS prebuilt
COPY dist/mcpace /dist/mcpace

FROM ${BINARY_FROM} AS binary

FROM ${RUNTIME_IMAGE}
RUN mkdir /results && chown 10001:10001 /results
COPY --from=binary --chmod=0755 /dist/mcpace /usr/local/bin/mcpace
USER 10001:10001
WORKDIR /results
EXPOSE 8000 9464
STOPSIGNAL SIGTERM
ENTRYPOINT ["mcpace"]
CMD ["--help"]
