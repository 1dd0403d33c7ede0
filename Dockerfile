# drydock's own image, for those who have docker: docker build -t drydock .
# What is in it beside the program stands in deploy/image/packages: the clients that read and restore PostgreSQL, and the
# servers that drills and Redis restores start for themselves. The image of the tests (tests/cluster/images/recipes/drydock)
# is made of the same.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin drydock

FROM debian:bookworm-slim
COPY deploy/image/packages /tmp/packages
RUN apt-get update \
 && printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d \
 && DEBIAN_FRONTEND=noninteractive xargs -a /tmp/packages apt-get install -y --no-install-recommends \
 && rm -rf /usr/sbin/policy-rc.d /tmp/packages /var/lib/apt/lists/* /var/lib/postgresql/* /etc/postgresql/* \
 && groupadd --system --gid 65532 drydock \
 && useradd --system --uid 65532 --gid 65532 --home-dir /var/lib/drydock --create-home drydock
COPY --from=build /src/target/release/drydock /usr/local/bin/drydock
USER 65532:65532
WORKDIR /var/lib/drydock
# tini ends what a drill's servers leave behind: in a container nobody else does.
ENTRYPOINT ["tini", "--", "drydock"]
CMD ["--help"]
