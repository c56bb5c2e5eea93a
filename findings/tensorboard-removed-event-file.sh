#!/usr/bin/env bash
# TensorBoard 2.21.0 (PyPI, with tensorboard-data-server 0.7.2): an event file that it has read is replaced or removed while it serves.
#
# One would guess: a running TensorBoard shows what is in the folder. A program that rewrites a run's event file without its last points, as
# after a resume from an earlier step, would then see these points go.
# Seen: a replaced file is not read again: both readers go on to serve points 5 and 6, and never the points that the new file has besides. Of a
# file that is removed, with a later one beside it, the default reader forgets all points and serves those of the later one alone. That in
# Python (--load_fast=false) keeps them, and never serves those of the later one.
set -euo pipefail
work="$(mktemp -d)"
trap 'kill "${fast:-}" "${slow:-}" 2>/dev/null || true; rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: tensorboard==2.21.0 'setuptools<81' 2>/dev/null
unset PYTHONPATH
cat >"$work/write.py" <<'PYTHON'
"""Writes an event file by TensorBoard's own writer: write.py FILE STEP..."""
import glob, os, sys, tempfile, time
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

path, *steps = sys.argv[1:]
folder = tempfile.mkdtemp(dir=os.environ["WORK"])
writer = EventFileWriter(folder)
for step in map(int, steps):
    value = Summary.Value(tag="loss", simple_value=step)
    writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=[value])))
writer.close()
os.replace(glob.glob(f"{folder}/*tfevents*")[0], path)
PYTHON
write() { WORK="$work" "$work/env/bin/python" "$work/write.py" "$@"; }
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
mkdir -p "$work/runs/replaced" "$work/runs/removed"
for run in replaced removed; do write "$work/runs/$run/events.out.tfevents.1" 1 2 3 4 5 6; done

fast_port="$(port)"
"$work/env/bin/tensorboard" --logdir "$work/runs" --port "$fast_port" --reload_interval 1 >"$work/log" 2>&1 &
fast=$!
slow_port="$(port)"
"$work/env/bin/tensorboard" --logdir "$work/runs" --port "$slow_port" --reload_interval 1 --load_fast=false >>"$work/log" 2>&1 &
slow=$!
# Steps that a TensorBoard serves of a run.
steps() {
  curl -sf "http://127.0.0.1:$1/data/plugin/scalars/scalars?run=$2&tag=loss" |
    python3 -c 'import json, sys; print(*(step for _, step, _ in json.load(sys.stdin)))' 2>/dev/null || true
}
# Waits for what a TensorBoard serves of a run: expect PORT RUN STEPS.
expect() {
  for _ in $(seq 60); do
    [ "$(steps "$1" "$2")" = "$3" ] && echo "  $2: $3" && return
    sleep 0.5
  done
  echo "  $2: $(steps "$1" "$2"), and not $3" && exit 1
}
both() {
  echo "default reader, then --load_fast=false:"
  expect "$fast_port" "$1" "$2"
  expect "$slow_port" "$1" "${3:-$2}"
}
both replaced '1 2 3 4 5 6'
both removed '1 2 3 4 5 6'
echo '--- replaced by a file with steps 1 to 4 and 7; removed, and later a file with step 7 beside'
write "$work/runs/replaced/events.out.tfevents.1" 1 2 3 4 7
rm "$work/runs/removed/events.out.tfevents.1"
# Longer than either takes to look again.
sleep 10
write "$work/runs/removed/events.out.tfevents.2" 7
sleep 10
both replaced '1 2 3 4 5 6'
both removed '7' '1 2 3 4 5 6'
echo 'as described'
