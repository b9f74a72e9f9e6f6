"""`select` and `columns`: what goes in and out as tables, indices, labels and star files."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from terminal import done, refused

from napari_tomodrgn.analysis.index_files import particle_numbers, read_array, write_array
from napari_tomodrgn.data.dialects import read_particles, write_subset
from napari_tomodrgn.data.star import read_star
from napari_tomodrgn.learn.run.directory import Run


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_run, tmp_path / "run"))


@pytest.fixture
def star(simulated: Path) -> Path:
    return simulated / "warptools" / "particles_optimisation_set.star"


@pytest.mark.parametrize("suffix", [".pkl", ".npy"])
def test_an_index_file_goes_out_and_comes_back(star: Path, tmp_path: Path, suffix: str) -> None:
    particles = read_particles(star)
    wanted = [3, 4, 17]
    write_array(tmp_path / f"ind{suffix}", np.array(wanted))
    out = tmp_path / "some.star"
    done("select", star, "--index", tmp_path / f"ind{suffix}", "--out", out)
    chosen = read_particles(out)
    assert chosen.ids == [particles.ids[number] for number in wanted]
    back = tmp_path / f"back{suffix}"
    done("select", star, "--particles", _ids(tmp_path, chosen.ids), "--out", back)
    assert read_array(back).tolist() == wanted


def _ids(folder: Path, ids: list[str]) -> Path:
    (folder / "ids.txt").write_text("\n".join(ids))
    return folder / "ids.txt"


def test_an_index_is_what_plain_pickle_and_old_numpy_read(star: Path, tmp_path: Path) -> None:
    out = tmp_path / "ind.pkl"
    done("select", star, "--where", "tilts > 0", "--out", out)
    text = out.read_bytes()
    assert b"numpy._core" not in text, "numpy 1 has no such module"
    found = pickle.loads(text)
    np.testing.assert_array_equal(found, np.arange(24))
    assert found.dtype.kind == "i"


def test_rows_of_the_star_are_counted_and_not_those_that_are_left(star: Path) -> None:
    particles = read_particles(star)
    some = particles.take(np.arange(24) >= 10)
    assert particle_numbers(some).tolist() == list(range(10, 24))


def test_an_image_series_is_numbered_by_first_appearance(real_data: Path, tmp_path: Path) -> None:
    star = real_data / "cryosrpnt" / "10076_classD_32_sim.star"
    write_array(tmp_path / "ind.pkl", np.array([70, 2, 2]))
    done("select", star, "--index", tmp_path / "ind.pkl", "--out", tmp_path / "two.star",
         "--images", star.parent)  # fmt: skip
    two, whole = read_particles(tmp_path / "two.star"), read_particles(star)
    assert two.ids == [whole.ids[2], whole.ids[70]]
    assert len(two.images) == 16


def test_conditions_on_latents_columns_and_the_star(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, particles = Run.open(run).latents(), Run.open(run).particles()
    depth = pd.DataFrame({"particle_id": table.index, "depth": np.arange(24) * 10.0})
    depth.sample(frac=1, random_state=0).to_csv(tmp_path / "depth.csv", index=False)
    done("columns", run, "--add", tmp_path / "depth.csv")
    done("select", run, "--where", "depth < 45 and mu_0 > -99", "--out", tmp_path / "a.star")
    assert read_particles(tmp_path / "a_optimisation_set.star").ids == list(table.index[:5])
    middle = float(np.median(table["mu_1"]))
    where = f"`z 1` > {middle} and not rlnTomoName == 'nowhere' and tilts = 11"
    done("select", run, "--where", where, "--out", tmp_path / "b.npy")
    wanted = np.flatnonzero((table["mu_1"] > middle).loc[particles.ids])
    assert read_array(tmp_path / "b.npy").tolist() == wanted.tolist()
    done("select", run, "--where", "abs(zscore(depth)) > 1.5", "--out", tmp_path / "c.npy")
    assert read_array(tmp_path / "c.npy").tolist() == [0, 1, 22, 23]
    said = refused(capsys, "select", run, "--where", "deepth < 3", "--out", tmp_path / "d.star")
    assert "no column is called 'deepth'; there are depth" in said
    said = refused(capsys, "select", run, "--where", "depth < -1", "--out", tmp_path / "d.star")
    assert "no particle is left of 24" in said
    said = refused(capsys, "select", run, "--out", tmp_path / "d.star")
    assert "which particles to write" in said


def test_labels_of_tomodrgn_choose_particles_of_a_star_and_go_back(
    star: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = np.arange(24) % 3
    with open(tmp_path / "labels.pkl", "wb") as stream:
        pickle.dump(labels, stream)
    out = tmp_path / "kept.star"
    done("select", star, "--table", tmp_path / "labels.pkl", "--where", "labels in (0, 2)",
         "--out", out)  # fmt: skip
    ids = read_particles(star).ids
    kept = [name for name, label in zip(ids, labels, strict=True) if label != 1]
    assert read_particles(out).ids == kept
    done("columns", run, "--add", tmp_path / "labels.pkl")
    done("columns", run, "--out", tmp_path / "back.pkl", "--column", "labels")
    np.testing.assert_array_equal(pickle.loads((tmp_path / "back.pkl").read_bytes()), labels)
    names = Run.open(run).latents()["tomogram"]
    capsys.readouterr()
    done("columns", run, "--out", tmp_path / "words.npy", "--column", "tomogram")
    said = capsys.readouterr().err
    codes = read_array(tmp_path / "words.npy")
    assert f"{codes[0]}: {names.iloc[0]}" in said
    np.save(tmp_path / "short.npy", labels[:5])
    assert "(5,) for 24 particles" in refused(
        capsys, "columns", run, "--add", tmp_path / "short.npy"
    )


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt", ".parquet"])
def test_tables_are_matched_by_identity_and_round_trip(
    run: Path, tmp_path: Path, suffix: str
) -> None:
    ids = list(Run.open(run).latents().index)
    rng = np.random.default_rng(0)
    values = pd.Series(rng.normal(size=24), ids)
    words = pd.Series(rng.choice(["open", "closed"], 24), ids)
    shuffled = list(rng.permutation(ids))
    table = pd.DataFrame({"particle_id": shuffled, "score": values[shuffled].to_numpy(),
                          "state": words[shuffled].to_numpy()})  # fmt: skip
    path = tmp_path / f"mine{suffix}"
    if suffix == ".parquet":
        table.to_parquet(path, index=False)
    else:
        separator = {".csv": ",", ".tsv": "\t", ".txt": " "}[suffix]
        table.to_csv(path, sep=separator, index=False, encoding="utf-8-sig")
    done("columns", run, "--add", path)
    extras = Run.open(run).extras().loc[ids]
    np.testing.assert_allclose(extras["score"], values)
    assert extras["state"].tolist() == words.tolist()
    out = tmp_path / f"out{suffix}"
    if suffix != ".txt":
        done("columns", run, "--out", out, "--column", "score", "--column", "state")
        if suffix == ".parquet":
            back = pd.read_parquet(out)
        else:
            back = pd.read_csv(out, sep="," if suffix == ".csv" else "\t")
        back = back.set_index("particle_id").loc[ids]
        np.testing.assert_allclose(back["score"], values)


def test_a_star_of_the_same_particles_brings_its_columns(
    run: Path, star: Path, tmp_path: Path
) -> None:
    particles = read_particles(star)
    classes = pd.DataFrame({"class": np.arange(24) % 4}, index=particles.particles.index)
    written = write_subset(particles.take(np.arange(24) < 20), tmp_path / "c.star", classes)
    done("columns", run, "--add", written)
    extras = Run.open(run).extras()
    assert extras["tomodrgnClass"].notna().sum() == 20
    assert extras["tomodrgnClass"].loc[particles.ids[7]] == 3


def test_what_does_not_fit_is_one_sentence(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = list(Run.open(run).latents().index)

    def said(table: pd.DataFrame) -> str:
        table.to_csv(tmp_path / "t.csv", index=False)
        return refused(capsys, "columns", run, "--add", tmp_path / "t.csv")

    assert "no column particle_id" in said(pd.DataFrame({"score": [1.0]}))
    assert "none of its 1 particles" in said(pd.DataFrame({"particle_id": ["x/1"], "a": [1]}))
    assert "stands in it twice" in said(pd.DataFrame({"particle_id": ids[:1] * 2, "a": [1, 2]}))
    assert "calls its latents" in said(pd.DataFrame({"particle_id": ids, "mu_0": 1.0}))
    assert "no column but the identities" in said(pd.DataFrame({"particle_id": ids}))
    good = pd.DataFrame({"particle_id": [*ids[:3], "x/1"], "a": [1, 2, 3, 4]})
    good.to_csv(tmp_path / "t.csv", index=False)
    done("columns", run, "--add", tmp_path / "t.csv")
    told = capsys.readouterr().err
    assert "1 particles are not in the set" in told
    assert "no values of 21 particles" in told
    assert "has a column 'a' already" in refused(
        capsys, "columns", run, "--add", tmp_path / "t.csv"
    )
    done("columns", run, "--add", tmp_path / "t.csv", "--overwrite")
    capsys.readouterr()
    done("columns", run)
    assert {"PC 1", "z 0", "a", "tomogram", "rlnTomoName"} <= set(
        capsys.readouterr().out.splitlines()
    )


def test_any_star_of_particles_is_filtered_row_by_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """3-D particles of RELION and of M, as `filter_star` of tomoDRGN takes them."""
    star = tmp_path / "volumes.star"
    star.write_text(
        "# version 30001\n\ndata_optics\n\nloop_\n_rlnOpticsGroup #1\n_rlnVoltage #2\n1 300.0\n\n"
        "data_particles\n\nloop_\n_rlnMicrographName #1\n_rlnCoordinateX #2\n_rlnClassNumber #3\n"
        "TS_1.tomostar 10.50 1\nTS_10.tomostar 20.0 2\nTS_1.tomostar 30.0 2\nTS_2.tomostar 7 1\n"
    )
    out = tmp_path / "out.star"
    done("select", star, "--where", "rlnClassNumber = 1 or rlnCoordinateX > 25", "--out", out)
    rows = read_star(out)["particles"]
    assert rows["rlnCoordinateX"].tolist() == ["10.50", "30.0", "7"], "letter for letter"
    assert read_star(out)["optics"]["rlnVoltage"].tolist() == ["300.0"]
    write_array(tmp_path / "ind.pkl", np.array([1, 2]))
    done("select", star, "--index", tmp_path / "ind.pkl", "--out", out, "--per-tomogram")
    one = read_star(tmp_path / "out_TS_1.tomostar.star")["particles"]
    assert one["rlnCoordinateX"].tolist() == ["30.0"], "TS_1 is not TS_10"
    assert len(read_star(tmp_path / "out_TS_10.tomostar.star")["particles"]) == 1
    assert "names rows" in refused(
        capsys, "select", star, "--index", _index(tmp_path, [4]), "--out", out
    )


def _index(folder: Path, numbers: list[int]) -> Path:
    write_array(folder / "other.pkl", np.array(numbers))
    return folder / "other.pkl"


def test_one_file_a_tomogram(star: Path, tmp_path: Path) -> None:
    particles = read_particles(star)
    done("select", star, "--where", "tilts > 0", "--out", tmp_path / "t.star", "--per-tomogram")
    tomograms = particles.particles["tomogram"].astype(str)
    written = sorted(tmp_path.glob("*_optimisation_set.star"))
    found = [read_particles(path).ids for path in written]
    assert sorted(name for ids in found for name in ids) == sorted(particles.ids)
    assert len(found) == tomograms.nunique()


def test_a_malicious_index_is_refused_and_never_run(
    star: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trap = tmp_path / "trap"

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str, str]]:
            return open, (str(trap), "w")

    for option, name in (("--index", "ind.pkl"), ("--table", "t.pkl")):
        (tmp_path / name).write_bytes(pickle.dumps(Evil()))
        arguments = ["select", star, option, tmp_path / name, "--out", tmp_path / "x.star"]
        if option == "--table":
            arguments += ["--where", "t > 1"]
        assert "nothing in it was run" in refused(capsys, *arguments)
    assert not trap.exists()
