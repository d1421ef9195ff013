"""Compiled functions, each optimised once: with the kernel that Python calls, not by itself.

Numba optimises every function together with all it calls, and makes machine code of that, before
it looks at the caller, where all this happens again. That was two thirds of the time that
compiling took. A kernel that another kernel calls is only translated here; the outermost one,
which Python calls, is optimised, compiled and cached with everything inside it.

This leans on names that numba keeps to itself. Where one of them is missing, or the environment
sets `MDBOUND_PLAIN_NJIT=1`, every kernel is plain `numba.njit`: the same results up to rounding,
after about three times the compiling.
"""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Callable
from typing import Any, TypeVar, cast, overload

import numba
from numba.core import codegen, compiler, registry, types

from mdbound.bounds.numerics.compiled.kernel_folder import own_kernel_folder
from mdbound.bounds.numerics.compiled.source_stamp import source_stamp

Function = TypeVar("Function", bound=Callable[..., Any])

_NEEDED: tuple[tuple[object, str], ...] = (
    (registry, "CPUDispatcher"),
    (registry, "cpu_target"),
    (compiler.Compiler, "_compile_core"),
    (codegen.JITCPUCodegen, "_library_class"),
    (codegen.JITCodeLibrary, "_ensure_finalized"),
    (codegen.JITCodeLibrary, "_optimize_final_module"),
    (codegen.JITCodeLibrary, "_finalize_final_module"),
    (codegen.JITCodeLibrary, "_finalize_dynamic_globals"),
    (registry.CPUDispatcher, "_numba_type_"),
    (registry.CPUDispatcher, "get_call_template"),
)

LINKED = os.environ.get("MDBOUND_PLAIN_NJIT", "0") in {"", "0"} and all(
    hasattr(owner, name) for owner, name in _NEEDED
)
"""Whether inner kernels are linked into the outermost one, and not optimised by themselves."""


class _NoEnvironments:
    """Stands for the code generator where there is no machine code to tell of environments."""

    def set_env(self, name: str, environment: object) -> None:
        """Nothing: the outermost kernel's library has them all."""


class _LinkedLibrary(codegen.JITCodeLibrary):
    """Code to link into that of a caller, neither optimised as a whole nor made executable."""

    codegen = _NoEnvironments()

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        del name
        self._ensure_finalized()
        return 0


class _OutermostCompiler(compiler.Compiler):
    """Compiles a kernel that Python calls; what is compiled on the way is only linked.

    Numba holds its compiler lock meanwhile, so no other thread sees the exchanged library class.
    """

    def _compile_core(self) -> Any:
        generator = self.state.targetctx.codegen()
        self.state.library = codegen.JITCodeLibrary(generator, self.state.func_id.func_qualname)
        self.state.library.enable_object_caching()
        usual = generator._library_class
        generator._library_class = _LinkedLibrary
        # The compiler makes millions of objects that live until it is done: an eighth of its time
        # would go to looking for garbage among them.
        collecting = gc.isenabled()
        gc.disable()
        try:
            return super()._compile_core()
        finally:
            generator._library_class = usual
            if collecting:
                gc.enable()


class _InnerKernel(registry.CPUDispatcher):
    """A kernel as its callers see it: constants among the arguments make no versions of it."""

    def get_call_template(self, args: Any, kws: Any) -> Any:
        plain = {name: types.unliteral(one) for name, one in kws.items()}
        return super().get_call_template(tuple(map(types.unliteral, args)), plain)


class _Kernel(registry.CPUDispatcher):
    """To Python a compiled function, to kernels one that is linked into them."""

    def __init__(self, py_func: Callable[..., Any], *args: Any, **named: Any) -> None:
        super().__init__(py_func, *args, **{**named, "pipeline_class": _OutermostCompiler})
        self._inner = _InnerKernel(
            py_func, targetoptions={**self.targetoptions, "no_cpython_wrapper": True}
        )
        self._inner_type = types.Dispatcher(self._inner)

    @property
    def _numba_type_(self) -> Any:
        return self._inner_type


@overload
def kernel(function: Function) -> Function: ...


@overload
def kernel(*, fastmath: set[str]) -> Callable[[Function], Function]: ...


def kernel(
    function: Function | None = None, *, fastmath: set[str] | None = None
) -> Function | Callable[[Function], Function]:
    """Compile a function on its first call; it releases the interpreter lock, and is cached.

    A division by zero gives what it gives in numpy, an infinity or NaN, and no exception. What
    is compiled is kept on disk until a file changes that it was made of, see `source_stamp`.

    Args:
        function: what to compile. Called from another kernel it becomes a part of that one.
        fastmath: liberties that LLVM may take with floating-point operations.

    Example:
        >>> kernel(lambda x: x + 0.5)(1.0)
        1.5
    """

    def decorate(function: Function) -> Function:
        options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
        if fastmath is not None:
            options["fastmath"] = fastmath
        if LINKED:
            linked = {**options, "nopython": True, "no_cfunc_wrapper": True}
            dispatcher = _Kernel(function, targetoptions=linked)
        else:
            dispatcher = numba.njit(**options)(function)
        _keep_on_disk(dispatcher, function)
        return cast(Function, dispatcher)

    return decorate if function is None else decorate(function)


def _keep_on_disk(dispatcher: Any, function: Callable[..., Any]) -> None:
    """Cache what is compiled, under a stamp of all its sources; not at all if that cannot be.

    Numba's own stamp is of the file of the outermost function alone.
    """
    stamp = source_stamp(function.__code__.co_filename)
    if stamp is None:
        return
    unkept = dispatcher._cache
    _enable_caching(dispatcher)
    index: Any = getattr(dispatcher._cache, "_cache_file", None)
    if hasattr(index, "_source_stamp") and hasattr(index, "_version"):
        index._source_stamp = (stamp, LINKED)
        # Read before all else: what follows may name classes that are no more.
        index._version = (numba.__version__, stamp, LINKED)
    else:
        dispatcher._cache = unkept


def _enable_caching(dispatcher: Any) -> None:
    """Have numba cache: where it can, else in a folder of our own, else not at all."""
    try:
        dispatcher.enable_caching()
    except RuntimeError:  # it found no folder that it can write to
        with own_kernel_folder() as folder, contextlib.suppress(RuntimeError):
            if folder is not None:
                dispatcher.enable_caching()
