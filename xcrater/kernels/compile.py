"""Compilation of kernels, and the cache of their machine code.

numba's own cache checks only the file that defines a function, so a kernel could keep running code that was inlined
from an older version of another file. Also, two processes that save at the same time can each overwrite the file to
which the other's index refers. Here the directory's name is a hash of everything the machine code depends on, and
saving takes a lock.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import filelock
import llvmlite.binding
import numba
import numba.core.caching
import platformdirs
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler


class _PartLibrary(JITCodeLibrary):
    """Code of a function that only kernels call: it is linked into the kernels, and optimised there.

    numba would also optimise and emit it separately, and again within each of its callers on the way to a kernel, which
    took as long as compiling the kernels themselves.
    """

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


class _PartCompiler(Compiler):
    """Compiler for functions that only kernels call."""

    def __init__(self, typingctx: Any, targetctx: Any, library: Any, args: Any, return_type: Any, flags: Any,
                 locals: Any) -> None:  # fmt: skip
        flags.no_cpython_wrapper = flags.no_compile = True
        library = _PartLibrary(targetctx.codegen(), "part")
        super().__init__(typingctx, targetctx, library, args, return_type, flags, locals)

    def compile_extra(self, func: Any) -> Any:
        """Compile a function and tell numba where the code of calls to it is; the entry is only a name for that."""
        result = super().compile_extra(func)._replace(entry_point=object())
        result.library._ensure_finalized()
        result.target_context.insert_user_function(result.entry_point, result.fndesc, [result.library])
        return result


class _ApartCompiler(Compiler):
    """Compiler for kernels whose array arguments never overlap; numba has the flag but no option that sets it."""

    def __init__(self, typingctx: Any, targetctx: Any, library: Any, args: Any, return_type: Any, flags: Any,
                 locals: Any) -> None:  # fmt: skip
        flags.noalias = True
        super().__init__(typingctx, targetctx, library, args, return_type, flags, locals)


_OPTIONS: Any = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True, "_nrt": False}


def jit(function: Callable[..., Any], *, apart: bool = False) -> Any:
    """Compile a kernel: serial, without the interpreter lock, with IEEE division, and cached on disk if possible.

    Kernels allocate no arrays, so reference counting is switched off: for a small crater, counting references to the
    arrays that one function passes to another would cost more than the crater's pixels.

    Parameters
    ----------
    function : callable
        A function in the subset of Python that numba compiles.
    apart : bool
        Whether no two of the array arguments ever overlap, so that short loops need not check for that at run time.

    Returns
    -------
    callable
        The compiled function (the function itself if ``NUMBA_DISABLE_JIT=1``).
    """
    # Every option is given, because numba takes missing ones from the function whose call triggers the compilation.
    kernel: Any = numba.njit(**_OPTIONS, forceinline=False, pipeline_class=_ApartCompiler if apart else Compiler)(
        function
    )
    settings: Any = numba.config
    directory = None if settings.DISABLE_JIT else cache_directory()
    if directory is not None:
        earlier, settings.CACHE_DIR = settings.CACHE_DIR, str(directory)
        try:
            kernel._cache = _LockedCache(function)
        except (RuntimeError, OSError):
            pass  # numba cannot write there after all; compiling again is better than not running
        finally:
            settings.CACHE_DIR = earlier
    return kernel


def linked(function: Callable[..., Any], *, inline: bool = False) -> Any:
    """Decorate a function that is compiled as a part of kernels.

    It has no separate machine code, so only kernels can call it; ``py_func`` is the plain function.

    Parameters
    ----------
    function : callable
        A function in the subset of Python that numba compiles.
    inline : bool
        Whether the body replaces every call; otherwise the compiler of the kernel decides.
    """
    part: Any = numba.njit(**_OPTIONS, forceinline=inline, pipeline_class=_PartCompiler)(function)
    if not isinstance(part, type(function)):
        part._insert = _leave_out  # otherwise a call from Python would jump to an address without code
        part._compile_for_args = _refuse
    return part


def _leave_out(*args: Any, **kwargs: Any) -> None:
    """Add no overload to those that calls from Python choose among."""


def _refuse(*args: Any, **kwargs: Any) -> Any:
    raise TypeError("received a call from Python of a part of kernels; expected one of its plain function, py_func")


def inlined(function: Callable[..., Any]) -> Any:
    """`linked` with ``inline=True``, as a decorator.

    For functions called once per row or run, where passing a dozen arrays would cost more than the work itself.
    """
    return linked(function, inline=True)


def chosen(floats: Any, integers: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorate a function that is replaced by one of two parts of kernels, depending on the types of a kernel.

    Parameters
    ----------
    floats, integers : callable
        Parts, from `inlined`. The first replaces the function if its first argument, or the field ``exact`` of that, is
        None; otherwise the second does.
    """

    def choose(kind: Any) -> Any:
        if isinstance(kind, numba.types.NamedTuple):
            kind = kind.types[kind.fields.index("exact")]
        return floats if isinstance(kind, numba.types.NoneType) else integers

    def decorate(function: Callable[..., Any]) -> Any:
        if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
            return lambda first, *rest: (floats if getattr(first, "exact", first) is None else integers)(first, *rest)
        part = linked(function)
        part.get_call_template = lambda args, kws: choose(args[0]).get_call_template(args, kws)
        part.get_overload = lambda args: choose(args[0]).get_overload(args)
        return part

    return decorate


def apart(function: Callable[..., Any]) -> Any:
    """`jit` with ``apart=True``, as a decorator."""
    return jit(function, apart=True)


@cache
def cache_directory() -> Path | None:
    """Directory of the compiled kernels, whose name depends on this host, its processor, the compiler and the sources.

    It lies below ``NUMBA_CACHE_DIR`` if that is set, else in the user's cache directory, else in the temporary one.

    Returns
    -------
    Path or None
        None if none of these can be written to; kernels are then compiled anew in every process.
    """
    key = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        key.update(source.read_bytes())
    features = llvmlite.binding.get_host_cpu_features().flatten()
    key.update(repr((numba.__version__, sys.version, llvmlite.binding.get_host_cpu_name(), features)).encode())
    name = f"{platform.node() or 'host'}-{key.hexdigest()[:16]}"
    owner = f"xcrater-{os.getuid()}" if hasattr(os, "getuid") else "xcrater"
    bases = [platformdirs.user_cache_path("xcrater", appauthor=False), Path(tempfile.gettempdir()) / owner]
    if os.environ.get("NUMBA_CACHE_DIR"):
        bases.insert(0, Path(os.environ["NUMBA_CACHE_DIR"]))
    for base in bases:
        directory = base / name
        with contextlib.suppress(OSError):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if hasattr(os, "getuid") and directory.stat().st_uid != os.getuid():
                continue  # machine code that another user may have written is never run
            with tempfile.TemporaryFile(dir=directory):
                return directory
    return None


class _LockedCache(numba.core.caching.FunctionCache):
    """numba's cache of one function, with one process saving at a time, and unreadable files replaced."""

    @property
    def _lock(self) -> filelock.BaseFileLock:
        """The directory's lock; taking it fails if the file system cannot be written to or has no locks."""
        return filelock.FileLock(Path(self._cache_path).parent / "lock")

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Load the machine code for a signature; None if there is none or it cannot be read.

        numba would first load everything that it can compile. Machine code needs none of it, and a process whose
        kernels are all cached starts a third of a second earlier without it; the compiler loads it when needed.
        """
        try:
            return self._load_overload(sig, target_context)
        except Exception:  # a damaged pickle or object file may raise anything
            with contextlib.suppress(OSError, NotImplementedError), self._lock:
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Save the machine code of a signature; if that fails, it is compiled again next time."""
        with contextlib.suppress(OSError, NotImplementedError), self._lock:
            super().save_overload(sig, data)
