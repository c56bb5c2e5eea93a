#!/bin/sh
# Subject: OpenCV (opencv-python-headless 5.0.0.93, PyPI), `cvtColor` with COLOR_RGB2LAB on bytes, by which colorization networks make
# their input and their targets.
#
# The documentation gives the formula of CIELAB and says that bytes hold L x 255/100, a + 128 and b + 128. One would guess that a byte is the
# formula's number rounded, off by half a level at most; or, since tables stand for powers there, by one.
#
# Seen, over all 16,777,216 colours: L is off by up to 1.55 levels, a by 2.67, b by 1.70, each at a dark colour such as (28, 17, 26). Targets made
# so are not the formula's, and two programs that make them by other means differ by more than rounding.
#
# Exits with 1 when that is no longer so.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install --quiet --disable-pip-version-check opencv-python-headless==5.0.0.93
cat > "$dir/lab.py" <<'PYTHON'
import sys
import cv2
import numpy as np

# sRGB (IEC 61966-2-1) to CIELAB by the white of D65, in float64.
TO_XYZ = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
levels = np.arange(256) / 255
linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)

def exact(rgb):
    xyz = linear[rgb] @ TO_XYZ.T / TO_XYZ.sum(1)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([(116 * y - 16) * 2.55, 500 * (x - y) + 128, 200 * (y - z) + 128], -1)

worst, where = np.zeros(3), [None] * 3
green, blue = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8), indexing="ij")
for red in range(256):
    rgb = np.stack([np.full_like(green, red), green, blue], -1)
    error = np.abs(cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB) - exact(rgb))
    for i in range(3):
        at = np.unravel_index(error[..., i].argmax(), green.shape)
        if error[at][i] > worst[i]:
            worst[i], where[i] = error[at][i], rgb[at].tolist()
for name, error, colour in zip(("L", "a", "b"), worst, where):
    print(f"{name}: off by up to {error:.2f} levels, at the colour {colour}")
rounded = bool((worst <= 0.51).all())
sys.exit(0 if not rounded and worst[1:].max() > 1.5 and worst[0] > 0.6 else 1)
PYTHON
"$dir/env/bin/python" "$dir/lab.py"
