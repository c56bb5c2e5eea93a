#!/usr/bin/env bash
# Trains on two ranks under torchrun, on the CPU, and kills one: torchrun restarts both, and the run goes on from its last checkpoint.
#
#     scripts/check-torchrun.sh [TORCHRUN]     of any PyTorch 2; the LibTorch that trains is the addon's
#
# Prints the losses of a run that was not killed beside those of the one that was, and fails where they differ.
set -euo pipefail
cd "$(dirname "$0")/.."
torchrun=${1:-torchrun}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
options=(train --preset tiny --engine torch --device cpu --threads 1 --workers 1 --batch 16 --checkpoint-every 2 --steps 8
  --shards fixtures/shards/train-*.tar --resume auto)
launch() { "$torchrun" --no-python --nproc-per-node 2 --max-restarts "$1" node bin/detco.cjs "${options[@]}" --out "$2"; }
losses() { node -e 'for (const line of require("fs").readFileSync(process.argv[1], "utf8").trim().split("\n")) {
  const { step, loss } = JSON.parse(line); if (loss !== undefined) console.log(step, loss) }' "$1/metrics.jsonl"; }

launch 0 "$work/whole"
launch 1 "$work/killed" &
until [ -f "$work/killed/metrics.jsonl" ] && [ "$(wc -l < "$work/killed/metrics.jsonl")" -ge 4 ]; do sleep 0.2; done
for process in $(pgrep -f "detco.cjs train .*$work/killed"); do
  if tr '\0' '\n' < "/proc/$process/environ" | grep -qx RANK=1 && [ "$(cat "/proc/$process/comm")" = node ]; then
    kill -KILL "$process"
    echo "killed rank 1 after $(wc -l < "$work/killed/metrics.jsonl") updates"
    break
  fi
done
wait %1
paste <(losses "$work/whole") <(losses "$work/killed")
cmp <(losses "$work/whole") <(losses "$work/killed") && echo 'the same losses'
