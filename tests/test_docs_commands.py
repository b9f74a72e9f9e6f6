"""Every terminal command of the documentation is one; those of the task pages are run."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_tomodrgn.analysis.index_files import write_array
from napari_tomodrgn.analysis.latents import analyze
from napari_tomodrgn.cli.parser import main, make_parser
from napari_tomodrgn.data.volume import write_volume
from napari_tomodrgn.learn.run.directory import Run

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"```[^\n]*\n(.*?)```", re.DOTALL)
# Names of the documentation that stand for one's own, and a number that may be in their place.
_STANDS_FOR = {"…": "", "DIR": "out", "N": "3", "A": "4", "K": "1"}


def commands_of(page: Path) -> list[list[str]]:
    """Arguments of each `napari-tomodrgn` line in the blocks of a page, comments left out."""
    found = []
    for block in _BLOCK.findall(page.read_text(encoding="utf-8")):
        joined = re.sub(r"\\\n\s*", " ", block)
        # A line that begins deeper belongs to the one before it.
        for line in joined.splitlines():
            words = line.strip().removeprefix("$ ")
            # Of a synopsis, without what may be left out, and the first of several ways.
            words = re.sub(r"\[[^]]*\]", "", words)
            words = re.sub(r"\(([^|)]*)\|[^)]*\)", r"\1", words)
            if words.startswith("napari-tomodrgn "):
                found.append(shlex.split(words, comments=True)[1:])
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_a_page_is_one(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = make_parser()
    for arguments in commands_of(page):
        try:
            parser.parse_args([_STANDS_FOR.get(word, word) for word in arguments])
        except SystemExit as leaving:
            said = capsys.readouterr().err
            assert not leaving.code, f"{page.name}: {' '.join(arguments)}: {said}"


@pytest.fixture(scope="module")
def workplace(simulated: Path, tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the task pages name."""
    return make_workplace(simulated, tiny_run, tmp_path_factory.mktemp("docs"))


def make_workplace(simulated: Path, tiny_run: Path, folder: Path) -> Path:
    """Particles, a run with clusters, a table and an index, under the names of the pages."""
    source = simulated / "warptools"
    shutil.copytree(source, folder / "warptools")
    for star in source.glob("*.star"):
        shutil.copy(star, folder / star.name)
    shutil.copy(source / "particles_optimisation_set.star", folder / "set.star")
    run = Run(shutil.copytree(tiny_run, folder / "run"), Run.open(tiny_run).info)
    table = run.latents()
    mine = pd.DataFrame({"particle_id": table.index, "score": np.arange(len(table)) * 7 % 24 / 24})
    mine.to_csv(folder / "mine.csv", index=False)
    clusters = pd.DataFrame({"particle_id": table.index, "cluster": np.arange(len(table)) % 4 + 1})
    clusters.to_csv(run.analysis.clusters, index=False)
    extras = clusters.set_index("particle_id").astype({"cluster": str})
    run.save_extras(extras)
    write_array(folder / "ind.pkl", np.array([0, 3, 5]))
    return folder


def _run(arguments: list[str], folder: Path) -> None:
    """A command as it stands on the page, with the sample's names for the page's."""
    names = {
        "particles.star": "particles_optimisation_set.star",
        "particles": "warptools",
        "TS_001": str(Run.open(folder / "run").latents()["tomogram"].iloc[0]),
    }
    words = [names.get(word, word) for word in arguments]
    assert main(words) == 0, " ".join(words)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["own-columns", "in-tomogram", "one-region"])
def test_the_commands_of_a_task_do_what_they_say(
    name: str, workplace: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In order, on a small sample; masks and places are moved to where its particles are."""
    folder = Path(shutil.copytree(workplace, tmp_path / "here"))
    monkeypatch.chdir(folder)
    monkeypatch.setattr(analyze, "is_worth_it", lambda _points: False)  # UMAP takes long
    if name == "in-tomogram":  # the average of another page
        (folder / "average").mkdir()
        write_volume(folder / "average" / "map.mrc", Run.open("run").decoder().decode([0, 0]))
    for arguments in commands_of(ROOT / "docs" / "tasks" / f"{name}.md"):
        if "--places" in arguments:
            continue  # a list of volumes is made in tests/cli/test_place.py
        _run(arguments, folder)


@pytest.mark.slow
def test_the_commands_there_and_back_with_tomodrgn(
    workplace: Path, real_data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Pages about tomoDRGN, on its own result."""
    folder = Path(shutil.copytree(workplace, tmp_path / "here"))
    monkeypatch.chdir(folder)
    monkeypatch.setattr(analyze, "is_worth_it", lambda _points: False)
    told = real_data / "tomodrgn_result"
    shutil.copytree(told / "vae", folder / "vae")
    shutil.copy(told / "z.txt", folder / "z.txt")
    shutil.copy(told / "volumes" / "vol_000.mrc", folder / "vol_000.mrc")
    for page in ("from-tomodrgn.md", "tasks/tomodrgn-result.md"):
        shutil.rmtree(folder / "imported", ignore_errors=True)
        for arguments in commands_of(ROOT / "docs" / page):
            if arguments[0] == "view":
                continue  # opens a window
            theirs = arguments[0] in ("import", "embed")
            images = str(real_data / "cryosrpnt") if theirs else "particles"
            _run([images if word == "particles" else word for word in arguments], folder)
