"""A shared run is the same run elsewhere, without images; what is no run is refused as a whole."""

from __future__ import annotations

import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_tomodrgn.analysis.selections import Selection, load_selection, save_selection
from napari_tomodrgn.cli import main
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.run.archive import unpacked, write_archive
from napari_tomodrgn.learn.run.directory import Run


@pytest.fixture
def shared(tiny_run: Path, tmp_path: Path) -> Path:
    """A run with a selection, shared, in another folder where its images are not."""
    run = Path(shutil.copytree(tiny_run, tmp_path / "here" / "run"))
    ids = list(Run.open(run).latents().index[:5])
    save_selection(run, Selection(name="five", particles=tuple(ids), color="#ff0000"))
    # As on another machine: the images are nowhere.
    star = run / "particles.star"
    star.write_text(star.read_text().replace(".mrcs", ".gone.mrcs"))
    out = tmp_path / "there" / "mine.tomodrgn"
    assert main(["share", str(run), "--out", str(out)]) == 0
    return out


def test_all_of_it_is_exact(shared: Path, tiny_run: Path, tmp_path: Path) -> None:
    original, opened = Run.open(tiny_run), Run.open(shared)
    assert opened.path == shared.with_suffix("")
    pd.testing.assert_frame_equal(opened.latents(), original.latents())
    z = original.latents().filter(like="mu_").to_numpy()[3]
    np.testing.assert_array_equal(
        opened.decoder().decode(z).data, original.decoder().decode(z).data
    )
    five = load_selection(opened.path, "five")
    assert five.particles == tuple(original.latents().index[:5])
    assert len(opened.stored_particles(images_needed=False)) == 24
    assert Run.open(shared).path == opened.path, "unpacked once"


def test_commands_take_it_as_a_run(shared: Path, tmp_path: Path) -> None:
    maps, star = tmp_path / "maps", tmp_path / "some.star"
    assert main(["decode", str(shared), "--selection", "five", "--out", str(maps)]) == 0
    assert len(list(maps.glob("*.mrc"))) == 5
    assert main(["select", str(shared), "--selection", "five", "--out", str(star)]) == 0


def test_no_images_no_other_epochs_and_no_way_to_resume_go_along(
    shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with zipfile.ZipFile(shared) as archive:
        names = archive.namelist()
    assert not [name for name in names if name.endswith((".mrcs", ".npy", ".pkl"))]
    assert "checkpoints/resume.safetensors" not in names
    weights = [name for name in names if name.startswith("checkpoints/epoch-")]
    assert len(weights) == 1
    folder = unpacked(shared)
    assert Run.open(folder).epochs() == [Run.open(folder).last_epoch()]


@pytest.mark.parametrize(
    "name", ["evil.pkl", "../out.json", "/etc/out.json", "a/../../b.csv", "x.py", "C:\\x.json"]
)
def test_what_no_run_has_is_refused_and_nothing_is_unpacked(
    shared: Path, tmp_path: Path, name: str
) -> None:
    bad = tmp_path / "bad.tomodrgn"
    shutil.copy(shared, bad)
    with zipfile.ZipFile(bad, "a") as archive:
        archive.writestr(name, pickle.dumps([1]))
    with pytest.raises(BadInputError, match="nothing was unpacked"):
        Run.open(bad)
    assert not bad.with_suffix("").exists()
    assert not (tmp_path / "out.json").exists()


def test_bombs_and_damage_are_one_sentence(shared: Path, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.tomodrgn"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("run.json", "{}")
        archive.writestr("analysis/a.csv", b"0" * (250 << 20))
    with pytest.raises(BadInputError, match="would unpack to"):
        Run.open(bomb)
    cut = tmp_path / "cut.tomodrgn"
    cut.write_bytes(shared.read_bytes()[:1000])
    with pytest.raises(BadInputError, match="damaged, or not a shared run"):
        Run.open(cut)
    with pytest.raises(BadInputError, match="cannot be read"):
        Run.open(tmp_path / "gone.tomodrgn")
    (tmp_path / "taken").mkdir()
    shutil.copy(shared, tmp_path / "taken.tomodrgn")
    with pytest.raises(BadInputError, match="something else is there"):
        Run.open(tmp_path / "taken.tomodrgn")
    with pytest.raises(BadInputError, match="must end in"):
        write_archive(unpacked(shared), 2, tmp_path / "x.zip")


def test_an_imported_result_can_be_shared(real_data: Path, tmp_path: Path) -> None:
    from napari_tomodrgn.analysis.tomodrgn_result import import_result

    result = real_data / "tomodrgn_result" / "vae"
    run = import_result(result, tmp_path / "run", images=real_data / "cryosrpnt").run
    out = tmp_path / "other" / "theirs.tomodrgn"
    write_archive(run.path, run.last_epoch(), out)
    z = np.zeros(4)
    np.testing.assert_array_equal(
        Run.open(out).decoder().decode(z, 16).data, run.decoder().decode(z, 16).data
    )
