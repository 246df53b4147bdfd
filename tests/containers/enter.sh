#!/usr/bin/env bash
# enter.sh ROOT PATH... -- COMMAND...: runs a command in a Debian tree that sees these folders and
# files of the host. Not chroot: Apptainer makes mount namespaces of its own, which need a real root.
set -euo pipefail
if [ "${ENTERED:-}" != yes ]; then
    ENTERED=yes exec unshare --mount --propagation private "$0" "$@"
fi
root=$1
shift
mount --bind "$root" "$root"
mount -t tmpfs tmpfs "$root/tmp"
mount -t proc proc "$root/proc"
for folder in /dev /sys; do mount --rbind "$folder" "$root$folder"; done
while [ "$1" != -- ]; do
    if [ -d "$1" ]; then
        mkdir -p "$root$1"
    else
        mkdir -p "$root${1%/*}"
        touch "$root$1"
    fi
    mount --rbind "$1" "$root$1"
    shift
done
shift
mkdir -p "$root/.host"
pivot_root "$root" "$root/.host"
cd /
umount --lazy /.host
exec "$@"
