"""Surrogates that are the user's own torch modules, named by where they are imported from.

``package.module:name@contract.json``: ``name`` is a torch module, or a class or function that gives one when it is
called without arguments. There is nothing to hold it against: the module is its own reference.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from calibration.contract import Contract
from calibration.errors import BadInput, BadModel
from calibration.files import read_document
from patches.memory import keep_freed_memory

if TYPE_CHECKING:
    from torch import nn

    from patches.surrogates import Surrogate


class ModuleContract(Contract):
    """What stands beside a torch module: a recognizer's preprocessing and labels, without an ONNX file."""

    format: Literal["dpcam.module"] = "dpcam.module"  # type: ignore[assignment]
    file: str = ""
    sha256: str = ""
    input_name: str = ""


@dataclass(frozen=True, slots=True)
class ModuleSource:
    """``place`` is ``package.module:name``; it may also lie in ``folder``. Nothing of it was imported yet."""

    place: str
    contract: Contract
    folder: Path

    @property
    def name(self) -> str:
        """The contract's name."""
        return self.contract.name


def names_module(word: str) -> bool:
    """Whether it is no recognizer's name, which has no colon."""
    return ":" in word


def module_source(word: str, folder: Path) -> ModuleSource:
    """``package.module:name@contract.json``, relative to ``folder``.

    :class:`BadInput` when a part is missing, :class:`MissingFile` or :class:`BadConfig` for its contract.
    """
    place, _, contract = word.partition("@")
    if not all((*place.partition(":"), contract)):
        raise BadInput(f"{word!r} is no torch module with its contract; package.module:name@contract.json is expected")
    return ModuleSource(place, read_document(folder / contract, ModuleContract), folder)


def load_module(source: ModuleSource) -> Surrogate:
    """Import it, freeze it, and see that it gives a score for each label, and gradients; else :class:`BadModel`."""
    from patches.surrogates import Surrogate, check_gradient, check_scores

    keep_freed_memory()
    network = make_network(source).eval().float().requires_grad_(False)
    contract = source.contract.model_copy(update={"file": source.place, "sha256": digest(source.place, network)})
    check_scores(network, contract)
    check_gradient(network, contract)
    return Surrogate(contract, network, 0.0)


def make_network(source: ModuleSource) -> nn.Module:
    """The module that is imported, or that what is imported makes."""
    from torch import nn

    home, _, name = source.place.partition(":")
    with importable(source.folder):
        found = _import(home, name, source)
        made = found if isinstance(found, nn.Module) or not callable(found) else _call(found, source)
    if not isinstance(made, nn.Module):
        raise BadModel(f"{source.place} gives {type(made).__name__}; a torch module is expected")
    return made


def _import(home: str, name: str, source: ModuleSource) -> Any:
    try:
        return getattr(importlib.import_module(home), name)
    except (Exception, SystemExit) as error:  # whatever a foreign module raises
        raise BadModel(
            f"{source.place} cannot be imported: {_one_line(error)}",
            hint=f"install its package, or put it into {source.folder.resolve()}",
        ) from error


def _call(function: Any, source: ModuleSource) -> Any:
    try:
        return function()
    except (Exception, SystemExit) as error:  # whatever a foreign function raises
        raise BadModel(f"{source.place} fails when it is called: {_one_line(error)}") from error


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).strip() or 'no reason given').splitlines()[0]}"


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """Within: what lies in ``folder`` can be imported, too, unless something installed has its name."""
    sys.path.append(str(folder.resolve()))
    try:
        yield
    finally:
        sys.path.remove(str(folder.resolve()))


def digest(place: str, network: nn.Module) -> str:
    """Hex SHA-256 of where a module comes from and of all its weights."""
    found = hashlib.sha256(place.encode())
    for name, tensor in sorted(network.state_dict().items()):
        found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype} ".encode())
        found.update(tensor.numpy(force=True).tobytes())
    return found.hexdigest()
