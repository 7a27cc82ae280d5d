"""Runs of regions without the discs of neighbouring craters."""

from __future__ import annotations

from xcrater.kernels.compile import inlined, jit


@inlined
def _run_from(runs, first, stop, row):
    """The first of some runs, rows ascending, that lies in a row or after it."""
    while first < stop:
        middle = (first + stop) // 2
        if runs[0, middle] < row:
            first = middle + 1
        else:
            stop = middle
    return first


@inlined
def _join(cuts, begin, rows, left, depth):
    """Sort the pieces of each row, which begin at ``begin[r]``, and join those that meet or overlap, in place."""
    n, first = 0, begin[0]
    for r in range(rows):
        stop = begin[r + 1]
        begin[r] = n
        if stop - first == 1:
            cuts[0, n], cuts[1, n] = cuts[0, first], cuts[1, first]
            n += 1
        elif stop > first:
            # Count up where one begins and down where it ends: linear, however many there are.
            low, high = cuts[0, first], cuts[1, first]
            for c in range(first, stop):
                low, high = min(low, cuts[0, c]), max(high, cuts[1, c])
                depth[cuts[0, c] - left] += 1
                depth[cuts[1, c] - left] -= 1
            deep = 0
            for c in range(low, high + 1):
                before = deep
                deep += depth[c - left]
                depth[c - left] = 0
                if before == 0 and deep > 0:
                    cuts[0, n] = c
                elif before > 0 and deep == 0:
                    cuts[1, n] = c
                    n += 1
        first = stop
    begin[rows] = n


@jit
def leave_out(i, runs, weight, offset, holes, hole, near, member, window, begin, depth, cuts, out, out_weight,
              out_offset):  # fmt: skip
    """Runs of the regions of craters i, i + 1, ... without the discs of their neighbours, as long as there is room.

    Parameters
    ----------
    runs, weight, offset : ndarray
        Regions that are drawn: (row, start, stop) and the fraction covered, rows ascending within a region, and where
        the runs of each crater's regions begin and end.
    holes : ndarray, shape (3, n)
        Runs of all discs, rows ascending within a disc.
    hole : ndarray, shape (discs, 2)
        Where each disc's begin and end.
    near, member : ndarray
        Which discs are left out of each crater's regions, and where each crater's begin among them.
    begin : ndarray, shape (rows + 1,)
        Scratch.
    depth : ndarray, shape (columns + 1,)
        Scratch; zeros, and left so.
    cuts : ndarray, shape (2, room)
        Scratch.
    out, out_weight, out_offset : ndarray
        Filled like runs, weight and offset.

    Returns
    -------
    int
        The first crater that there was no room for.
    """
    n, room = 0, out_weight.size
    while i < offset.shape[0]:
        # What rows and columns the crater's regions meet.
        total, first, stop, left, right = 0, window[1], window[0], window[3], window[2]
        for k in range(offset.shape[1]):
            total += offset[i, k, 1] - offset[i, k, 0]
            for s in range(offset[i, k, 0], offset[i, k, 1]):
                first, stop = min(first, runs[0, s]), max(stop, runs[0, s] + 1)
                left, right = min(left, runs[1, s]), max(right, runs[2, s])
        rows = max(stop - first, 0)
        # The discs' runs there, row by row: how many up to each row's end, then they, from each row's end backwards.
        for r in range(rows + 1):
            begin[r] = 0
        for m in range(near[i], near[i + 1]):
            for s in range(_run_from(holes, hole[member[m], 0], hole[member[m], 1], first), hole[member[m], 1]):
                if holes[0, s] >= stop:
                    break
                if holes[1, s] < right and holes[2, s] > left:
                    begin[holes[0, s] - first] += 1
        for r in range(rows):
            begin[r + 1] += begin[r]
        if n + total + offset.shape[1] * begin[rows] > room:
            break
        for m in range(near[i], near[i + 1]):
            for s in range(_run_from(holes, hole[member[m], 0], hole[member[m], 1], first), hole[member[m], 1]):
                if holes[0, s] >= stop:
                    break
                if holes[1, s] < right and holes[2, s] > left:
                    r = holes[0, s] - first
                    begin[r] -= 1
                    cuts[0, begin[r]], cuts[1, begin[r]] = max(holes[1, s], left), min(holes[2, s], right)
        _join(cuts, begin, rows, window[2], depth)
        for k in range(offset.shape[1]):
            out_offset[i, k, 0] = n
            for s in range(offset[i, k, 0], offset[i, k, 1]):
                r, a, b = runs[0, s] - first, runs[1, s], runs[2, s]
                for c in range(begin[r], begin[r + 1]):
                    if cuts[1, c] <= a:
                        continue
                    if cuts[0, c] >= b:
                        break
                    if cuts[0, c] > a:
                        out[0, n], out[1, n], out[2, n], out_weight[n] = runs[0, s], a, cuts[0, c], weight[s]
                        n += 1
                    a = cuts[1, c]
                if a < b:
                    out[0, n], out[1, n], out[2, n], out_weight[n] = runs[0, s], a, b, weight[s]
                    n += 1
            out_offset[i, k, 1] = n
        i += 1
    return i
