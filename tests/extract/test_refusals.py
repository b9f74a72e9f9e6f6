"""What cannot be told is refused: one sentence with file, value and what to pass."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from napari_tomodrgn.cli import main
from napari_tomodrgn.data.mrc import write_mrc
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.dose.mdoc import acquisition_order, read_mdoc
from napari_tomodrgn.extract.inputs import read_extraction
from napari_tomodrgn.extract.lists import read_list
from napari_tomodrgn.extract.run import extract
from napari_tomodrgn.extract.settings import ExtractConfig
from napari_tomodrgn.extract.survey import survey

Make = Callable[..., ExtractConfig]


@pytest.fixture
def folder(tilt_images: Path, tmp_path: Path) -> Path:
    """The simulated tilt series as a folder that may be spoilt; stacks are linked."""
    root = tilt_images / "tilt_series"
    for name in ("alignments", "ctf", "dose", "lists"):
        shutil.copytree(root / name, tmp_path / name)
    (tmp_path / "stacks").mkdir()
    for stack in (root / "stacks").iterdir():
        (tmp_path / "stacks" / stack.name).symlink_to(stack)
    return tmp_path


def edit(path: Path, old: str, new: str, count: int = 1) -> Path:
    text = path.read_text()
    assert re.search(old, text)
    path.write_text(re.sub(old, new, text, count=count))
    return path


def refused(config: ExtractConfig) -> BadInputError:
    with pytest.raises(BadInputError) as error:
        read_extraction(config)
    return error.value


IMOD = [
    # file, what to change, to what, code, what is said
    ("TS_001_tilt.com", "XAXISTILT 0.0", "XAXISTILT 1.5", "imod-xaxistilt", "1.5"),
    ("TS_001_tilt.com", "OFFSET 0.0", "OFFSET -2.5", "imod-offset", "-2.5"),
    ("TS_001_tilt.com", "IMAGEBINNED 1", "LOCALFILE a.xf", "local-alignment", "--ignore-local"),
    ("TS_001_tilt.com", "IMAGEBINNED 1", "EXCLUDELIST 3-99", "bad-value", "views from 1 to 11"),
    ("TS_001.xf", r"\S+", "0.2000000", "not-a-rotation", "row 1 is no rotation"),
    ("TS_001.xf", r"\S+ +\S+ +\S+ +\S+", "0 1 1 0", "not-a-rotation", "row 1"),
    ("TS_001.xf", r"\n.*$", "", "wrong-count", "has 10 transforms|has 1 transforms"),
    ("TS_001.tlt", r"\S+", "95.0", "bad-value", "beyond 90"),
    ("TS_001.tlt", r"\S+", "nan", "bad-value", "line 1"),
]


@pytest.mark.parametrize(("name", "old", "new", "code", "said"), IMOD)
def test_what_imod_says_and_is_not_applied(
    name: str, old: str, new: str, code: str, said: str, folder: Path, made: Make
) -> None:
    path = folder / "alignments" / "imod" / name
    if old == r"\n.*$":
        path.write_text(path.read_text().splitlines()[0] + "\n")
    else:
        edit(path, old, new)
    error = refused(made(alignment=folder / "alignments" / "imod"))
    assert error.code == code
    assert name in error.message
    assert re.search(said, str(error))


def test_local_alignments_of_imod_may_be_passed_over(folder: Path, made: Make) -> None:
    edit(folder / "alignments/imod/TS_001_tilt.com", "IMAGEBINNED 1", "LOCALFILE a.xf")
    read_extraction(made(alignment=folder / "alignments/imod", ignore_local=True))


def test_tilts_about_x_and_the_lack_of_refined_tilts(folder: Path, made: Make) -> None:
    imod = folder / "alignments" / "imod"
    (imod / "TS_001.xtilt").write_text("0.0\n" * 10 + "0.4\n")
    assert refused(made(alignment=imod)).code == "imod-xtilt"
    (imod / "TS_001.xtilt").unlink()
    (imod / "TS_001.tlt").rename(imod / "TS_001.rawtlt")
    error = refused(made(alignment=imod))
    assert error.code == "no-tilt-angles"
    assert ".rawtlt" in error.remedy


def test_excluded_views_are_not_cut(folder: Path, made: Make) -> None:
    edit(folder / "alignments/imod/TS_001_tilt.com", "IMAGEBINNED 1", "EXCLUDELIST 1,3-4 \n")
    series = read_extraction(made(alignment=folder / "alignments/imod")).series
    assert series[0].geometry.sections.tolist() == [1, 4, 5, 6, 7, 8, 9, 10]
    assert len(series[1].geometry) == 11


def test_shift_of_the_volume_is_subtracted(folder: Path, made: Make) -> None:
    edit(folder / "alignments/imod/TS_001_tilt.com", "SHIFT 0.0 0.0", "SHIFT 10.0 -4.0")
    moved, given = (
        read_extraction(made(**more)).series[0].geometry
        for more in ({"alignment": folder / "alignments/imod"}, {})
    )
    point = np.array([[120.0, 60.0, 36.0]])
    there = given.project(point - np.array([10.0, 0, -4.0]) * 12.0)
    assert np.allclose(moved.project(point).xy_px, there.xy_px, atol=1e-9)


@pytest.mark.parametrize(
    ("old", "new", "code", "said"),
    [
        (r"RawSize = \d+", "RawSize = 64", "wrong-size", "aligns images of 64"),
        ("# NumPatches", "# DarkFrame =    0    5   -60.00\n# NumPatches", "aretomo-sections", ""),
        (r"1\.00000", "1.01500", "not-a-rotation", "GMAG"),
        (r"\Z", "# Local Alignment\n 0 0 1 1 3.0 -9.5 1.0\n", "local-alignment", "9.5 px"),
        ("# RawSize", "# Size", "not-aln", "RawSize"),
    ],
)
def test_what_aretomo_says_and_is_not_applied(
    old: str, new: str, code: str, said: str, folder: Path, made: Make
) -> None:
    edit(folder / "alignments/aretomo/TS_001.aln", old, new)
    error = refused(made("aretomo", alignment=folder / "alignments/aretomo"))
    assert error.code == code
    assert "TS_001.aln" in error.message
    assert said in str(error)


def test_bad_patches_of_aretomo_do_not_count(folder: Path, made: Make) -> None:
    local = "# Local Alignment\n 0 0 1 1 3.0 -9.5 0.0\n 0 1 1 1 0.5 -0.5 1.0\n"
    edit(folder / "alignments/aretomo/TS_001.aln", r"\Z", local)
    read_extraction(made("aretomo", alignment=folder / "alignments/aretomo"))


@pytest.mark.parametrize("first", [0, 1])
def test_dark_frames_tell_from_where_sections_count(first: int, folder: Path, made: Make) -> None:
    """AreTomo before and since 2.0.10, the first and the last tilt dark."""
    path = folder / "alignments/aretomo/TS_001.aln"
    lines = path.read_text().splitlines()
    rows = [line for line in lines if not line.startswith("#")]
    head = [line for line in lines if line.startswith("#")]
    dark = [f"# DarkFrame =  {at:4d} {at:4d} {0:8.2f}" for at in (first, 10 + first)]
    kept = [f"{n + first:5d}{row[5:]}" for n, row in enumerate(rows)][1:-1]
    path.write_text("\n".join([*head[:3], *dark, *head[3:], *kept]) + "\n")
    geometry = read_extraction(made("aretomo", alignment=path.parent)).series[0].geometry
    assert geometry.sections.tolist() == list(range(1, 10))
    path.write_text("\n".join([*head, *kept]) + "\n")
    assert refused(made("aretomo", alignment=path.parent)).code == "aretomo-sections"


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("</Angles>", "\n1.0</Angles>", "wrong-count"),
        ("<Angles>", "<Angles>x ", "wrong-count"),
        ("</TiltSeries>", "", "bad-xml"),
        ("TiltSeries", "Movie", "not-tilt-series"),
        ('Value="', 'Value="x', "bad-value"),
        ('Z="1"', 'Z="77"', "bad-grid"),
    ],
)
def test_damaged_xml(old: str, new: str, code: str, folder: Path, made: Make) -> None:
    path = folder / "alignments/warp/TS_001.xml"
    text = path.read_bytes().decode("utf-16")
    everywhere = old == "TiltSeries"
    path.write_bytes(text.replace(old, new, -1 if everywhere else 1).encode("utf-16"))
    config = made("warp", alignment=path.parent, ctf=path.parent)
    assert refused(config).code == code


def test_warps_of_the_volume_are_not_applied(folder: Path, made: Make) -> None:
    path = folder / "alignments/warp/TS_001.xml"
    text = path.read_bytes().decode("utf-16")
    warp = (
        '<GridVolumeWarpX Width="1" Height="1" Depth="1" Duration="1">'
        '<Node X="0" Y="0" Z="0" W="0" Value="7.5" /></GridVolumeWarpX></TiltSeries>'
    )
    path.write_bytes(text.replace("</TiltSeries>", warp).encode("utf-16"))
    error = refused(made("warp", alignment=path.parent))
    assert error.code == "local-alignment"
    assert "7.50 Å" in error.message
    read_extraction(made("warp", alignment=path.parent, ignore_local=True))


EMAN2 = [
    # what to change, to what, code, what is said
    (r"0\.0\n  \]", "0.7\n  ]", "eman2-xtilt", "tilt 1 is tilted about x by 0.7°"),
    ("tlt_params", "ali_loss", "no-tilts", "no tlt_params"),
    (r",\s+0\.0\n  \]", "\n  ]", "bad-row", "rows of five numbers"),
    (r"\[\n  \[[^\]]*\],", "[", "wrong-count", "has 10 tilts, but TS_001.mrc has 11"),
    (r"\A\{", "[", "bad-json", "not JSON"),
    ('unbin": 12.0', 'unbin": 6.0', "other-pixel-size", "6 Å, but those of TS_001.mrc are 12 Å"),
]


@pytest.mark.parametrize(("old", "new", "code", "said"), EMAN2)
def test_what_eman2_says_and_is_not_applied(
    old: str, new: str, code: str, said: str, folder: Path, made: Make
) -> None:
    path = edit(folder / "alignments/eman2/TS_001_info.json", old, new)
    error = refused(made("eman2", alignment=path.parent))
    assert error.code == code
    assert path.name in error.message
    assert said in error.message


RELION = [
    # version, file, what to change, to what, code, what is said
    (5, "tilt_series/TS_001.star", "rlnTomoZRot", "rlnTomoOther", "missing-column", "rlnTomoZRot"),
    (5, "tilt_series/TS_001.star", r"\n[^\n]+\n\n\Z", "\n\n", "wrong-count", "10 tilts"),
    (5, "tilt_series/TS_001.star", r"#9\n\S+ +\S+", "#9\n0.0 flat", "bad-value", "'flat'"),
    (5, "tomograms.star", "tilt_series/TS_001", "tilt_series/TS_007", "bad-value", "not found"),
    (5, "tomograms.star", r"\nTS_001 ", "\nTS_009 ", "no-alignment", "has TS_009, TS_002"),
    (5, "tomograms.star", "12.000000", "6.000000", "other-pixel-size", "6 Å"),
    (4, "tomograms.star", r"\[([^,]+),", "[1.7,", "bad-value", "with the next two, a rotation"),
    (4, "tomograms.star", r"\[([^,]+),", "[", "bad-value", "has 3 numbers, not 4"),
    (4, "tomograms.star", "rlnTomoSizeZ", "rlnTomoOther", "missing-column", "rlnTomoSize"),
    (4, "tomograms.star", "data_TS_001", "data_TS_009", "missing-tomogram", "tilts of TS_001"),
]


@pytest.mark.parametrize(("version", "name", "old", "new", "code", "said"), RELION)
def test_what_relion_says_and_is_not_applied(
    version: int, name: str, old: str, new: str, code: str, said: str, folder: Path, made: Make
) -> None:
    place = folder / "alignments" / f"relion{version}"
    edit(place / name, old, new)
    error = refused(made(f"relion{version}", alignment=place))
    assert error.code == code
    assert ".star" in error.message
    assert said in error.message


def test_a_matrix_of_relion_that_mirrors_is_none(folder: Path, made: Make) -> None:
    path = folder / "alignments/relion4/tomograms.star"
    words = path.read_text().split("rlnTomoProjX #1", 1)
    row = next(line for line in words[1].splitlines() if line.startswith("["))
    x, y, rest = row.split(" ", 2)
    path.write_text(path.read_text().replace(row, f"{y} {x} {rest}"))
    error = refused(made("relion4", alignment=path.parent))
    assert "is not, with the next two, a rotation" in error.message


def test_doses_that_are_not_known(folder: Path, made: Make) -> None:
    mdocs = folder / "dose" / "mdoc"
    path = edit(mdocs / "TS_001.mrc.mdoc", "ExposureDose = 3", "ExposureDose = 0", count=99)
    assert refused(made(dose=mdocs)).code == "no-dose"
    edit(path, "ExposureDose = 0", "ExposureDose = 3", count=99)
    edit(path, "DateTime = .*", "DateTime = 08-Oct-21  07:39:08", count=99)
    error = refused(made(dose=mdocs))
    assert error.code == "unknown-order"
    assert "--order FILE" in error.remedy
    order = folder / "dose" / "TS_001_order.txt"
    assert np.ptp(read_extraction(made(dose=None, dose_per_tilt=2.0, order=order)).series[0].doses)
    order.write_text(order.read_text().replace("11\n", "1\n"))
    assert refused(made(dose=None, dose_per_tilt=2.0, order=order)).code == "unknown-order"


def test_an_mdoc_of_other_tilts(folder: Path, made: Make) -> None:
    path = folder / "dose" / "mdoc" / "TS_001.mrc.mdoc"
    edit(path, r"TiltAngle = \S+", "TiltAngle = 17.2")
    assert refused(made(dose=path.parent)).code == "other-tilts"


def test_order_of_a_real_mdoc(real_data: Path) -> None:
    mdoc = read_mdoc(real_data / "alignments" / "mdoc" / "tilt_series.mdoc")
    order = acquisition_order(mdoc)
    angles = mdoc.numbers("TiltAngle")
    assert angles is not None
    # 0, 3, −3, −6, 6: a dose-symmetric scheme in pairs, taken as the times say.
    assert np.round(angles[order][:5]).tolist() == [0, 3, -3, -6, 6]


def test_contrast_that_is_missing(folder: Path, made: Make) -> None:
    assert refused(made(ctf=folder / "lists")).code == "no-ctf"
    path = folder / "ctf" / "ctffind" / "TS_001_ctffind4.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:-2]) + "\n")
    assert refused(made(ctf=path.parent)).code == "wrong-count"


def test_an_estimate_of_emclarity_is_named(made: Make, tmp_path: Path) -> None:
    (tmp_path / "TS_001_ali1_ctf.tlt").write_text("1 0 0 -60.0\n")
    error = refused(made(ctf=tmp_path))
    assert error.code == "emclarity-ctf"
    assert "TS_001_ali1_ctf.tlt" in error.message
    assert "--ctf DIR" in error.remedy


def test_phase_shifts_of_ctffind_are_radians(folder: Path, made: Make) -> None:
    path = folder / "ctf" / "ctffind" / "TS_001_ctffind4.txt"
    edit(path, "0.000000 0.100000", "1.570796 0.100000")
    contrast = read_extraction(made(ctf=path.parent)).series[0].contrast
    assert contrast.phase_shift_deg[0] == pytest.approx(90.0, abs=1e-4)
    assert contrast.voltage_kv == 300.0


@pytest.mark.parametrize("program", ["aretomo", "imod", "warp", "relion5"])
def test_every_program_gives_the_same_contrast(program: str, folder: Path, made: Make) -> None:
    place = folder / ("ctf" if program in ("aretomo", "imod") else "alignments") / program
    given, found = (
        read_extraction(made(**more)).series[1].contrast for more in ({}, {"ctf": place})
    )
    for name in ("defocus_u_angstrom", "defocus_v_angstrom", "defocus_angle_deg"):
        close = 0.06 if name.endswith("angstrom") else 0.006
        assert np.allclose(getattr(found, name), getattr(given, name), atol=close)


def test_tomograms_that_belong_to_no_series(folder: Path, made: Make) -> None:
    error = refused(made(tilt_series=folder / "lists"))
    assert error.code == "no-stacks"
    (folder / "stacks" / "TS_001.mrc").rename(folder / "stacks" / "grid.mrc")
    error = refused(made(tilt_series=folder / "stacks"))
    assert error.code == "no-series"
    assert "--match" in error.remedy
    match = folder / "match.csv"
    match.write_text("tomogram,tilt_series\n1,grid\n2,TS_002\n")
    imod = folder / "alignments" / "imod"
    config = made(tilt_series=folder / "stacks", match=match, alignment=imod)
    assert refused(config).code == "no-alignment"
    for path in list(imod.glob("TS_001*")):
        path.rename(imod / path.name.replace("TS_001", "grid"))
    for place, end in (("ctf/ctffind", "_ctffind4.txt"), ("dose/mdoc", ".mrc.mdoc")):
        (folder / place / f"TS_001{end}").rename(folder / place / f"grid{end}")
    places = {"ctf": folder / "ctf/ctffind", "dose": folder / "dose/mdoc"}
    config = made(tilt_series=folder / "stacks", match=match, alignment=imod, **places)
    # The tomogram is found by the list's number.
    assert [one.name for one in read_extraction(config).series] == ["grid", "TS_002"]


def test_the_voxels_of_a_list_have_to_be_known(made: Make, folder: Path) -> None:
    assert refused(made(tomograms=None)).code == "no-list-pixel-size"
    assert len(read_extraction(made(tomograms=None, list_pixel_size_angstrom=24.0)).series) == 2
    error = refused(made("aretomo", tomograms=None, list_pixel_size_angstrom=24.0))
    assert error.code == "no-tomogram-size"
    assert refused(made(list_pixel_size_angstrom=13.0)).code == "no-tomogram"


def test_an_aligned_stack_is_no_raw_one(folder: Path, made: Make, tmp_path: Path) -> None:
    """An aligned stack of another size, with a raw one's transforms."""
    stacks = tmp_path / "aligned"
    stacks.mkdir()
    rng = np.random.default_rng(0)
    for name in ("TS_001", "TS_002"):
        images = rng.standard_normal((11, 40, 50)).astype(np.float32)
        write_mrc(stacks / f"{name}_ali.mrc", images, (12.0,) * 3, stack=True)
    config = made(tilt_series=stacks)
    assert refused(config).code == "not-aligned-stack"
    assert refused(config.model_copy(update={"stacks": "raw"})).code == "no-stack"
    aretomo = made("aretomo", tilt_series=stacks)
    assert refused(aretomo).code == "aligned-stack"
    raw_named_aligned = folder / "stacks" / "TS_001_ali.mrc"
    (folder / "stacks" / "TS_001.mrc").rename(raw_named_aligned)
    named = made("aretomo", tilt_series=folder / "stacks", stacks="aligned")
    assert refused(named).code == "aligned-stack"


def test_blank_and_broken_images(made: Make, folder: Path, tmp_path: Path) -> None:
    path = folder / "stacks" / "TS_001.mrc"
    raw = bytearray(path.read_bytes())
    path.unlink()
    size = (len(raw) - 1024) // 11
    for value, code in ((np.nan, "broken-image"), (3.0, "blank-image")):
        raw[1024 + 4 * size : 1024 + 5 * size] = np.full(size // 4, value, "<f4").tobytes()
        path.write_bytes(raw)
        with pytest.raises(BadInputError, match="section 5") as error:
            list(extract(made(tilt_series=folder / "stacks"), tmp_path / f"out_{code}"))
        assert error.value.code == code


def test_too_few_particles_to_decide_are_asked_for(made: Make, folder: Path) -> None:
    path = folder / "lists" / "imod" / "picks.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:6]) + "\n")
    config = made(particles=path, z="auto", origin="auto", hand="auto")
    with pytest.raises(BadInputError, match="too few particles") as error:
        list(extract(config, folder / "out"))
    assert error.value.remedy == "Pass --origin 0|1, --z keep|mirror and --hand 1|-1."


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"dose_per_tilt": 3.0, "dose": None}, "belong together"),
        ({"dose_per_tilt": 3.0, "order": Path("a")}, "given twice"),
        ({"box_px": 63}, "multiple of 2"),
    ],
)
def test_settings_that_do_not_fit_together(more: dict[str, object], said: str, made: Make) -> None:
    with pytest.raises(ValueError, match=said):
        made(**more)


def test_a_survey_ticks_what_is_there_and_says_what_is_not(folder: Path, made: Make) -> None:
    (folder / "alignments" / "imod" / "TS_002.xf").unlink()
    (folder / "ctf" / "ctffind" / "TS_001_ctffind4.txt").unlink()
    config = made(alignment=folder / "alignments" / "imod", ctf=folder / "ctf" / "ctffind")
    one, two = survey(config, read_list(config.particles))
    assert (one.tomogram, one.series, one.particles) == ("1", "TS_001", 15)
    assert one.stack is not None
    assert one.volume is not None
    assert one.alignment == folder / "alignments" / "imod" / "TS_001.xf"
    assert one.ctf is None
    assert len(one.missing) == 1
    assert "no CTF of TS_001" in one.missing[0]
    assert two.alignment is None
    assert two.ctf is not None
    assert not two.complete


def test_a_dry_run_prints_the_survey(
    folder: Path, tilt_images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "ctf" / "ctffind" / "TS_002_ctffind4.txt").unlink()
    words = ["extract", str(folder / "lists/imod/motl.em"), "--dry-run", "--out", "nowhere"]
    words += ["--tilt-series", str(folder / "stacks"), "--ctf", str(folder / "ctf/ctffind")]
    words += ["--alignment", str(folder / "alignments/imod"), "--dose", str(folder / "dose/mdoc")]
    assert main([*words, "--tomograms", str(tilt_images / "tomograms")]) == 2
    said = capsys.readouterr().err
    assert "1: 15 particles, stack TS_001.mrc, alignment TS_001.xf, CTF TS_001_ctffind4.txt" in said
    assert "2: 15 particles, stack TS_002.mrc, alignment TS_002.xf, CTF –" in said
    assert "  " in said
    assert "no CTF of TS_002" in said.splitlines()[-1]
