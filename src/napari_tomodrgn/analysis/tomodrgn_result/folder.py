"""The files of a result of tomoDRGN: which latents, weights and analyses belong together.

It counts epochs from 0 in the names of files and from 1 in its log; here they count from 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_tomodrgn.data.safe_pickle import read_settings
from napari_tomodrgn.errors import BadInputError

_LATENTS = re.compile(r"z(?:\.(\d+))?(?:\.train)?\.pkl")
_LOSSES = re.compile(
    r"Epoch: (\d+) Average gen loss = (\S+), KLD = (\S+), total loss = (\S+); "
    r"Finished in (\d+):(\d+):([\d.]+)"
)


@dataclass(frozen=True)
class Epoch:
    """What tomoDRGN kept of an epoch; ``weights`` is None where it kept none."""

    number: int
    latents: Path
    weights: Path | None


@dataclass(frozen=True)
class ResultFolder:
    """A folder that ``tomodrgn train_vae`` wrote.

    Attributes
    ----------
    path
        The folder.
    settings
        Its ``config.pkl``; empty without.
    epochs
        What it kept, ascending.
    """

    path: Path
    settings: dict[str, Any]
    epochs: tuple[Epoch, ...]

    @classmethod
    def open(cls, path: str | Path) -> ResultFolder:
        """Look through a folder.

        Raises
        ------
        BadInputError
            If it holds no latents of tomoDRGN, or its ``config.pkl`` is damaged.
        """
        path = Path(path)
        config = path / "config.pkl"
        epochs = _epochs(path)
        if not epochs:
            raise BadInputError(
                f"{path}: holds no latents of tomoDRGN (z.train.pkl, z.49.train.pkl).",
                remedy="Name the folder that tomodrgn train_vae wrote.",
                code="no-latents",
            )
        return cls(path, read_settings(config) if config.exists() else {}, epochs)

    def section(self, name: str) -> dict[str, Any]:
        """A part of the settings; empty where it is not there."""
        section = self.settings.get(name)
        return section if isinstance(section, dict) else {}

    def star(self) -> Path:
        """The star file that the settings name: filtered as trained on, else as given.

        Raises
        ------
        BadInputError
            If it cannot be found.
        """
        section = self.section("starfile_args")
        names = [section.get("sourcefile_filtered"), section.get("sourcefile")]
        paths = [Path(name) for name in names if isinstance(name, str) and name]
        for path in paths:
            places = (path, self.path / path, self.path / path.name, self.path.parent / path)
            for candidate in places:
                if candidate.is_file():
                    return candidate
        named = f"the star file {paths[0]}" if paths else "a star file"
        raise BadInputError(
            f"{self.path}: {named} of the particles cannot be found.",
            remedy="Name it with --source.",
            code="no-source",
        )

    def images(self) -> Path | None:
        """The folder of images that the settings name, if it is there."""
        name = self.section("dataset_args").get("datadir")
        return Path(name) if isinstance(name, str) and Path(name).is_dir() else None

    def box_size_px(self) -> int | None:
        """Box of the images, of which its lattice has one point more; None where nobody says."""
        points = self.section("lattice_args").get("boxsize")
        return int(points) - 1 if isinstance(points, int) else None

    def losses(self) -> list[dict[str, float]]:
        """Rows of losses in ``run.log``, columns as ``metrics.csv`` of a run has them."""
        try:
            text = (self.path / "run.log").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        rows = {}
        for match in _LOSSES.finditer(text):
            reconstruction, kl, total, hours, minutes, seconds = map(float, match.groups()[1:])
            rows[int(match[1])] = {
                "epoch": int(match[1]),
                "seconds": hours * 3600 + minutes * 60 + seconds,
                "reconstruction": reconstruction,
                "kl": kl,
                "total": total,
            }
        return [rows[epoch] for epoch in sorted(rows)]


def number_in(text: str) -> int:
    """The first whole number of a name; −1 without."""
    digits = re.search(r"\d+", text)
    return int(digits[0]) if digits else -1


def _epochs(path: Path) -> tuple[Epoch, ...]:
    """By file name; what has no number is of the end, and goes before the same of the epoch."""
    numbered: dict[int, Path] = {}
    last: Path | None = None
    for file in sorted(path.glob("z*.pkl"), reverse=True):  # z.5.train.pkl before z.5.pkl
        match = _LATENTS.fullmatch(file.name)
        if match and match[1]:
            numbered.setdefault(int(match[1]) + 1, file)
        elif match:
            last = last or file
    if last is not None:
        numbered[max(numbered, default=1)] = last
    return tuple(
        Epoch(number, file, _weights(path, number, final=file is last))
        for number, file in sorted(numbered.items())
    )


def _weights(path: Path, number: int, *, final: bool) -> Path | None:
    names = [f"weights.{number - 1}.pkl"]
    names = ["weights.pkl", *names] if final else names
    return next((path / name for name in names if (path / name).is_file()), None)
