"""A network of tomoDRGN gives here the maps that tomoDRGN's own arithmetic gives.

The other side is written from what is published of it, in the most direct way: its lattice of
(D + 1)³ points, plane by plane of features in its order, the Hartley transform back.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from napari_tomodrgn.analysis.tomodrgn_result.folder import ResultFolder
from napari_tomodrgn.analysis.tomodrgn_result.network import network_of, save_network
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.decoding.volume_decoder import VolumeDecoder
from napari_tomodrgn.learn.network.tomodrgn import read_decoder

BOX, LATENT = 32, 3
Tensors = dict[str, Tensor]


def _linear(state: Tensors, name: str, sizes: tuple[int, int], rng: torch.Generator) -> None:
    """A layer as it is called there: ``linear`` inside where its widths agree or it is hidden."""
    inputs, outputs = sizes
    stem = f"{name}.linear" if inputs == outputs else name
    for kind, shape in (("weight", (outputs, inputs)), ("bias", (outputs,))):
        drawn = 2 * torch.rand(shape, generator=rng) - 1
        state[f"{stem}.{kind}"] = drawn / math.sqrt(inputs)  # as torch begins


def _mlp(state: Tensors, prefix: str, sizes: tuple[int, int, int], rng: torch.Generator) -> None:
    inputs, hidden, outputs = sizes
    _linear(state, f"{prefix}.0", (inputs, hidden), rng)
    _linear(state, f"{prefix}.2", (hidden, hidden), rng)
    _linear(state, f"{prefix}.4", (hidden, hidden), rng)
    _linear(state, f"{prefix}.6", (hidden, outputs), rng)


def _run_mlp(state: Tensors, prefix: str, x: Tensor, activation: Any) -> Tensor:
    for number in (0, 2, 4, 6):
        stem = f"{prefix}.{number}"
        residual = f"{stem}.linear.weight" in state
        name = f"{stem}.linear" if residual else stem
        y = x @ state[f"{name}.weight"].T + state[f"{name}.bias"]
        x = x + y if residual else y
        x = activation(x) if number < 6 else x
    return x


def _features(encoding: str, k: Tensor, state: Tensors, count: int) -> Tensor:
    """Its positional encodings, as its documentation lists them."""
    if encoding == "gaussian":
        angles = k @ state["decoder.freqs"].T
        return torch.cat([angles.sin(), angles.cos()], dim=1)
    step = torch.arange(count, dtype=k.dtype) / (count - 1)
    half, box_pi = BOX / 2, BOX * math.pi
    series = {
        "geom_ft": box_pi * (2 / BOX) ** step,
        "geom_full": box_pi * (1 / box_pi) ** step,
        "geom_lowf": half * (1 / half) ** step,
        "geom_nohighf": half * (2 * math.pi / half) ** step,
    }[encoding]
    angles = k[:, :, None] * series
    return torch.cat([angles.sin(), angles.cos()], dim=2).flatten(1)


def _their_map(
    config: dict[str, Any], state: Tensors, z: Tensor, *, with_rim: bool = True
) -> np.ndarray:
    """Map of a latent: lattice, sphere, last planes dropped, Hartley back."""
    model, extent = config["model_args"], config["lattice_args"]["extent"]
    axis = torch.linspace(-extent, extent, BOX + 1)
    z_axis, y_axis, x_axis = torch.meshgrid(axis, axis, axis, indexing="ij")
    k = torch.stack([x_axis, y_axis, z_axis], dim=-1).reshape(-1, 3)
    features = _features(model["pe_type"], k, state, model["pe_dim"] or BOX // 2)
    rows = torch.cat([features, z.expand(len(k), -1)], dim=1)
    activation = torch.relu if model["activation"] == "relu" else torch.nn.LeakyReLU()
    outputs = _run_mlp(state, "decoder.decoder.main", rows, activation)
    radius = k.norm(dim=1)
    inside = radius <= extent + 1e-6 if with_rim else radius < extent - 1e-6
    hartley = torch.where(inside, outputs[:, 0] - outputs[:, 1], 0.0)
    cube = hartley.reshape(BOX + 1, BOX + 1, BOX + 1)[:-1, :-1, :-1]
    back = torch.fft.fftshift(torch.fft.fftn(torch.fft.ifftshift(cube))) / BOX**3
    return (back.real - back.imag).numpy()


def _config(encoding: str, activation: str, pe_dim: int | None, extent: float) -> dict[str, Any]:
    return {
        "model_args": {
            "pe_type": encoding,
            "activation": activation,
            "pe_dim": pe_dim,
            "pooling_function": "mean",
        },
        "lattice_args": {"boxsize": BOX + 1, "extent": extent},
        "dataset_args": {"norm": [0, 1.0], "invert_data": False},
    }


def _decoder(tmp_path: Path, config: dict[str, Any], state: Tensors) -> VolumeDecoder:
    folder = ResultFolder(tmp_path, config, ())
    torch.save({"epoch": 0, "model_state_dict": state}, tmp_path / "weights.pkl")
    network, out = network_of(folder), tmp_path / "epoch.safetensors"
    save_network(folder, tmp_path / "weights.pkl", network, out)
    model = read_decoder(out, network)
    return VolumeDecoder(model, box_size_px=BOX, pixel_size_angstrom=2.0, latent_dim=LATENT)


def _state(encoding: str, hidden: int, count: int) -> Tensors:
    rng = torch.Generator().manual_seed(3)
    state: Tensors = {}
    if encoding == "gaussian":
        state["decoder.freqs"] = torch.randn((3 * count, 3), generator=rng) * BOX / 4
    _mlp(state, "decoder.decoder.main", (6 * count + LATENT, hidden, 2), rng)
    return state


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


@pytest.mark.parametrize(
    ("encoding", "activation", "pe_dim", "hidden", "extent"),
    [
        ("gaussian", "relu", None, 32, 0.5),
        ("gaussian", "leaky_relu", None, 6 * 16 + LATENT, 0.5),  # first layer residual
        ("gaussian", "relu", None, 32, 0.4),
        ("geom_ft", "relu", None, 32, 0.5),
        ("geom_full", "relu", None, 6 * 16 + LATENT, 0.5),
        ("geom_lowf", "leaky_relu", None, 32, 0.5),
        ("geom_nohighf", "relu", 5, 6 * 5, 0.5),  # as wide as the features without z
    ],
)
def test_maps_of_random_weights_are_those_of_its_own_arithmetic(
    tmp_path: Path, encoding: str, activation: str, pe_dim: int | None, hidden: int, extent: float
) -> None:
    """All but the frequencies on the Nyquist sphere itself, which a map here leaves out."""
    config = _config(encoding, activation, pe_dim, extent)
    state = _state(encoding, hidden, pe_dim or BOX // 2)
    z = torch.tensor([[0.3, -1.1, 0.7]])
    ours = _decoder(tmp_path, config, state).decode(z[0].numpy()).data
    inner = _their_map(config, state, z, with_rim=False)
    assert _correlation(ours, inner) > 1 - 1e-8
    assert np.polyfit(ours.ravel(), inner.ravel(), 1)[0] == pytest.approx(1, abs=1e-4)
    # Three of 17,000 frequencies lie on the sphere itself.
    whole = _their_map(config, state, z)
    assert _correlation(ours, whole) >= 0.9998


def test_several_latents_at_once_are_each_for_itself(tmp_path: Path) -> None:
    config = _config("gaussian", "relu", None, 0.5)
    _decoder(tmp_path, config, _state("gaussian", 32, BOX // 2))
    folder = ResultFolder(tmp_path, config, ())
    model = read_decoder(tmp_path / "epoch.safetensors", network_of(folder))
    rng = torch.Generator().manual_seed(0)
    k = (torch.rand((200, 3), generator=rng) - 0.5) * 0.9
    z = torch.randn((2, LATENT), generator=rng)
    particle_index = torch.arange(200) % 2
    both = model(k, z, particle_index)
    for number in (0, 1):
        alone = model(
            k[particle_index == number], z[number : number + 1], torch.zeros(100, dtype=torch.int64)
        )
        torch.testing.assert_close(both[particle_index == number], alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model(-k, z, particle_index), both.conj().resolve_conj())


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    config = _config("gaussian", "relu", None, 0.5)
    state = _state("gaussian", 32, BOX // 2)
    del state["decoder.decoder.main.2.linear.bias"]
    with pytest.raises(BadInputError, match="not a network of tomoDRGN"):
        _decoder(tmp_path, config, state)
