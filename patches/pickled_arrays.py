"""Arrays out of a pickle, and nothing else: reading executes no code that the file names."""

from __future__ import annotations

import io
import pickle  # the restricted unpickler below is what makes it safe
from typing import Any

import numpy as np
from numpy._core import multiarray
from numpy.typing import NDArray

from calibration.errors import BadInput

Array = NDArray[np.float32]
ACCEPTED = {
    ("numpy.core.multiarray", "_reconstruct"): multiarray._reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): multiarray._reconstruct,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
"""All that a pickled array needs; a pickle that asks for anything else is refused."""


class ArrayUnpickler(pickle.Unpickler):
    """An unpickler that knows arrays, and the containers and numbers of the format itself."""

    def find_class(self, module: str, name: str) -> Any:
        """What the pickle asks for by name, if it belongs to an array; :class:`BadInput` otherwise."""
        if (module, name) not in ACCEPTED:
            raise BadInput(f"a pickle of arrays asks for {module}.{name}; only arrays are accepted")
        return ACCEPTED[module, name]


def read_arrays(data: bytes, what: str) -> dict[str, list[Array]]:
    """A pickled dict of lists of float32 arrays; ``what`` names it in errors.

    Raises :class:`BadInput` when it asks for anything but arrays, cannot be read, or is something else.
    """
    try:
        content = ArrayUnpickler(io.BytesIO(data)).load()
    except BadInput as error:
        raise BadInput(f"{what}: {error.message}") from error
    except Exception as error:  # a damaged pickle raises whatever its last opcode runs into
        raise BadInput(f"{what} is no pickle that can be read: {error}") from error
    if not isinstance(content, dict) or not all(map(_are_arrays, content.values())):
        raise BadInput(f"{what} is no dict of lists of float32 arrays")
    return {str(name): list(arrays) for name, arrays in content.items()}


def _are_arrays(values: object) -> bool:
    return isinstance(values, list | tuple) and all(
        isinstance(each, np.ndarray) and each.dtype == np.float32 for each in values
    )
