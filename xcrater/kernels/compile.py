"""How xcrater compiles its kernels, and where it keeps the compiled code.

numba's own cache looks at the file of each function alone, so a kernel would go on running code that it inlined
from an older version of another file; and two processes that save at once can each write the file that the other's
index names. Here the directory is named by everything that the machine code depends on, and saving takes a lock.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite.binding
import numba
import numba.core.caching
from numba.core.compiler import Compiler


class _ApartCompiler(Compiler):
    """Compiles a kernel of whose arguments no two arrays overlap: numba has the flag, but no option for it."""

    def __init__(self, typingctx: Any, targetctx: Any, library: Any, args: Any, return_type: Any, flags: Any,
                 locals: Any) -> None:  # fmt: skip
        flags.noalias = True
        super().__init__(typingctx, targetctx, library, args, return_type, flags, locals)


def jit(function: Callable[..., Any], *, inline: bool = False, apart: bool = False) -> Any:
    """Compile a kernel: serial, without the interpreter lock, IEEE division, cached on disk where that is possible.

    A kernel makes no arrays of its own. So it is spared counting references to the arrays that it hands on, which
    would cost a small crater more than its pixels.

    Parameters
    ----------
    function : callable
        A function in the subset of Python that numba compiles.
    inline : bool
        Whether its body replaces every call: for what is called per row or per run, where handing a dozen arrays
        over would cost more than the work.
    apart : bool
        Whether no two of its arrays overlap, so that loops over many short ones need not find that out first.

    Returns
    -------
    callable
        The compiled function (the function itself where ``NUMBA_DISABLE_JIT=1``).
    """
    options: Any = {"nogil": True, "error_model": "numpy", "forceinline": inline, "_nrt": False}
    if apart:
        options["pipeline_class"] = _ApartCompiler
    kernel: Any = numba.njit(**options)(function)
    settings: Any = numba.config
    directory = None if settings.DISABLE_JIT else cache_directory()
    if directory is not None:
        earlier, settings.CACHE_DIR = settings.CACHE_DIR, str(directory)
        try:
            kernel._cache = _LockedCache(function)
        except (RuntimeError, OSError):
            pass  # numba cannot write there after all: a slower start is better than none
        finally:
            settings.CACHE_DIR = earlier
    return kernel


def inlined(function: Callable[..., Any]) -> Any:
    """`jit` with ``inline=True``, as a decorator."""
    return jit(function, inline=True)


def apart(function: Callable[..., Any]) -> Any:
    """`jit` with ``apart=True``, as a decorator."""
    return jit(function, apart=True)


@cache
def cache_directory() -> Path | None:
    """Where compiled kernels are kept: a directory of this host, processor, numba and these sources.

    Below ``NUMBA_CACHE_DIR`` where that is set, else the user's cache directory, else the temporary one.

    Returns
    -------
    Path or None
        None where none of them can be written to.
    """
    key = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        key.update(source.read_bytes())
    features = llvmlite.binding.get_host_cpu_features().flatten()
    key.update(repr((numba.__version__, sys.version, llvmlite.binding.get_host_cpu_name(), features)).encode())
    name = f"{platform.node() or 'host'}-{key.hexdigest()[:16]}"
    user = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    owner = f"xcrater-{os.getuid()}" if hasattr(os, "getuid") else "xcrater"
    for base in (
        os.environ.get("NUMBA_CACHE_DIR"),
        os.path.join(user, "xcrater"),
        os.path.join(tempfile.gettempdir(), owner),
    ):
        if base:
            directory = Path(base) / name
            with contextlib.suppress(OSError):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                if hasattr(os, "getuid") and directory.stat().st_uid != os.getuid():
                    continue  # another user's code is not to be run
                with tempfile.TemporaryFile(dir=directory):
                    return directory
    return None


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file; no lock where the system has none."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with open(path, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class _LockedCache(numba.core.caching.FunctionCache):
    """numba's cache of one function, saving one process at a time; files that cannot be read are made anew."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Compiled code; None where there is none."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # whatever a damaged pickle or object file raises
            with contextlib.suppress(OSError), _lock(Path(self._cache_path).parent / "lock"):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep compiled code; without, it is compiled again next time."""
        with contextlib.suppress(OSError), _lock(Path(self._cache_path).parent / "lock"):
            super().save_overload(sig, data)
