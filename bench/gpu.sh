#!/usr/bin/env bash
# All that there is to check on a machine with an NVIDIA GPU, a python3 with PyTorch and torchvision, CMake and g++. Needs no Node and no
# network: `npm run pack:gpu` makes a folder of this script and everything it needs.
#
#     gpu.sh [OUT] [build contract conformance golden recorded views decode bench train scaling]
#
# OUT (default ./gpu-results) gets results.json, table.txt and a log of each part. Without names all parts but `scaling` run, under ten
# minutes on a machine with 16 cores; each has a time limit, and one that fails does not stop the next. `scaling`, of the pipeline alone,
# takes five minutes more, needs no GPU, and leaves scaling.json. A later call on the same machine finds what an earlier one unpacked and
# built. Settings, from the environment:
#   RECORDED_STEPS (100), PEERS (eager; or several of eager,graph,compile,compile+graph, of which each but the first two takes a minute more),
#   BATCHES (64 128 256), PRECISIONS (tf32 bf16), BENCH_SECONDS (270), BENCH_LIMIT (120, of one of them), TRAIN_BATCH (256), TRAIN_STEPS (30), PHOTOS (2048), DEVICE (cuda)
set -u
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:-gpu-results}"
out=$(cd "${1:-gpu-results}" && pwd)
shift $(($# > 0))
parts=${*:-build contract conformance golden recorded views decode bench train}
device=${DEVICE:-cuda}
export DETCO_DEVICE=$device

# In the packed folder: unpack once. In a checkout (after npm run build): use it as it is.
if [ -f "$here/detco.tar.xz" ]; then
  root=${TMPDIR:-/tmp}/detco-gpu-$(cksum <"$here/detco.tar.xz" | cut -d' ' -f1)
  unxz() { xz -dc "$1" 2>/dev/null || python3 -c 'import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.argv[1]), sys.stdout.buffer)' "$1"; }
  if [ ! -x "$root/bin/node" ]; then
    mkdir -p "$root/bin"
    unxz "$here/detco.tar.xz" | tar -xf - -C "$root" --strip-components=1 && unxz "$here/node.xz" >"$root/bin/node" && chmod +x "$root/bin/node"
  fi
  export PATH=$root/bin:$PATH
else
  root=$(dirname "$here")
fi
# Results that are not final, kept apart from OUT: a few files there are easier to bring back.
work=${TMPDIR:-/tmp}/detco-gpu-work
mkdir -p "$work"
cd "$root" || exit 1

# step PART NAME SECONDS COMMAND...: output to OUT/PART.log, a line (part, name, exit code, seconds) to steps.tsv.
step() {
  local part=$1 name=$2 limit=$3 began=$SECONDS code
  shift 3
  printf '\n== %s, at most %s s: %s\n' "$name" "$limit" "$*" >>"$out/$part.log"
  timeout -k 5 "$limit" "$@" >>"$out/$part.log" 2>&1
  code=$?
  printf '%s\t%s\t%s\t%s\n' "$part" "$name" "$code" $((SECONDS - began)) >>"$work/steps.tsv"
  echo "$part: $name: exit code $code, $((SECONDS - began)) s"
}
# `timeout` runs programs, not functions: no quotes around it.
detco="node $root/bin/detco.cjs"

build() {
  step build build 170 $detco engine build torch --json
  step build doctor 30 $detco doctor
}

contract() {
  for file in contract torch; do
    step contract "$file" 90 node --test --test-reporter=spec "test/$file.test.mjs"
  done
}

conformance() {
  export DETCO_DIST=$root/dist
  step conformance tfjs-core 90 node test/conformance.mjs --engine torch --device "$device"
}

golden() {
  local method
  # DetCo's networks by their files, every other method by its own. Not resnet50 in bf16: PyTorch's own autocast is 3.6e-2 off there,
  # beyond the tolerance of 2e-2. Nor the others: of SimCLR the loss is 1.6e-2 off on a CPU.
  replay resnet18 fp32
  replay resnet50 fp32
  replay resnet18 bf16
  for method in $(registered 'METHOD_NAMES.join(" ")'); do
    if [ -f "fixtures/golden/$method.json" ]; then replay "$method" fp32; fi
  done
}

# replay FILE PRECISION
replay() {
  step golden "$1-$2" 90 sh -c \
    "node scripts/golden.mjs fixtures/golden/$1.json --engine torch --device $device --precision $2 --json >$work/golden-$1-$2.json"
}

# registered EXPRESSION, in JavaScript, of the registry of methods
registered() {
  node --input-type=module -e "import { METHOD_NAMES, METHOD_PRESETS } from '$root/dist/model/index.js'; console.log($1);"
}

# Is the step of each method recorded, and does the record do what the step does?
recorded() {
  step recorded steps 180 node --test --test-reporter=spec test/recorded.test.mjs
  local preset optimizer
  for preset in $(registered 'Object.keys(METHOD_PRESETS).filter((name) => name.startsWith("tiny")).join(" ")'); do
    for optimizer in sgd lars; do
      step recorded "$preset-$optimizer" 60 sh -c "node bench/soak-step.mjs --preset $preset --optimizer $optimizer --engine torch \
        --device $device --steps ${RECORDED_STEPS:-100} --json >$work/recorded-$preset-$optimizer.json"
    done
  done
}

# What --augment device leaves to the GPU.
views() {
  local precision
  for precision in ${PRECISIONS:-tf32 bf16}; do
    step views "$precision" 60 sh -c "node bench/views.mjs --engine torch --device $device --precision $precision --batch ${TRAIN_BATCH:-256} \
      --json >$work/views-$precision.json"
  done
}

# What --decode device leaves to it: pixels, pace, and whether four workers feed an update.
decode() {
  photos decode
  step decode views 90 sh -c "node bench/device-decode.mjs --shards '$work/photos/train-*.tar' --device $device --batch ${TRAIN_BATCH:-256} \
    --json >$work/decode.json"
  trained decode --augment device --decode device --workers 4
}

# Ends with what is measured after BENCH_SECONDS: a later call may ask for other BATCHES.
bench() {
  local until=$((SECONDS + ${BENCH_SECONDS:-270})) result
  for batch in ${BATCHES:-128 64 256}; do
    for precision in ${PRECISIONS:-bf16 tf32}; do
      [ $SECONDS -lt $until ] || { echo "bench: $batch-$precision: left out, no time" | tee -a "$out/bench.log" && continue; }
      result=$work/bench-$batch-$precision.json
      rm -f "$result"
      step bench "$batch-$precision" "${BENCH_LIMIT:-120}" node bench/step.mjs --device "$device" --precision "$precision" --batch "$batch" --eager \
        --peer "${PEERS:-eager}" --rounds 1 --steps 8 --threads "$(nproc)" --out "$result" ${BENCH_OPTIONS:-}
    done
  done
}

# From shards to updates: does the GPU wait for data?
train() {
  photos train
  trained train ${TRAIN_OPTIONS:-}
}

# photos PART
photos() {
  local shards=$work/photos
  if [ ! -d "$shards" ]; then
    step "$1" synth 90 $detco synth --out "$shards" --count "${PHOTOS:-2048}" --per-shard 64 --photo
    # Each shard four times: an epoch that ends among the updates would write a checkpoint, and the workers would catch up meanwhile.
    for copy in 1 2 3; do for shard in "$shards"/train-???.tar; do ln -s "$shard" "${shard%.tar}-$copy.tar"; done; done
  fi
}

# trained PART OPTION...
trained() {
  local part=$1
  shift
  rm -rf "$work/run-$part"
  step "$part" train 120 $detco train --shards "$work/photos/train-*.tar" --preset detco-r50 --engine torch --device "$device" --precision bf16 \
    --batch "${TRAIN_BATCH:-256}" --steps "${TRAIN_STEPS:-30}" --epochs 1000 --out "$work/run-$part" "$@"
}

# Do the workers of many cores hold each other up? Its peer is the PyTorch of this machine.
scaling() {
  step scaling pipeline 420 sh -c \
    "BENCH_PYTHON=$(command -v python3) node bench/pipeline.mjs --scaling --rounds 1 --seconds 5 --batch 64 --json >$out/scaling.json"
}

for part in $parts; do
  case $part in
    build | contract | conformance | golden | recorded | views | decode | bench | train | scaling)
      : >"$out/$part.log"
      # What an earlier call said of this part is replaced.
      touch "$work/steps.tsv" && sed -i "/^$part\t/d" "$work/steps.tsv"
      "$part"
      ;;
    *)
      echo "gpu.sh: unknown part \"$part\": expected build, contract, conformance, golden, recorded, views, decode, bench, train or scaling" >&2
      exit 2
      ;;
  esac
done
node bench/step/gpu-report.mjs "$work" "$out"
