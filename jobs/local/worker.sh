# One worker of the local batch system: runs waiting jobs, one after the other, until none is left.
# Arguments: QUEUE SLOT. At most one worker lives on a slot.
#
# QUEUE/waiting/NAME holds the path of a job script. Taking a job is a rename into QUEUE/running/.
# The file is locked (flock) before that rename, by the worker and by the job's shell, and until it
# has got its next place: what lies in QUEUE/running/ without a lock has died. A lock, unlike a
# process number, is never taken over by somebody else and never survives a crash or a reboot.
queue=$1 slot=$2
exec 2> /dev/null

# START

take() {
  for job in $(ls -1tr "$queue/waiting" 2>/dev/null); do
    command exec 8< "$queue/waiting/$job" || continue
    flock -n 8 && mv "$queue/waiting/$job" "$queue/running/$job" 2>/dev/null && return 0
  done
  exec 8<&-
  return 1
}

while [ -n "$(ls -A "$queue/waiting" 2>/dev/null)" ]; do
  exec 9> "$queue/slot.$slot"
  flock -n 9 || exit 0
  find_place || exit 0
  while take; do
    read -r script <&8
    start "$script" 9>&- < /dev/null > /dev/null
    mv "$queue/running/$job" "$queue/ended/$job" 2>/dev/null
  done
  # Let go, then look again: a job that came in between found this slot taken.
  exec 9>&-
done
