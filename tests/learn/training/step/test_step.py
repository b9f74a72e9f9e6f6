"""A training step: the loss and gradient that it should have, and nothing that waits for it."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.inference.methods import encode
from napari_tomodrgn.learn.network.fast_linear import ProductTable
from napari_tomodrgn.learn.network.loss import choose_points, point_frequencies, squared_errors
from napari_tomodrgn.learn.network.model import ResidualMlp
from napari_tomodrgn.learn.run.checkpoint import Position
from napari_tomodrgn.learn.training.step.inputs import StepInputs
from napari_tomodrgn.learn.training.train import prepare_trainer
from napari_tomodrgn.learn.training.trainer import Step, Trainer

# What launches nothing on a device.
_VIEWS = {
    *("view", "_unsafe_view", "t", "transpose", "permute", "expand", "slice", "select", "alias"),
    *("unsqueeze", "squeeze", "detach", "as_strided", "unbind", "split", "split_with_sizes"),
    *("view_as_real", "view_as_complex", "_conj", "diagonal", "unflatten", "lift_fresh"),
}
# 262 with one optics for all images; optics and dose of each image cost 19 more, latents that are
# known 4.
_ALLOWED = 285
START = Position(epoch=1, step=0)


def prepared(simulated: Path, out: Path, *, fixed: bool = False, **train: object) -> Trainer:
    """A trainer of the default network, narrow, all layers as products."""
    star = simulated / "warptools" / "particles_optimisation_set.star"
    model = {"latent_dim": 4, "decoder_dim": 64, "image_encoder_dim": 64}
    settings = {"points_per_particle": 256, "batch_size": 5, "device": "cpu", **train}
    config = RunConfig.model_validate({"model": model, "train": settings})
    trainer, _ = prepare_trainer(read_particles(star), config, out)
    for module in trainer.model.modules():
        if isinstance(module, ResidualMlp):
            module.products = ProductTable(timer=lambda *_: (1.0, 2.0))
    object.__setattr__(trainer, "fixed_shapes", fixed)
    return trainer


@pytest.fixture(scope="module")
def trainer(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    return prepared(simulated, tmp_path_factory.mktemp("step") / "run", fixed=True)


def gradients(trainer: Trainer) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None])


def reference(trainer: Trainer, work: Step) -> tuple[float, float, torch.Tensor]:
    """The same loss by the plain forward model, image by image, and autograd."""
    trainer.optimiser.zero_grad(set_to_none=True)
    rows = work.draw.rows[: work.particles]
    batch = trainer.data.batch(rows)
    posterior = encode(trainer.model.encoder, batch, training_only=True)
    if trainer.known is not None:
        posterior = trainer.known.fill(posterior, rows, training_only=True)
    z = posterior.mu + torch.exp(posterior.logvar / 2) * work.draw.noise[: work.particles]
    points = choose_points(batch, work.draw.uniform[: work.particles])
    where = point_frequencies(batch, points, trainer.data.lattice.frequencies)
    errors = squared_errors(batch, points, trainer.model.decoder(where, z, points.particle_index))
    kl = posterior.kl().sum()
    size = trainer.data.points_per_particle * work.particles
    (errors.sum() / points.drawn + work.draw.scale("beta") * kl / size).backward()
    return float(errors.detach().sum()), float(kl.detach()), gradients(trainer)


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("last", [False, True])
def test_a_step_has_the_loss_and_gradient_of_the_plain_model(
    trainer: Trainer, fixed: bool, last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To rounding; also the last batch of an epoch, filled up with what weighs nothing."""
    monkeypatch.setitem(trainer.__dict__, "fixed_shapes", fixed)
    trainer.__dict__.pop("training_rows", None)
    position = Position(epoch=1, step=trainer.steps - 1 if last else 0)
    work = trainer._draw_step(position, trainer.order(1))
    assert work.particles == (4 if last else 5)
    errors, kl, expected = reference(trainer, work)
    sums = trainer._gradients(work)
    torch.testing.assert_close(
        sums, torch.tensor([errors, kl], dtype=sums.dtype), rtol=1e-4, atol=0
    )
    apart = (gradients(trainer) - expected).norm() / expected.norm()
    assert float(apart) < 1e-3
    trainer.__dict__.pop("training_rows", None)


def steady(trainer: Trainer) -> tuple[Step, list[StepInputs]]:
    """What the second step works on, drawn; the first one has made all that is made once."""
    order = trainer.order(1)
    position = trainer.step(START, order)
    work = trainer._draw_step(position, order)
    trainer.record.begin_at(position)
    return work, list(trainer._parts(work))


def test_a_steady_step_reads_nothing_back(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tensors without values raise at everything that needs one: item, nonzero, masks, bincount."""
    work, parts = steady(trainer)
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    fakes = [
        StepInputs(**{name: mode.from_tensor(value) for name, value in vars(part).items()})
        for part in parts
    ]
    monkeypatch.setattr(Trainer, "_parts", lambda self, work: fakes)
    with mode:
        trainer.run(work)


class Operations(TorchDispatchMode):
    """Counts operations that are no views; refuses copies between devices and reading back."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        name = function._schema.name.split("::")[1]
        if name not in _VIEWS and not name.startswith("_record_function"):
            self.count[name] += 1
        assert name not in ("_local_scalar_dense", "nonzero", "bincount", "repeat_interleave"), name
        if name in ("_to_copy", "copy_"):
            assert (kwargs or {}).get("device") is None, "a copy to a device"
        return function(*args, **(kwargs or {}))


def test_a_steady_step_is_few_operations(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    """466 before tables and sums were made for it, 161 of them the networks' own."""
    work, parts = steady(trainer)
    monkeypatch.setattr(Trainer, "_parts", lambda self, work: parts)
    with Operations() as operations:
        trainer.run(work)
    total = sum(operations.count.values())
    assert total <= _ALLOWED, operations.count.most_common(20)


def test_all_steps_have_the_same_shapes(trainer: Trainer) -> None:
    order = trainer.order(1)
    shapes = []
    for step in range(trainer.steps):
        work = trainer._draw_step(Position(epoch=1, step=step), order)
        (inputs,) = trainer._parts(work)
        shapes.append({name: (value.shape, value.dtype) for name, value in vars(inputs).items()})
    assert all(one == shapes[0] for one in shapes)


def test_losses_read_seldom_are_those_read_always(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, where reading waits for it: the same sums and weights to the bit."""
    state = copy.deepcopy(trainer.model.state_dict())
    moments = copy.deepcopy(trainer.optimiser.state_dict())
    found, weights = [], []
    for read in (True, False):
        trainer.model.load_state_dict(state)
        trainer.optimiser.load_state_dict(copy.deepcopy(moments))
        with monkeypatch.context() as patch:
            if not read:
                patch.setattr(Trainer, "read_losses", lambda self, position: position)
            position = START
            for _ in range(3):
                position = trainer.step(position, trainer.order(1))
        position = trainer.read_losses(position)
        found.append((position.reconstruction, position.kl, position.total))
        weights.append(torch.cat([p.detach().flatten() for p in trainer.model.parameters()]))
    assert found[0] == found[1] and found[0][2] > found[0][0] > 0
    assert torch.equal(*weights)


def test_steps_after_one_that_is_not_finite_change_nothing(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found out only when losses are read: the weights are still those before it."""
    spoilt = iter([False, True, False])
    plain = Trainer._gradients

    def gradients_of(self: Trainer, work: Step) -> torch.Tensor:
        sums = plain(self, work)
        return sums * float("nan") if next(spoilt) else sums

    monkeypatch.setattr(Trainer, "_gradients", gradients_of)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "read_losses", lambda self, position: position)
        position = trainer.step(START, trainer.order(1))
        before = copy.deepcopy(trainer.model.state_dict())
        for _ in range(2):
            position = trainer.step(position, trainer.order(1))
    with pytest.raises(BadInputError, match="loss is not finite in epoch 1, step 2"):
        trainer.read_losses(position)
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(value, before[name]), name
