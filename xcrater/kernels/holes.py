"""Removal of the discs of neighbouring craters from drawn regions."""

from __future__ import annotations

from xcrater.kernels.compile import inlined, jit


@inlined
def _run_from(runs, first, stop, row):
    """Position of the first of runs [first, stop), rows ascending, that lies in a row or after it."""
    while first < stop:
        middle = (first + stop) // 2
        if runs[0, middle] < row:
            first = middle + 1
        else:
            stop = middle
    return first


@inlined
def _join(cuts, begin, rows, left, depth):
    """Sort the pieces of each row and join those that meet or overlap, in place.

    Parameters
    ----------
    cuts : ndarray of int64, shape (2, n)
        First column and column past the last of each piece, row by row.
    begin : ndarray of int64, shape (rows + 1,)
        Position of each row's first piece; changed to that of the joined pieces.
    rows, left : int
        Number of rows, and the first column of the window.
    depth : ndarray of int64, shape (columns + 1,)
        Scratch space; zeros, and left so.
    """
    n, first = 0, begin[0]
    for r in range(rows):
        stop = begin[r + 1]
        begin[r] = n
        if stop - first == 1:
            cuts[0, n], cuts[1, n] = cuts[0, first], cuts[1, first]
            n += 1
        elif stop > first:
            # Count up where a piece begins and down where it ends, so that the effort is linear in their number.
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
def leave_out(first_crater, drawn, discs, near, member, window, scratch, out):
    """Write the runs of drawn regions without the discs of neighbouring craters, as long as there is room.

    Parameters
    ----------
    first_crater : int
        Position of the first crater; the following craters come after it.
    drawn : Runs
        The regions.
    discs : Runs
        The discs of the neighbours, one region each: ``offset`` has shape (discs, 1, 2).
    near, member : ndarray of int64, shape (craters + 1,) and (n,)
        Discs ``member[near[i]:near[i + 1]]`` are left out of the regions of crater i.
    window : tuple of int
        (row_start, row_stop, col_start, col_stop) of the tile on the whole grid.
    scratch : HoleScratch
        Scratch space.
    out : Runs
        Filled.

    Returns
    -------
    int
        Position of the first crater that there was no room for.
    """
    runs, weight, offset = drawn
    holes, hole = discs.runs, discs.offset
    begin, depth, cuts = scratch
    out_runs, out_weight, out_offset = out
    i = first_crater
    n, room = 0, out_weight.size
    while i < offset.shape[0]:
        # Rows and columns that the crater's regions meet.
        total, first, stop, left, right = 0, window[1], window[0], window[3], window[2]
        for k in range(offset.shape[1]):
            total += offset[i, k, 1] - offset[i, k, 0]
            for s in range(offset[i, k, 0], offset[i, k, 1]):
                first, stop = min(first, runs[0, s]), max(stop, runs[0, s] + 1)
                left, right = min(left, runs[1, s]), max(right, runs[2, s])
        rows = max(stop - first, 0)
        # Sort the discs' runs by row: count those up to the end of each row, then fill each row from its end backwards.
        for r in range(rows + 1):
            begin[r] = 0
        for m in range(near[i], near[i + 1]):
            last_run = hole[member[m], 0, 1]
            for s in range(_run_from(holes, hole[member[m], 0, 0], last_run, first), last_run):
                if holes[0, s] >= stop:
                    break
                if holes[1, s] < right and holes[2, s] > left:
                    begin[holes[0, s] - first] += 1
        for r in range(rows):
            begin[r + 1] += begin[r]
        if n + total + offset.shape[1] * begin[rows] > room:
            break
        for m in range(near[i], near[i + 1]):
            last_run = hole[member[m], 0, 1]
            for s in range(_run_from(holes, hole[member[m], 0, 0], last_run, first), last_run):
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
                        out_runs[0, n], out_runs[1, n], out_runs[2, n] = runs[0, s], a, cuts[0, c]
                        out_weight[n] = weight[s]
                        n += 1
                    a = cuts[1, c]
                if a < b:
                    out_runs[0, n], out_runs[1, n], out_runs[2, n], out_weight[n] = runs[0, s], a, b, weight[s]
                    n += 1
            out_offset[i, k, 1] = n
        i += 1
    return i
