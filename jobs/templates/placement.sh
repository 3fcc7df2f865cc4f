# Where a trial runs that shares a job, or a whole allocation, with others.

# The nodes of this job, one a line, each once.
ph_nodes() {
  if [ -r "${PBS_NODEFILE:-}" ]; then
    awk '!seen[$0]++' "$PBS_NODEFILE"
  elif [ -n "${SLURM_JOB_NODELIST:-}" ]; then
    scontrol show hostnames "$SLURM_JOB_NODELIST"
  else
    uname -n
  fi
}
# Line $1, from 0, of the nodes in $2.
ph_node() { printf '%s\n' "$2" | sed -n "$(($1 + 1))p"; }
# Device $1, from 0. A scheduler that gave only some of a node's devices named them in the variable ($2).
ph_device() { printf '%s\n' "$2" | awk -F , -v n="$1" '{ print NF ? $(n % NF + 1) : n }'; }
