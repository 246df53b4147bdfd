#!/usr/bin/env bash
# Builds envs/image.sif with what is there: podman or docker and apptainer, or apptainer alone.
# BASE names another base image; ENGINE_FLAGS are options of podman or docker.
set -euo pipefail
cd "$(dirname "$0")"
engine=$(command -v podman || command -v docker || true)
if [ -n "$engine" ]; then
    # shellcheck disable=SC2086 - several options
    "$engine" build ${ENGINE_FLAGS:-} ${BASE:+--build-arg "BASE=$BASE"} \
        --file Containerfile --tag vision-in-silico .
    "$engine" save --output image.tar vision-in-silico
    if ! command -v apptainer > /dev/null; then
        echo "envs/image.tar is ready; where Apptainer is:" \
            "apptainer build envs/image.sif docker-archive:envs/image.tar"
        exit
    fi
    apptainer build --force image.sif docker-archive:image.tar
    rm image.tar
elif command -v apptainer > /dev/null; then
    apptainer build --force ${BASE:+--build-arg "BASE=$BASE"} image.sif image.def
else
    echo "error: needs podman, docker or apptainer; install one of them" >&2
    exit 1
fi
