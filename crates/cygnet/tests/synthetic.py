"""The formula of `cygnet::verify::synthetic`, for the scripts that write what references compute."""

import numpy as np

MASK = (1 << 64) - 1


def synthetic(name, shape):
    h = 0xCBF29CE484222325
    for b in name.encode():
        h = ((h ^ b) * 0x100000001B3) & MASK
    n = int(np.prod(shape))
    with np.errstate(over="ignore"):
        z = np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(h)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    v = 2 * ((z >> np.uint64(40)).astype(np.float64) / 2**24) - 1
    return v.reshape(shape)
