#!/bin/sh
# Subject: nvJPEG (nvidia-nvjpeg 13.3.2.43, PyPI), `nvjpegCreateExV2`, by which a decoder gets allocators that know of streams.
#
# For `nvjpegCreateEx` the header says that an allocator may be NULL, which means CUDA's own. One would guess the same of its second form, whose
# allocators differ by a stream and a context.
#
# Seen: the second form refuses NULL in either place with INVALID_PARAMETER (2), before it looks for a GPU; with two allocators it goes as far as
# the first form does. Who wants the flags of the second form, such as upsampling as libjpeg does it, has to bring allocators.
#
# This was seen without a GPU, where what is not refused ends with EXECUTION_FAILED (6). Exits with 1 when that is no longer so.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install --quiet --disable-pip-version-check --no-deps --target "$dir/site" nvidia-nvjpeg==13.3.2.43
cat >"$dir/create.py" <<'PYTHON'
import ctypes
import glob
import sys

library = ctypes.CDLL(glob.glob(sys.argv[1] + "/nvidia/*/lib/libnvjpeg.so.*")[0])
INVALID_PARAMETER = 2

allocate = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p), ctypes.c_size_t, ctypes.c_void_p)
free = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)

class Allocator(ctypes.Structure):
    _fields_ = [("malloc", allocate), ("free", free), ("context", ctypes.c_void_p)]

# None of their calls succeeds: here they are only to be there.
given = [Allocator(allocate(lambda *_: 1), free(lambda *_: 1), None) for _ in range(2)]
device, pinned = (ctypes.byref(one) for one in given)

def create(name, first, second):
    handle = ctypes.c_void_p()
    status = getattr(library, name)(0, first, second, 0, ctypes.byref(handle))
    said = [("NULL" if one is None else "given") for one in (first, second)]
    print(f"{name}, allocator of the device {said[0]}, of pinned memory {said[1]}: status {status}")
    return status

plain = create("nvjpegCreateEx", None, None)
refused = [create("nvjpegCreateExV2", *pair) for pair in ((None, None), (device, None), (None, pinned))]
taken = create("nvjpegCreateExV2", device, pinned)
seen = plain != INVALID_PARAMETER and taken != INVALID_PARAMETER and all(status == INVALID_PARAMETER for status in refused)
sys.exit(0 if seen else 1)
PYTHON
"$dir/env/bin/python" "$dir/create.py" "$dir/site"
