#!/bin/sh
# PostgreSQL's archive_command: keeps one segment of the write-ahead log, whole or not at all.
#
#   archive_command = '/path/to/archive-wal.sh %p /backups/wal/%f'
#
# A segment that is there already is fine where it is the same (PostgreSQL asks again after a crash), an error otherwise.
set -eu
from=$1
to=$2
if [ -e "$to" ]; then
    cmp -s "$from" "$to"
    exit $?
fi
part="$to.part.$$"
trap 'rm -f "$part"' EXIT
cp "$from" "$part"
sync "$part"
mv "$part" "$to"
sync "$(dirname "$to")"
