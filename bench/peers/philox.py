"""Random numbers by counters, for statements whose method draws: Philox4x32-10 (Salmon et al., SC'11) in the streams of `Random`."""
from golden_torch import fnv1a


def philox4x32(c, k):
    c, k = list(c), list(k)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & 0xFFFFFFFF, (a >> 32) ^ c[3] ^ k[1], a & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


# The vectors of the paper's code for counters and keys of zeros and ones.
assert philox4x32([0] * 4, [0] * 2) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
assert philox4x32([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]


def stream(seed, name, *rest):
    """Whole numbers below what is sent: `next_below = stream(...).send`."""
    words = [fnv1a(name), *rest, 0, 0, 0][:3]
    limit, block = (yield), 0
    while True:
        for word in philox4x32([block, *words], [seed, 0]):
            limit = yield word * limit >> 32
        block += 1


def below(seed, name, *rest):
    numbers = stream(seed, name, *rest)
    next(numbers)
    return numbers.send


def permutation(next_below, n):
    """Fisher-Yates, from the last place down."""
    order = list(range(n))
    for i in range(n - 1, 0, -1):
        j = next_below(i + 1)
        order[i], order[j] = order[j], order[i]
    return order
