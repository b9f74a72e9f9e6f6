"""Every terminal command of the documentation is one, and is run on a small sample."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from evidence_case import make_case

from napari_tomodrgn.analysis.index_files import write_array
from napari_tomodrgn.analysis.latents import analyze
from napari_tomodrgn.analysis.selections import Selection, save_selection
from napari_tomodrgn.cli.ignored import given_names, refuse_ignored
from napari_tomodrgn.cli.parser import main, make_parser
from napari_tomodrgn.data.volume import write_volume
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.synthetic import SimulationConfig, simulate

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# A training of seconds.
QUICK = """
[model]
latent_dim = 2
decoder_dim = 32
image_encoder_dim = 32
linear_start = false
[train]
epochs = 1
points_per_particle = 128
refine = false
device = "cpu"
[linear]
radius_px = 7
"""
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
        words = [_STANDS_FOR.get(word, word) for word in arguments]
        try:
            options = parser.parse_args(words)
            refuse_ignored(options, given_names(parser.commands[options.command], words))
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
    (folder / "quick.toml").write_text(QUICK)
    return folder


# Names that stand on several pages, and what is there in their place.
_NAMES = {
    "particles.star": "particles_optimisation_set.star",
    "particles": "warptools",
    "Particles/": "warptools",
    "RUN": "run",
    # A simulated sample, and images cut from one, are small.
    **{"240": "24", "21": "11", "64": "32", "6": "12"},
}
# A window opens, or a demonstration does all at once: `tests/gui/window`, `make demo`.
_SHOWN = ("view", "demo")


def _run(arguments: list[str], folder: Path, **more: str) -> None:
    """A command as it stands on the page, with the sample's names for the page's."""
    runs = [Run.open(file.parent) for file in sorted(folder.glob("*/run.json"))]
    tomograms = {str(run.latents()["tomogram"].iloc[0]) for run in runs[:1] if run.epochs()}
    names = {**_NAMES, **dict.fromkeys(("TS_001", "TS_001.tomostar"), next(iter(tomograms), ""))}
    words = [{**names, **more}.get(word, word) for word in arguments]
    if words[0] == "train" and "--resume" not in words:
        words += ["--config", "quick.toml", "--overwrite"]
    if words[0] == "extract":  # which pixels of 12 Å do not tell
        words += ["--hand", "1"]
    assert main(words) == 0, " ".join(words)


def _page(path: str, folder: Path, leave_out: tuple[str, ...] = _SHOWN, **more: str) -> None:
    """All commands of a page, in order."""
    found = [one for one in commands_of(ROOT / path) if one[0] not in leave_out]
    assert found
    for arguments in found:
        _run(arguments, folder, **more)


@pytest.fixture
def here(workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, to work in."""
    folder = Path(shutil.copytree(workplace, tmp_path / "here"))
    monkeypatch.chdir(folder)
    monkeypatch.setattr(analyze, "is_worth_it", lambda _points: False)  # UMAP takes long
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", ["own-columns", "in-tomogram", "one-region", "on-a-cluster"])
def test_the_commands_of_a_task_do_what_they_say(name: str, here: Path) -> None:
    """In order, on a small sample; masks and places are moved to where its particles are."""
    if name == "in-tomogram":  # the average of another page
        (here / "average").mkdir()
        write_volume(here / "average" / "map.mrc", Run.open("run").decoder().decode([0, 0]))
    if name == "on-a-cluster":  # the run is made here
        shutil.rmtree("run")
    for arguments in commands_of(ROOT / "docs" / "tasks" / f"{name}.md"):
        if "--places" in arguments or arguments[0] in _SHOWN:
            continue  # a list of volumes is made in tests/cli/test_place.py
        _run(arguments, here)


@pytest.mark.slow
def test_the_commands_of_the_first_page(here: Path) -> None:
    """`extract` and `compare` have sets of their own below."""
    (here / "chosen.txt").write_text("\n".join(Run.open("run").latents().index[:6]))
    shutil.rmtree("run")
    _page("README.md", here, (*_SHOWN, "extract", "compare"))


@pytest.mark.slow
@pytest.mark.parametrize("page", ["docs/tomogram.md", "docs/cluster.md", "docs/install.md"])
def test_the_commands_of_other_pages(page: str, here: Path) -> None:
    if page == "docs/cluster.md":
        shutil.rmtree("run")
    _page(page, here)


@pytest.mark.slow
def test_the_commands_of_the_tutorial(here: Path) -> None:
    for one in here.iterdir():
        if one.name != "quick.toml":
            shutil.rmtree(one) if one.is_dir() else one.unlink()
    (here / "points.csv").write_text("0,0\n1,0\n")
    for arguments in commands_of(ROOT / "docs" / "tutorial.md"):
        if "--selection" in arguments:  # which is made in the window
            ids = tuple(Run.open("run").latents().index[:7])
            save_selection(here / "run", Selection(name="right side", particles=ids))
        if arguments[0] not in _SHOWN:
            _run(arguments, here)


@pytest.mark.slow
def test_the_commands_about_evidence(here: Path, tmp_path: Path) -> None:
    case = make_case(tmp_path / "case", ("80S", "60S"))
    shutil.rmtree("run")
    run = Run(Path(shutil.copytree(case.run.path, here / "run")), case.run.info)
    ids = run.latents().index
    table = pd.DataFrame({"particle_id": ids, "score": case.truth["state"].to_numpy() * 1.0})
    table.to_csv("mine.csv", index=False)
    assert main(["columns", "run", "--add", "mine.csv"]) == 0
    _page("docs/tasks/compare-classes.md", here, **{"4": "2"})


@pytest.mark.slow
@pytest.mark.parametrize("page", ["docs/extract.md", "docs/tasks/stopgap.md"])
def test_the_commands_from_a_list_of_an_averaging_package(page: str, here: Path) -> None:
    settings = {"particles": 30, "tilts": 11, "box_size_px": 32, "states": 2, "snr": 1.0}
    for _ in simulate(here / "made", SimulationConfig(**settings, tilt_series=True)):
        pass
    series = here / "made" / "tilt_series"
    shutil.copy(series / "lists" / "imod" / "stopgap.star", here / "motl_12.star")
    where = {
        "stacks/": str(series / "stacks"),
        "imod/": str(series / "alignments" / "imod"),
        "ctf/": str(series / "ctf" / "ctffind"),
        "mdocs/": str(series / "dose" / "mdoc"),
        "bin4/": str(here / "made" / "tomograms"),
    }
    shutil.rmtree("run")
    (here / "quick.toml").write_text("[linear]\nradius_px = 6\n[train]\ndevice = 'cpu'\n")
    _page(page, here, **where)
    assert (here / "chosen_stopgap.star").exists()


def test_every_page_with_commands_is_run() -> None:
    """But public data, which are not there, and synopses, whose commands stand elsewhere, too."""
    text = Path(__file__).read_text(encoding="utf-8")
    not_run = {"real-data", "evidence"}
    for page in PAGES:
        if commands_of(page) and page.stem not in not_run:
            assert f"{page.stem}.md" in text or f'"{page.stem}"' in text, page.name


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
            more = {"particles": str(real_data / "cryosrpnt")} if theirs else {}
            _run(arguments, folder, **more)
