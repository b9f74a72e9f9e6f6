"""Pickles are read for their numbers; nothing in them is ever run."""

from __future__ import annotations

import collections
import io
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_tomodrgn.data.safe_pickle import Placeholder, read_arrays, read_settings
from napari_tomodrgn.errors import BadInputError


class Calls:
    """Pickles as a call of a function with arguments."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def _attacks(flag: Path) -> dict[str, Any]:
    return {
        "system": Calls(os.system, f"touch {flag}"),
        "eval": Calls(eval, f"open({str(flag)!r}, 'w')"),
        "open": Calls(open, str(flag), "w"),
        "mkdir": Calls(os.mkdir, str(flag)),
        "in a dict": {"a": [Calls(os.system, f"touch {flag}")]},
        "numpy's own reader": Calls(np.load, str(flag)),
        "numpy's compiler": Calls(np.vectorize, print),
    }


@pytest.mark.parametrize("attack", list(_attacks(Path("x"))))
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_nothing_is_run(tmp_path: Path, attack: str, protocol: int) -> None:
    flag, path = tmp_path / "flag", tmp_path / "z.pkl"
    path.write_bytes(pickle.dumps(_attacks(flag)[attack], protocol))
    with pytest.raises(BadInputError, match="nothing in it was run") as error:
        read_arrays(path, 1)
    assert len(str(error.value).splitlines()) == 1
    path.write_bytes(pickle.dumps({"a": 1, "evil": _attacks(flag)[attack]}, protocol))
    settings = read_settings(path)
    assert settings["a"] == 1
    assert not flag.exists()


def test_a_name_reached_through_a_known_module_is_refused(tmp_path: Path) -> None:
    """Names with dots lead out of the modules that are known."""
    flag, path = tmp_path / "flag", tmp_path / "z.pkl"
    for module, name in (
        ("numpy", "os.system"),
        ("numpy", "ndarray.tofile"),
        ("numpy.core.multiarray", "_reconstruct.__globals__"),
        ("builtins", "eval"),
        ("numpy.testing", "runstring"),
    ):
        command = f"touch {flag}"
        path.write_bytes(
            b"\x80\x04"
            + b"".join(b"\x8c" + bytes([len(word)]) + word.encode() for word in (module, name))
            + b"\x93\x8c"
            + bytes([len(command)])
            + command.encode()
            + b"\x85R."
        )
        with pytest.raises(BadInputError):
            read_arrays(path, 1)
        assert not flag.exists()


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f2", "<i8"])
def test_arrays_come_as_they_were_one_after_the_other(
    tmp_path: Path, protocol: int, dtype: str
) -> None:
    first = np.arange(12, dtype=dtype).reshape(3, 4)
    second = np.asfortranarray(first[:, ::2] * 2)
    path = tmp_path / "z.pkl"
    with open(path, "wb") as stream:
        for one in (first, second):
            pickle.dump(one, stream, protocol)
    found = read_arrays(path, 2)
    for one, expected in zip(found, (first, second), strict=True):
        np.testing.assert_array_equal(one, expected)
        assert one.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")


def test_an_array_that_claims_to_be_huge_takes_no_memory(tmp_path: Path) -> None:
    """The shape stands in the call that makes the array, before there is any content."""
    path = tmp_path / "z.pkl"
    reconstruct = np.empty(0).__reduce__()[0]
    path.write_bytes(pickle.dumps(Calls(reconstruct, np.ndarray, (1 << 50,), b"b"), 2))
    assert read_arrays(path, 1)[0].size == 0


def test_settings_keep_what_is_plain_and_lose_what_is_not(tmp_path: Path) -> None:
    content = {
        "starfile_args": {"sourcefile": "a.star", "ind": np.arange(3)},
        "angpix": np.float64(3.5),
        "path": Path("/data"),
        "ordered": collections.OrderedDict(b=2),
        "parser": collections.Counter("aab"),
        "none": None,
        "nested": (1, [2, {"three"}]),
    }
    path = tmp_path / "config.pkl"
    path.write_bytes(pickle.dumps(content))
    found = read_settings(path)
    assert found["starfile_args"]["sourcefile"] == "a.star"
    np.testing.assert_array_equal(found["starfile_args"]["ind"], np.arange(3))
    assert found["angpix"] == 3.5
    assert found["nested"] == (1, [2, {"three"}])
    for name in ("path", "ordered", "parser"):
        assert isinstance(found[name], Placeholder)


@pytest.mark.parametrize("damage", ["absent", "empty", "text", "half", "bytes", "objects", "words"])
def test_damage_is_one_sentence(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "z.pkl"
    whole = pickle.dumps(np.arange(100.0))
    contents = {
        "empty": b"",
        "text": b"loss 0.9\n",
        "half": whole[: len(whole) // 2],
        "bytes": bytes(range(256)),
        "objects": pickle.dumps(np.array([{}, None], object)),
        "words": pickle.dumps(np.array(["a", "b"])),
    }
    if damage in contents:
        path.write_bytes(contents[damage])
    with pytest.raises(BadInputError, match=r"z\.pkl") as error:
        read_arrays(path, 1)
    assert len(str(error.value).splitlines()) == 1


def test_random_damage_never_escapes(tmp_path: Path) -> None:
    stream = io.BytesIO()
    for one in (np.arange(12.0).reshape(3, 4), np.ones((3, 4), np.float16)):
        pickle.dump(one, stream, 2)
    whole, path = stream.getvalue(), tmp_path / "z.pkl"
    rng = np.random.default_rng(0)
    for _ in range(300):
        broken = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            broken[place] = rng.integers(256)
        path.write_bytes(bytes(broken))
        try:
            read_arrays(path, 2)
        except BadInputError:
            continue
