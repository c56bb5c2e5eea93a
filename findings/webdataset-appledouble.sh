#!/bin/sh
# Subject: webdataset 1.0.2 (PyPI), the newest release of the reader and writer of WebDataset shards.
#
# macOS's tar packs the attributes of `mac/000.jpg` as a member `mac/._000.jpg` before it. One would guess that a reader
# skips such names, as it does at the top of an archive (`._000.jpg` has no key there), or makes a sample of its own of each.
#
# Seen: within a folder the key of `mac/._000.jpg` is the folder, `mac/`, and its field is `_000.jpg`. The expression for
# keys, ^((?:.*/|)[^.]+)[.]([^/]*)$, lets the part before the first dot reach back over the slash. All `._` files of a folder
# that lie together become fields of one false sample, without an image decoder's complaint until a field is decoded.
#
# Exits with 1 when that is no longer so.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install --quiet --disable-pip-version-check webdataset==1.0.2
cd "$dir"
cat > keys.py <<'PYTHON'
import io, sys, tarfile, webdataset

def keys(*names):
    with tarfile.open('shard.tar', 'w') as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 4
            tar.addfile(member, io.BytesIO(b'data'))
    samples = webdataset.WebDataset('shard.tar', shardshuffle=False, empty_check=False)
    return [(s['__key__'], sorted(f for f in s if not f.startswith('__'))) for s in samples]

top = keys('._000.jpg', '000.jpg', '._001.jpg', '001.jpg')
folder = keys('mac/._000.jpg', 'mac/._001.jpg', 'mac/000.jpg', 'mac/001.jpg')
print('at the top:', top)
print('in a folder:', folder)
sys.exit(not (
    top == [('000', ['jpg']), ('001', ['jpg'])]
    and folder == [('mac/', ['_000.jpg', '_001.jpg']), ('mac/000', ['jpg']), ('mac/001', ['jpg'])]
))
PYTHON
"$dir/env/bin/python" keys.py
