#!/bin/sh
# Makes a data directory that recovers to a point in time when PostgreSQL is next started on it.
#
#   restore.sh BASE_BACKUP WAL_DIRECTORY NEW_DATA_DIRECTORY (time='2026-11-22 10:00:00+00' | name=POINT | lsn=0/3000000)
#
# The new server begins a new timeline. Start no worker before you have read "After a restore" in the operations guide.
set -eu
base=$1
wal=$2
data=$3
target=$4
case "$target" in
    time=*|name=*|lsn=*) ;;
    *) echo "restore.sh: name the point as time=…, name=… or lsn=…" >&2; exit 2 ;;
esac
if [ -e "$data" ]; then
    echo "restore.sh: $data is there already; name a directory that does not exist" >&2
    exit 2
fi
part="$data.part"
rm -rf "$part"
cp -R "$base" "$part"
chmod 700 "$part"
# The embedded server keeps its socket among its data; the lock of the one that was backed up is nobody's here.
rm -f "$part"/.s.PGSQL.*
# The restored server must not write into the log that it is restored from.
cat >> "$part/postgresql.auto.conf" <<CONF
restore_command = 'cp "$wal/%f" "%p"'
recovery_target_${target%%=*} = '${target#*=}'
recovery_target_action = 'promote'
archive_mode = 'off'
CONF
: > "$part/recovery.signal"
sync
mv "$part" "$data"
echo "Start PostgreSQL on $data; it recovers to ${target}, and accepts writes once pg_is_in_recovery() is false."
