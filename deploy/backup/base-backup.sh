#!/bin/sh
# One base backup, verified. With the archived write-ahead log it restores to any moment after its end.
#
#   base-backup.sh CONNECTION DIRECTORY
#
# CONNECTION is what libpq takes (a URL or "host=… user=…") of a user with REPLICATION; DIRECTORY must not exist.
# PGBIN names the directory of PostgreSQL's programs, where they are not on the path. VERIFY=no leaves the check out: the
# pg_verifybackup among the embedded server's programs ends with a segmentation fault.
set -eu
connection=$1
directory=$2
bin=${PGBIN:+$PGBIN/}
"${bin}pg_basebackup" --dbname="$connection" --pgdata="$directory" --checkpoint=fast --wal-method=stream \
    --manifest-checksums=sha256 --no-password
if [ "${VERIFY:-yes}" = yes ]; then
    if ! "${bin}pg_verifybackup" --quiet "$directory"; then
        echo "base-backup.sh: $directory was not verified: pg_verifybackup failed. Where it ended by a signal (as that of" \
            "the embedded server does), check it with another copy of that program, or set VERIFY=no." >&2
        exit 1
    fi
    echo "A verified base backup is in $directory."
else
    echo "A base backup is in $directory. It was not verified."
fi
