"""Order statistics of runs of keys: pixel values as unsigned integers of the same order.

A *run* is what one region contains: ``keys[offsets[i]:offsets[i + 1]]``; its order is not preserved. Its *pairs* are
its distinct keys, ascending, each with the number of its pixels (int64) or their weight (float64). Kernels never
validate; the caller allocates outputs and scratch space.
"""

from __future__ import annotations

import numpy as np

from xcrater.kernels.compile import apart, inlined, jit

FEW = 32
"""Runs of up to this many keys are sorted by insertion."""

BUCKETS = 65536
"""Number of buckets, which is the length of the scratch space for counts."""

STRIDE = 64
"""Number of buckets that are skipped at a time in the search for a rank."""

DENSE = 4
"""Keys are counted rather than sorted if their range is at most this many times their number."""


@jit
def encode_floats(bits, sign, every):
    """Turn bits of floats into keys, in place; -0.0 becomes 0.0.

    Parameters
    ----------
    bits : ndarray of uint, shape (n,)
        Changed.
    sign, every : scalar of the same dtype
        The sign bit, and all bits.
    """
    for i in range(bits.size):
        b = bits[i]
        if b & sign and b != sign:
            bits[i] = b ^ every
        else:
            bits[i] = b | sign


@inlined
def _insertion(keys, weights, a, b):
    """Sort a few keys by insertion, and their weights along with them unless these are None."""
    for i in range(a + 1, b):
        key = keys[i]
        if weights is not None:
            weight = weights[i]
        j = i
        while j > a and keys[j - 1] > key:
            keys[j] = keys[j - 1]
            if weights is not None:
                weights[j] = weights[j - 1]
            j -= 1
        keys[j] = key
        if weights is not None:
            weights[j] = weight


@inlined
def _range(keys, a, b):
    """Smallest and largest key."""
    low = high = keys[a]
    for i in range(a + 1, b):
        low, high = min(low, keys[i]), max(high, keys[i])
    return np.uint64(low), np.uint64(high)


@inlined
def _ascending(keys, a, b):
    """Whether keys are sorted."""
    i = a + 1
    while i < b and keys[i - 1] <= keys[i]:
        i += 1
    return i >= b


@inlined
def _radix(keys, weights, spare_keys, spare_weights, a, b, low, high, counts):
    """Sort keys byte by byte from the lowest (radix sort), and their weights along with them unless these are None."""
    n = b - a
    differ = low ^ high
    top = np.uint64(0)
    while top < np.uint64(64) and differ >> top != np.uint64(0):
        top += np.uint64(8)
    shift = np.uint64(0)
    while shift < top:
        counts[:256] = 0
        for i in range(a, b):
            counts[np.int64((np.uint64(keys[i]) >> shift) & np.uint64(255))] += 1
        at, most = 0, 0
        for d in range(256):
            held = counts[d]
            counts[d] = at
            at += held
            most = max(most, held)
        if most < n:
            for i in range(a, b):
                digit = np.int64((np.uint64(keys[i]) >> shift) & np.uint64(255))
                place = counts[digit]
                counts[digit] = place + 1
                spare_keys[place] = keys[i]
                if weights is not None:
                    spare_weights[place] = weights[i]
            for i in range(n):
                keys[a + i] = spare_keys[i]
                if weights is not None:
                    weights[a + i] = spare_weights[i]
        shift += np.uint64(8)


@inlined
def _bucket_shift(low, high, buckets):
    """Bits by which distances from the lowest key are shifted right to give the number of a bucket."""
    shift = np.uint64(0)
    while (high - low) >> shift >= np.uint64(buckets):
        shift += np.uint64(1)
    return shift


@inlined
def _fill(keys, a, b, low, shift, counts):
    """Count the keys [a, b) in each bucket."""
    for i in range(a, b):
        counts[np.int64((np.uint64(keys[i]) - low) >> shift)] += 1


@inlined
def _keep(keys, a, b, low, shift, wanted, out):
    """Copy the keys of one bucket to the front of ``out``, which may be ``keys`` itself; returns their number."""
    m = np.int64(0)
    for i in range(a, b):
        key = keys[i]
        out[m] = key
        m += np.int64(((np.uint64(key) - low) >> shift) == wanted)  # branch-free: cannot be predicted
    return m


@inlined
def _next(keys, a, b, low, shift, counts, bucket):
    """Smallest key beyond a bucket that is not the last one with keys."""
    bucket += 1
    while counts[bucket] == 0:
        bucket += 1
    wanted = np.uint64(bucket)
    after = np.uint64(0xFFFFFFFFFFFFFFFF)
    for i in range(a, b):
        key = np.uint64(keys[i])
        if (key - low) >> shift == wanted:  # true for few keys
            after = min(after, key)
    return after


@inlined
def _find(counts, rank, bucket, before):
    """The bucket that contains a rank, and the rank of its first key; the search starts from a bucket not beyond it."""
    while bucket + STRIDE <= counts.size:
        held = np.int64(0)
        for j in range(bucket, bucket + STRIDE):
            held += np.int64(counts[j])
        if before + held > rank:
            break
        before += held
        bucket += STRIDE
    while before + counts[bucket] <= rank:
        before += counts[bucket]
        bucket += 1
    return bucket, before


@inlined
def _pick(keys, n, rank, after, counts):
    """Keys of a rank and of the next rank among n keys, whose order is not preserved.

    ``after`` is the key that follows the last of them. Every round keeps one bucket, which narrows the range by as many
    bits as a bucket's number has, so neither ties nor the order of keys affect the time.
    """
    while n > FEW:
        low, high = _range(keys, 0, n)
        if low == high:
            break
        buckets = 64 if n < 4096 else 1024
        shift = _bucket_shift(low, high, buckets)
        counts[:buckets] = 0
        _fill(keys, 0, n, low, shift, counts)
        bucket, before = _find(counts[:buckets], rank, 0, 0)
        if rank + 1 == before + counts[bucket] and rank + 1 < n:
            after = _next(keys, 0, n, low, shift, counts, bucket)
        n = _keep(keys, 0, n, low, shift, np.uint64(bucket), keys)
        rank -= before
    if n <= FEW:
        _insertion(keys, None, 0, n)
    below = np.uint64(keys[rank])
    return below, np.uint64(keys[rank + 1]) if rank + 1 < n else after


@inlined
def _ranks(q, n, mirrored):
    """Ranks of the keys on both sides of a quantile of n values; mirrored if larger keys are smaller values."""
    below = np.int64(q * (n - 1))
    above = min(below + 1, n - 1)
    return (n - 1 - above, n - 1 - below) if mirrored else (below, above)


@inlined
def select_run(keys, a, b, q, mirrored, spare, counts, run, low_key, high_key):
    """Do what `select` does, for one run that is not empty."""
    n = b - a
    if n <= FEW:
        _insertion(keys, None, a, b)
    if n <= FEW or _ascending(keys, a, b):
        for k in range(q.size):
            rank, upper = _ranks(q[k], n, mirrored)
            low_key[run, k], high_key[run, k] = keys[a + rank], keys[a + upper]
        return
    low, high = _range(keys, a, b)
    if high - low < np.uint64(min(BUCKETS, DENSE * n)):
        buckets = np.int64(high - low) + 1
    else:
        buckets = np.int64(64)
        while buckets < 4096 and buckets < n:
            buckets *= 2
    shift = _bucket_shift(low, high, buckets)
    counts[:buckets] = 0
    _fill(keys, a, b, low, shift, counts)
    if shift == np.uint64(0):
        select_counted(counts[:buckets], n, low, q, mirrored, run, low_key, high_key)
        return
    for k in range(q.size):
        rank, upper = _ranks(q[k], n, mirrored)
        bucket, before = _find(counts[:buckets], rank, 0, 0)
        m = _keep(keys, a, b, low, shift, np.uint64(bucket), spare)
        after = low
        if upper == before + counts[bucket]:
            after = _next(keys, a, b, low, shift, counts, bucket)
        # These counts are still needed: further rounds use those beyond them.
        low_key[run, k], above = _pick(spare, m, rank - before, after, counts[4096:])
        high_key[run, k] = above if upper > rank else low_key[run, k]


@inlined
def select_counted(counts, n, low, q, mirrored, run, low_key, high_key):
    """Keys of the ranks on both sides of each quantile of n keys, of which ``counts[j]`` equal ``low + j``."""
    bucket = before = 0
    for k in range(q.size):
        rank, upper = _ranks(q[k], n, mirrored)
        if rank < before:
            bucket = before = 0
        bucket, before = _find(counts, rank, bucket, before)
        low_key[run, k] = low + np.uint64(bucket)
        last = bucket
        if upper == before + counts[bucket]:
            last += 1
            while counts[last] == 0:
                last += 1
        high_key[run, k] = low + np.uint64(last)


@jit
def select(keys, offsets, q, mirrored, spare, counts, low_key, high_key):
    """Keys of the ranks on both sides of each quantile of each run that is not empty.

    Parameters
    ----------
    keys, offsets
        The runs.
    q : ndarray, shape (k,)
        Quantiles from 0 to 1.
    mirrored : bool
        Whether the largest key is the smallest value.
    spare : ndarray
        Scratch space as long as the longest run, of the keys' dtype.
    counts : ndarray of int64, shape (`BUCKETS`,)
        Scratch space.
    low_key, high_key : ndarray of uint64, shape (runs, k)
        Filled with the keys of rank ``floor(q (n - 1))`` and of the next one, counted from the end if mirrored; the
        smaller key first.
    """
    for run in range(offsets.size - 1):
        if offsets[run] < offsets[run + 1]:
            select_run(keys, offsets[run], offsets[run + 1], q, mirrored, spare, counts, run, low_key, high_key)


@inlined
def pairs_run(keys, weights, a, b, spare_keys, spare_weights, counts, dense, out, tally, at):
    """Write the pairs of one run that is not empty from position ``at`` on; returns the position past the last."""
    n = b - a
    low, high = _range(keys, a, b)
    if n > FEW and high - low < np.uint64(min(BUCKETS, DENSE * n)):
        buckets = np.int64(high - low) + 1
        dense[:buckets] = 0
        for i in range(a, b):
            if weights is not None:
                dense[np.int64(np.uint64(keys[i]) - low)] += weights[i]
            else:
                dense[np.int64(np.uint64(keys[i]) - low)] += 1
        return pairs_counted(dense, buckets, low, out, tally, at)
    if n <= FEW:
        _insertion(keys, weights, a, b)
    elif weights is not None or not _ascending(keys, a, b):
        _radix(keys, weights, spare_keys, spare_weights, a, b, low, high, counts)
    i = a
    while i < b:
        key = keys[i]
        total = tally[0] * 0
        while i < b and keys[i] == key:
            if weights is not None:
                total += weights[i]
            else:
                total += 1
            i += 1
        if total > 0:
            out[at] = key
            tally[at] = total
            at += 1
    return at


@inlined
def pairs_counted(counts, buckets, low, out, tally, at):
    """Write the pairs of keys, ``counts[j]`` of which equal ``low + j``; as `pairs_run`."""
    for j in range(buckets):
        if counts[j] > 0:
            out[at] = low + np.uint64(j)
            tally[at] = counts[j]
            at += 1
    return at


@jit
def to_pairs(keys, weights, offsets, spare_keys, spare_weights, counts, dense, tally, ends):
    """Turn runs into pairs, in place: the pairs of all runs follow one another from the front.

    Parameters
    ----------
    keys, offsets
        The runs.
    weights : ndarray of float64 or None
        Weight of each key; those of weight 0 are left out. None gives each pixel weight 1.
    spare_keys, spare_weights
        Scratch space as long as the longest run, of the keys' dtype and float64 (None without weights).
    counts : ndarray of int64, shape (`BUCKETS`,)
        Scratch space.
    dense : ndarray of int64 or float64, shape (`BUCKETS`,)
        Scratch space.
    tally : ndarray of int64 or float64
        Filled with the number or weight of each pair; as long as the keys. It may be the array of weights.
    ends : ndarray of int64, shape (runs + 1,)
        Filled with the position of each run's first pair, and the number of all pairs.
    """
    at = 0
    for run in range(offsets.size - 1):
        a, b = offsets[run], offsets[run + 1]
        ends[run] = at
        if a < b:
            at = pairs_run(keys, weights, a, b, spare_keys, spare_weights, counts, dense, keys, tally, at)
    ends[offsets.size - 1] = at


@jit
def merge_pairs(keys1, tally1, start1, stop1, keys2, tally2, start2, stop2, keys, tally, offsets):
    """Merge two sets of runs of pairs.

    Parameters
    ----------
    keys1, tally1, start1, stop1, keys2, tally2, start2, stop2 : ndarray
        Run i of either set is ``keys[start[i]:stop[i]]``, and may be empty.
    keys, tally : ndarray
        Filled with the merged pairs, one run after another.
    offsets : ndarray of int64, shape (runs + 1,)
        Filled with the position of each merged run's first pair, and the number of all pairs.
    """
    at = 0
    for run in range(start1.size):
        offsets[run] = at
        i, i_end, j, j_end = start1[run], stop1[run], start2[run], stop2[run]
        while i < i_end and j < j_end:
            x, y = keys1[i], keys2[j]
            if x < y:
                keys[at], tally[at] = x, tally1[i]
                i += 1
            elif y < x:
                keys[at], tally[at] = y, tally2[j]
                j += 1
            else:
                keys[at], tally[at] = x, tally1[i] + tally2[j]
                i += 1
                j += 1
            at += 1
        while i < i_end:
            keys[at], tally[at] = keys1[i], tally1[i]
            i += 1
            at += 1
        while j < j_end:
            keys[at], tally[at] = keys2[j], tally2[j]
            j += 1
            at += 1
    offsets[start1.size] = at


@apart
def pack(keys, tally, start, stop, packed_keys, packed_tally):
    """Copy runs of pairs, ``keys[start[i]:stop[i]]``, one after another, to the packed arrays."""
    at = 0
    for run in range(start.size):
        a, b = start[run], stop[run]
        n = b - a
        some_keys, some_tally = keys[a:b], tally[a:b]
        to_keys, to_tally = packed_keys[at : at + n], packed_tally[at : at + n]
        for i in range(n):
            to_keys[i], to_tally[i] = some_keys[i], some_tally[i]
        at += n


@jit
def select_pairs(keys, count, start, stop, q, mirrored, low_key, high_key, number):
    """Do what `select` does, for runs as pairs, ``keys[start[i]:stop[i]]``; ``number`` gets the pixels of each."""
    for run in range(start.size):
        a, b = start[run], stop[run]
        n = 0
        for i in range(a, b):
            n += count[i]
        number[run] = n
        if n == 0:
            continue
        for k in range(q.size):
            rank, upper = _ranks(q[k], n, mirrored)
            i, past = a, count[a]
            while past <= rank:
                i += 1
                past += count[i]
            low_key[run, k] = keys[i]
            if upper == past:
                i += 1
            high_key[run, k] = keys[i]


@jit
def count_digits(keys, shift, prefixes, counts):
    """Histogram 16 bits of the keys, for each of some prefixes: the bits above them.

    Parameters
    ----------
    keys : ndarray of uint, shape (n,)
        The keys.
    shift : uint64
        Number of bits below the 16.
    prefixes : ndarray of uint64, shape (k,)
        The prefixes, ascending.
    counts : ndarray of int64, shape (k, 65536)
        The numbers of keys are added.
    """
    last = prefixes.size - 1
    for i in range(keys.size):
        digits = np.uint64(keys[i]) >> shift
        prefix = digits >> np.uint64(16)
        if prefixes[0] <= prefix <= prefixes[last]:
            for k in range(last + 1):
                if prefixes[k] == prefix:
                    counts[k, np.int64(digits & np.uint64(65535))] += 1
