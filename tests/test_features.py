"""The table of what tomoDRGN does: each row is run, looked up, or names the test that shows it."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from test_docs_commands import make_workplace

from napari_tomodrgn.analysis.latents import analyze
from napari_tomodrgn.analysis.selections import Selection, save_selection
from napari_tomodrgn.cli.parser import COMMANDS, main, make_parser
from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.volume import write_volume
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.training import homogeneous

PAGE = Path(__file__).resolve().parents[1] / "docs" / "tomodrgn-features.md"
# Priority C of the list that the table follows: these may be a sentence.
_SENTENCES = {33, 40, 88}
_ROW = re.compile(r"\| (\d+(?:(?:–|, )\d+)*) \| (.*?) \| (.*) \| (.*?) ?\|")
# What stands after an option instead of a value of one's own, and alone.
_VALUES = {
    **{
        "--box": "16",
        "--lowpass": "60",
        "--component": "1",
        "--clusters": "3",
        "--dialect": "warptools",
    },
    **{"--latents": "z.npy", "--particles": "ids.txt", "--add": "mine.csv", "--index": "ind.pkl"},
    **{"--map": "map.mrc", "--selection": "named", "--color": "score", "--images": "warptools"},
    **{"--pixel-size-target": "20", "--box-target": "16", "--max-tilts": "8", "--min-tilts": "5"},
    **{
        "--max-dose": "60",
        "--latent-dim": "2",
        "--epochs": "1",
        "--batch-size": "4",
        "--seed": "1",
    },
}
_NAMES = {
    "SOURCE": ["particles.star"],
    "RUN": ["run"],
    "ID": [],
    "MAP.mrc": ["map.mrc"],
    "TRUTH.mrc": ["other.mrc"],
    "A.mrc": ["map.mrc"],
    "B.mrc": ["other.mrc"],
    "NEW.star": ["particles.star"],
}
# What a command needs where the table leaves it out.
_NEEDED = {
    "reconstruct": ["particles.star", "--out", "DIR"],
    "decode": ["run", "--clusters", "1", "--out", "DIR"],
    "place": ["run", "--tomogram", "NAME", "--out", "DIR"],
    "select": ["run", "--clusters", "1", "--out", "FILE.star"],
    "train": ["particles.star", "--out", "DIR"],
    "inspect": ["particles.star"],
    "simulate": ["--out", "DIR", "--particles", "4", "--tilts", "3", "--box", "16"],
}


def _rows() -> dict[int, tuple[str, str]]:
    """What is done here, and its tests, by the number of the row."""
    found: dict[int, tuple[str, str]] = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        match = _ROW.fullmatch(line)
        if match:
            ends = [int(one) for one in re.split("–|, ", match[1])]
            numbers = range(ends[0], ends[-1] + 1) if "–" in match[1] else ends
            found |= dict.fromkeys(numbers, (match[3], match[4]))
    return found


ROWS = _rows()
_WORDS = {number: re.findall(r"`([^`]+)`", here) for number, (here, _tests) in ROWS.items()}
_RUN = {
    number: [one for one in words if one.split()[0] in COMMANDS and one != "import napari_tomodrgn"]
    for number, words in _WORDS.items()
}
_FILE = re.compile(r"(RUN/)?[\w/-]+\.(csv|json|cxc|png|svg)|RUN/[\w/]+")
_FILES = {number: list(filter(_FILE.fullmatch, words)) for number, words in _WORDS.items()}


def test_all_rows_are_there_and_each_is_shown() -> None:
    assert sorted(ROWS) == list(range(1, 95))
    shown = {number for number, (_, tests) in ROWS.items() if tests or _RUN[number]}
    unshown = {number for number in ROWS if number not in shown and not _FILES[number]}
    assert unshown <= _SENTENCES
    refused = {number for number, (here, _) in ROWS.items() if here.startswith("not ")}
    assert refused == _SENTENCES


def test_options_and_settings_are_there() -> None:
    known = {
        flag
        for action in make_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
        for parser in action.choices.values()
        for one in parser._actions
        for flag in one.option_strings
    }
    settings = RunConfig().model_dump()
    for number, words in _WORDS.items():
        for word in words:
            if word.startswith("--"):
                assert word.split()[0] in known, f"row {number}: {word}"
            elif re.fullmatch(r"(data|weight|model|train|linear)\.[\w*]+", word):
                table, name = word.split(".")
                assert name == "*" or name in settings[table], f"row {number}: {word}"


@pytest.fixture(scope="module")
def workplace(simulated: Path, tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the table names."""
    folder = make_workplace(simulated, tiny_run, tmp_path_factory.mktemp("features"))
    run = Run.open(folder / "run")
    ids = tuple(run.latents().index)
    save_selection(run.path, Selection(name="named", particles=ids[:5]))
    (folder / "ids.txt").write_text("\n".join(ids[3:9]))
    np.save(folder / "z.npy", np.zeros((2, 2), np.float32))
    for name, z in (("map", [0.0, 0.0]), ("other", [1.0, 0.0])):
        write_volume(folder / f"{name}.mrc", run.decoder().decode(z))
    (folder / "quick.toml").write_text(
        "[model]\nlatent_dim = 2\ndecoder_dim = 32\nimage_encoder_dim = 32\nlinear_start = false\n"
        "[train]\nepochs = 1\npoints_per_particle = 128\nrefine = false\ndevice = 'cpu'\n"
    )
    return folder


def _arguments(command: str, folder: Path, number: int) -> list[str]:
    """The command of the table with the names of the small set."""
    name, *rest = shlex.split(command.replace("--where …", "--where 'rlnAngleTilt > 60'"))
    if not rest or rest[0] == "…" or rest[0].startswith("--"):
        rest = _NEEDED.get(name, []) + [word for word in rest if word != "…"]
    if name == "select" and "--out" not in rest:
        rest += ["--out", "FILE.star"]
    latents = Run.open(folder / "run").latents()
    free = {"DIR": f"out-{number}", "FILE.star": f"out-{number}.star", "TABLE.csv": f"{number}.csv"}
    free |= {"FILE": f"{number}.tomodrgn", "NAME": str(latents["tomogram"].iloc[0]), "N": "2"}
    names = {**{key: [value] for key, value in free.items()}, **_NAMES, "ID": [latents.index[2]]}
    found: list[str] = [name]
    for word in rest:
        before = found[-1]
        if (word.isupper() and before in _VALUES) or word in ("A", "K", "COLUMN"):
            found.append(_VALUES[before])
        else:
            found += names.get(word, [word])
    if found[-2:] == ["--out", "ind.pkl"]:  # which is there already, to be read
        found[-1] = f"{number}.pkl"
    swap = {"particles.star": "particles_optimisation_set.star"}
    found = [swap.get(word, word) for word in found]
    if found.count(latents.index[2]) == 2:  # two particles
        found[len(found) - 1 - found[::-1].index(latents.index[2])] = latents.index[9]
    if "homogeneous" in found or "network" in found:
        return [*found, "--epochs", "1"]
    return [*found, "--config", "quick.toml"] if name == "train" else found


@pytest.mark.slow
@pytest.mark.parametrize("number", [number for number in ROWS if _RUN[number] or _FILES[number]])
def test_the_commands_of_a_row_do_something(
    number: int, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workplace)
    monkeypatch.setattr(analyze, "is_worth_it", lambda _points: False)  # UMAP takes long
    monkeypatch.setattr(homogeneous, "_MIN_STEPS", 20)  # what comes of more is tested elsewhere
    for order, command in enumerate(_RUN[number]):
        arguments = _arguments(command, workplace, 100 * number + order)
        assert main(arguments) == 0, " ".join(arguments)
    for word in _FILES[number]:
        # Of a row that needs another's command, that one's: rows are run in their order.
        assert list(workplace.rglob(word.removeprefix("RUN/"))), f"row {number}: no {word}"
