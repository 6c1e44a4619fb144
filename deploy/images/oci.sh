# shellcheck shell=bash
# OCI archives with tar and jq alone; sourced. The same input gives the same bytes.

# What the archive is made of: a folder, which the caller sets.
layout=

# add_blob TYPE FILE: moves the file among the blobs, and prints its descriptor.
add_blob() {
    local sum size
    sum=$(sha256sum "$2" | cut -d ' ' -f 1)
    size=$(stat --format %s "$2")
    mkdir -p "$layout/blobs/sha256"
    mv "$2" "$layout/blobs/sha256/$sum"
    jq --null-input --compact-output --arg type "application/vnd.oci.image.$1" --arg digest "sha256:$sum" \
        --argjson size "$size" '{ mediaType: $type, digest: $digest, size: $size }'
}

# get_blob DESCRIPTOR: the path of what it describes.
get_blob() {
    local digest
    digest=$(jq --raw-output .digest <<<"$1")
    echo "$layout/blobs/${digest/://}"
}

# pack FOLDER: its files, as everybody's, in order.
pack() {
    tar --create --directory "$1" --sort=name --mtime=@0 --numeric-owner --format=gnu "${@:2}" .
}

# write_archive NAME CONFIG LAYERS ARCHIVE: CONFIG is a file, LAYERS are descriptors of blobs that are there.
write_archive() {
    local config manifest
    config=$(add_blob config.v1+json "$2")
    jq --null-input --compact-output --argjson config "$config" --argjson layers "$3" '{
        schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json", config: $config, layers: $layers
    }' >"$layout/manifest"
    manifest=$(add_blob manifest.v1+json "$layout/manifest")
    jq --compact-output --arg name "$1" '{ schemaVersion: 2, manifests: [. + { annotations: {
        "io.containerd.image.name": $name, "org.opencontainers.image.ref.name": $name
    } }] }' <<<"$manifest" >"$layout/index.json"
    echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
    pack "$layout" --owner=0 --group=0 >"$4.part"
    mv "$4.part" "$4"
}
