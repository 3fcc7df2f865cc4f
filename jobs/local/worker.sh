# One worker of the local batch system: runs waiting jobs, one after the other, until none is left.
# Arguments: QUEUE SLOT. At most one worker lives on a slot.
#
# QUEUE/waiting/NAME holds the path of a job script. Taking a job is a rename into QUEUE/running/.
# While a job runs, its file in QUEUE/running/ is locked (flock): a lock, unlike a process number,
# is never taken over by somebody else and never survives a crash or a reboot.
queue=$1 slot=$2

take() {
  for job in $(ls -1tr "$queue/waiting" 2>/dev/null); do
    mv "$queue/waiting/$job" "$queue/running/$job" 2>/dev/null && return 0
  done
  return 1
}

while [ -n "$(ls -A "$queue/waiting" 2>/dev/null)" ]; do
  exec 9> "$queue/slot.$slot"
  flock -n 9 || exit 0
  while take; do
    read -r script < "$queue/running/$job"
    ( flock -n 8 && exec sh "$script" 9>&- ) 8< "$queue/running/$job" < /dev/null > /dev/null 2>&1
    mv "$queue/running/$job" "$queue/ended/$job" 2>/dev/null
  done
  # Let go, then look again: a job that came in between found this slot taken.
  exec 9>&-
done
