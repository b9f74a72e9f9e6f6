"""Options that would be ignored are refused before anything is done."""

from __future__ import annotations

from pathlib import Path

import pytest
from terminal import refused

_PLACE = "place {run} --tomogram {tomogram} --out {out}"
_TRAVERSE = "traverse {run} --out {out}"
_MASK = "mask {map} --out {out}.mrc"

# What is asked for, and the beginning of what is said of it.
_IGNORED = (
    (f"{_PLACE} --markers --consensus", "--consensus does not go with --markers"),
    (f"{_PLACE} --markers --map {{map}}", "--map does not go with --markers"),
    (f"{_PLACE} --markers --map-by tilts", "--map-by does not go with --markers"),
    (f"{_PLACE} --markers --by-cluster", "--by-cluster does not go with --markers"),
    (f"{_PLACE} --markers --box 12", "--box does not go with --markers"),
    (f"{_PLACE} --markers --lowpass 60", "--lowpass does not go with --markers"),
    (f"{_PLACE} --markers --sigma 3", "--sigma does not go with --markers"),
    (f"{_PLACE} --markers --device cpu", "--device does not go with --markers"),
    (f"{_PLACE} --markers --epoch 1", "--epoch is of decoded maps and of --color"),
    (f"{_PLACE} --markers --table x.csv", "--table is of --where, which is not given"),
    (f"{_PLACE} --markers --places-pixel-size 2", "--places-pixel-size is of --places"),
    (f"{_PLACE} --consensus --by-cluster", "--by-cluster does not go with --consensus"),
    (f"{_PLACE} --consensus --radius=9", "--radius is of --markers, which is not given"),
    (f"{_PLACE} --map {{map}} --map-by nope", "--map-by is of --map VALUE=FILE"),
    (f"{_PLACE} --map {{map}} --epoch 1", "--epoch is of decoded maps and of --color"),
    (f"{_PLACE} --map {{map}} --consensus", "--consensus is of decoded maps"),
    (f"{_PLACE} --map {{map}} --device cpu", "--device is of decoded maps"),
    ("place {star} --tomogram {tomogram} --out {out} --markers --epoch 1 --color tilts",
     "--epoch is of a run; the source is a star file"),
    (f"{_TRAVERSE} --through a b --frames 10", "--frames is of --component"),
    (f"{_TRAVERSE} --through a b --limits 5", "--limits is of --component"),
    (f"{_TRAVERSE} --through a b --on-data", "--on-data is of --component"),
    (f"{_TRAVERSE} --component 1 --neighbors 3", "--neighbors is of --through"),
    ("analyze {run} --volumes --mixture", "--mixture does not go with --volumes"),
    ("analyze {run} --volumes --states", "--states does not go with --volumes"),
    ("analyze {run} --volumes --tsne", "--tsne does not go with --volumes"),
    ("analyze {run} --volumes --class-images", "--class-images does not go with --volumes"),
    ("analyze {run} --volumes --images x", "--images does not go with --volumes"),
    ("analyze {run} --images x", "--images is of --class-images, which is not given"),
    ("analyze {run} --mask soft", "--mask is of --volumes, which is not given"),
    ("train {star} --out {out} --nodes 1", "--nodes is of --slurm, which is not given"),
    ("train {star} --out {out} --gpus 2", "--gpus is of --slurm, which is not given"),
    ("train {star} --out {out} --time 9", "--time is of --slurm, which is not given"),
    ("columns {run} --column mu_0", "--column is of --out, which is not given"),
    ("select {run} --max-tilts 3 --out {out}.pkl", "--max-tilts chooses tilt images"),
    ("select {run} --exclude-tilts 3 --out {out}.npy", "--exclude-tilts chooses tilt images"),
    ("select {run} --max-dose 30 --out {out}.npy", "--max-dose chooses tilt images"),
    ("decode {run} --particle a --table x.csv --out {out}", "--table is of --where"),
    (f"{_MASK} --sphere 9 9 9 5 --sigma 3", "--sigma is of --difference"),
    ("inspect {star} --ids --json", "--json does not go with --ids"),
    ("inspect {star} --ids --tomograms x", "--tomograms does not go with --ids"),
    ("embed {run} --pixel-size 2 --out {out}.csv", "--pixel-size says how to read SOURCE"),
    ("embed {run} --hand -1 --out {out}.csv", "--hand says how to read SOURCE"),
    ("embed {run} --dose-per-tilt 2 --out {out}.csv", "--dose-per-tilt says how to read SOURCE"),
    ("embed {run} --dialect warp --out {out}.csv", "--dialect says how to read SOURCE"),
    ("embed {run} --column a=b --out {out}.csv", "--column says how to read SOURCE"),
    ("demo --out {out} --no-view --screenshot x.png", "--screenshot does not go with --no-view"),
    ("simulate --out {out} --continuous --states 3", "--states does not go with --continuous"),
    ("simulate --out {out} --assembly 16 --states 2", "--states does not go with --assembly"),
    ("reconstruct {star} --symmetry C1 --method network --out {out}",
     "--symmetry is of --method average"),
    ("reconstruct {star} --epochs 3 --out {out}", "--epochs is of --method network"),
)  # fmt: skip


@pytest.fixture
def words(simulated: Path, tiny_run: Path, tmp_path: Path) -> dict[str, object]:
    star = simulated / "warptools" / "particles_optimisation_set.star"
    maps = next(simulated.rglob("*80S*.mrc"))
    return {"run": tiny_run, "star": star, "map": maps, "out": tmp_path / "o", "tomogram": "TS_1"}


@pytest.mark.parametrize(("command", "said"), _IGNORED)
def test_an_option_that_says_nothing_is_refused(
    command: str, said: str, words: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [word.format(**words) for word in command.split()]
    assert refused(capsys, *arguments).startswith(f"napari-tomodrgn: {said}")
    assert not list(Path(str(words["out"])).parent.iterdir()), "nothing was written"


@pytest.mark.parametrize("limit", ["50", "60", "100", "150", "0", "nan"])
def test_a_traversal_begins_below_its_middle(
    limit: str, words: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    command = f"{_TRAVERSE} --component 1 --limits {limit}"
    with pytest.raises(SystemExit) as stopped:
        refused(capsys, *(word.format(**words) for word in command.split()))
    assert stopped.value.code == 2
    assert "--limits: must be above 0 and below 50" in capsys.readouterr().err
