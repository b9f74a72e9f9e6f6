"""Weights and configuration of a network of tomoDRGN, as a run keeps them; nothing is executed.

``weights.E.pkl`` is read by torch's reader of weights alone, ``config.pkl`` by `data.safe_pickle`.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from napari_tomodrgn.analysis.tomodrgn_result.folder import ResultFolder
from napari_tomodrgn.config import ModelConfig
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import written_atomically
from napari_tomodrgn.learn.network.model import encoding_matrix
from napari_tomodrgn.learn.network.tomodrgn import ENCODER_MASK, FREQUENCIES
from napari_tomodrgn.learn.network.tomodrgn_settings import TomodrgnNetwork

# Its names of positional encodings, and ours.
ENCODINGS = {
    "gaussian": "gaussian",
    "geom_ft": "geometric",
    "geom_full": "geometric_full",
    "geom_lowf": "geometric_low",
    "geom_nohighf": "geometric_no_high",
}
_POOLINGS = ("mean", "max", "median")
_WINDOW_OFF = 1.5  # half boxes: beyond the corners
_FIRST = "decoder.decoder.main.0"


def network_of(folder: ResultFolder) -> TomodrgnNetwork:
    """Shape and conventions that ``config.pkl`` tells.

    Raises
    ------
    BadInputError
        If it is not there, or names what this version does not know.
    """
    model, lattice = folder.section("model_args"), folder.section("lattice_args")
    data = folder.section("dataset_args")
    if not model or not lattice:
        raise BadInputError(f"{folder.path / 'config.pkl'}: says nothing of the network.")
    if model.get("pe_type") not in ENCODINGS or model.get("activation") not in (
        "relu",
        "leaky_relu",
    ):
        raise BadInputError(
            f"{folder.path / 'config.pkl'}: encoding {model.get('pe_type')!r} or activation "
            f"{model.get('activation')!r} is unknown."
        )
    pooling, extent = model.get("pooling_function"), float(lattice.get("extent", 0.5))
    window = bool(data.get("window", True))
    return TomodrgnNetwork(
        box_size_px=int(lattice["boxsize"]) - 1,
        extent=extent,
        activation=model["activation"],
        pooling=pooling if pooling in _POOLINGS else "",
        window_inner=float(data.get("window_r", 0.8)) if window else _WINDOW_OFF,
        window_outer=float(data.get("window_r_outer", 0.9)) if window else _WINDOW_OFF,
        without_encoder=_why_no_encoder(str(pooling), extent),
    )


def _why_no_encoder(pooling: str, extent: float) -> str:
    if pooling == "concatenate":
        return "its encoder concatenates tilts that were drawn at random"
    if pooling not in _POOLINGS:
        return f"its encoder pools by {pooling!r}, which is not offered for imported networks"
    if extent != 0.5:
        return f"it was trained on a lattice of extent {extent}, which its encoder is not asked on"
    return ""


def scale_and_sign(folder: ResultFolder) -> tuple[float, int]:
    """What the Hartley transforms of the images were divided by, and their sign.

    Raises
    ------
    BadInputError
        If the settings do not say.
    """
    data = folder.section("dataset_args")
    try:
        shift, scale = (float(value) for value in data["norm"])
    except (KeyError, TypeError, ValueError) as error:
        raise BadInputError(
            f"{folder.path / 'config.pkl'}: does not say what the images were divided by (norm)."
        ) from error
    if shift != 0 or not scale > 0:
        raise BadInputError(
            f"{folder.path / 'config.pkl'}: norm is ({shift}, {scale}); expected (0, scale)."
        )
    return scale, -1 if data.get("invert_data", True) else 1


def save_network(folder: ResultFolder, weights: Path, network: TomodrgnNetwork, out: Path) -> None:
    """Write the weights of an epoch as safetensors, under tomoDRGN's names.

    Raises
    ------
    BadInputError
        If they are damaged, or hold anything but numbers; nothing in them is run.
    """
    tensors = read_weights(weights)
    if FREQUENCIES not in tensors:
        _regular_frequencies(folder, tensors, network, weights)
    mask = folder.section("model_args").get("enc_mask")
    if isinstance(mask, np.ndarray) and mask.size == (network.box_size_px + 1) ** 2:
        tensors[ENCODER_MASK] = torch.from_numpy(mask.astype(np.uint8).ravel())
    else:
        tensors[ENCODER_MASK] = _circle(network.box_size_px).to(torch.uint8)
    with written_atomically(out) as temporary:
        save_file({name: value.contiguous() for name, value in tensors.items()}, temporary)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read ``model_state_dict`` of a file of weights: tensors of any shape by name, as float32.

    Raises
    ------
    BadInputError
        As `save_network`.
    """
    # What is no archive is torch's format of long ago, which tomoDRGN never wrote.
    if not zipfile.is_zipfile(path):
        raise BadInputError(f"{path}: not a file of weights; nothing in it was run.")
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
        state = found["model_state_dict"]
        if not isinstance(state, Mapping):
            raise TypeError("model_state_dict is no table")
        return {
            # As DataParallel and torch.compile wrap it.
            str(name).removeprefix("module.").removeprefix("_orig_mod."): value.float()
            for name, value in state.items()
            if isinstance(value, Tensor)
        }
    except (
        pickle.UnpicklingError,
        RuntimeError,
        OSError,
        EOFError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        AssertionError,
    ) as error:
        words = (str(error) or type(error).__name__).splitlines()[0]
        raise BadInputError(
            f"{path}: refused as weights ({words}); nothing in it was run.", code="bad-weights"
        ) from error


def _regular_frequencies(
    folder: ResultFolder, tensors: dict[str, Tensor], network: TomodrgnNetwork, path: Path
) -> None:
    """Add the frequencies of a geometric encoding, and sort the first layer's columns by them.

    tomoDRGN does not store them. Its features are (sin, cos) of kx, then of ky, then of kz; ours
    are all sines, then all cosines.
    """
    model = folder.section("model_args")
    count = int(model.get("pe_dim") or network.box_size_px // 2)
    config = ModelConfig.model_validate(
        {"encoding": ENCODINGS[model["pe_type"]], "encoding_features": count}
    )
    tensors[FREQUENCIES] = encoding_matrix(config, network.box_size_px, torch.Generator())
    name = next(
        (name for name in (f"{_FIRST}.weight", f"{_FIRST}.linear.weight") if name in tensors), ""
    )
    if not name or tensors[name].shape[1] <= 6 * count:
        raise BadInputError(f"{path}: the decoder's first layer is not that of {count} features.")
    order = torch.arange(6 * count).reshape(3, 2, count).transpose(0, 1).flatten()
    order = torch.cat([order, torch.arange(6 * count, tensors[name].shape[1])])
    if name.endswith("linear.weight"):
        # Its skip goes with the columns: it is folded in, and the layer is a plain one.
        tensors[name] = tensors[name] + torch.eye(len(tensors[name]))
        tensors[f"{_FIRST}.bias"] = tensors.pop(f"{_FIRST}.linear.bias")
        tensors[f"{_FIRST}.weight"] = tensors.pop(name)
        name = f"{_FIRST}.weight"
    tensors[name] = tensors[name][:, order]


def _circle(box_size_px: int) -> Tensor:
    """Points of its lattice within Nyquist, the rim included, without the origin."""
    axis = torch.arange(box_size_px + 1) - box_size_px // 2
    radius2 = axis[:, None] ** 2 + axis[None] ** 2
    return ((radius2 > 0) & (radius2 <= (box_size_px // 2) ** 2)).flatten()
