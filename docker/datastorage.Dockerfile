# The Data Storage service. GO_IMAGE: any image with the Go toolchain.
ARG GO_IMAGE
FROM ${GO_IMAGE} AS build
USER 0
WORKDIR /src
ENV PATH=/usr/local/go/bin:$PATH CGO_ENABLED=0 GOFLAGS=-buildvcs=false
COPY go.mod go.sum ./
COPY api/openapi/ api/openapi/
COPY internal/datastorage/ internal/datastorage/
COPY cmd/datastorage/ cmd/datastorage/
ARG REVISION=unknown
# The compiler fetches the few modules it needs; a download of the whole go.mod would be a hundred times more.
RUN --mount=type=secret,id=ca,target=/run/secrets/ca.pem \
    --mount=type=cache,id=kubernaut-gomod,target=/root/go/pkg/mod \
    --mount=type=cache,id=kubernaut-gobuild,target=/root/.cache/go-build \
    if [ -s /run/secrets/ca.pem ]; then export SSL_CERT_FILE=/run/secrets/ca.pem; fi; \
    export GOMODCACHE=/root/go/pkg/mod GOCACHE=/root/.cache/go-build; \
    go build -trimpath -ldflags="-s -w -X main.revision=${REVISION}" -o /out/datastorage ./cmd/datastorage

FROM scratch
COPY --from=build --chown=65532:65532 /out/datastorage /datastorage
USER 65532:65532
EXPOSE 8080 9090
ENTRYPOINT ["/datastorage"]
