"""What a command line names: a set as it is to be read, and which particles of it are meant."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path

from napari_tomodrgn.analysis.expressions import parse
from napari_tomodrgn.analysis.index_files import ids_of_index
from napari_tomodrgn.analysis.particle_values import ParticleValues
from napari_tomodrgn.analysis.selections import ids_of_clusters, known_clusters, load_selection
from napari_tomodrgn.analysis.user_tables import read_user_table
from napari_tomodrgn.cli.options import YES_NO
from napari_tomodrgn.cli.terminal import say
from napari_tomodrgn.config import DataConfig, Overrides, validated
from napari_tomodrgn.data.choice import choose_images, choose_particles
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.run.archive import is_archive
from napari_tomodrgn.learn.run.directory import Run

# Fields of `DataConfig` and the flags that fill them.
DATA_FLAGS = {
    "contrast": "--contrast",
    "ctf_premultiplied": "--ctf-premultiplied",
    "dose_weighted": "--dose-weighted",
    "pixel_size_target_angstrom": "--pixel-size-target",
    "box_target_px": "--box-target",
    "tomograms": "--tomogram",
    "particles": "--particles",
    "min_tilts": "--min-tilts",
    "max_tilts": "--max-tilts",
    "max_dose_e_per_angstrom2": "--max-dose",
    "exclude_tilts": "--exclude-tilts",
}


def read_particles_from_args(options: Namespace) -> ParticleSet:
    """The particles that a command line names, all of them; a run to resume says how to read them.

    Raises
    ------
    BadInputError
        If they cannot be read, or are to be read otherwise than the run was.
    """
    overrides = Overrides(
        pixel_size_angstrom=options.pixel_size,
        hand=options.hand,
        dose_per_tilt_e_per_angstrom2=options.dose_per_tilt,
        columns=_columns_by_meaning(options.column or ()),
    )
    dialect = options.dialect
    if getattr(options, "resume", False):
        run = Run.open(options.out)
        overrides = _resumed_overrides(run, overrides)
        dialect = dialect or run.info.dialect
    return read_particles(
        options.source, images=options.images, dialect=dialect, overrides=overrides
    )


def _columns_by_meaning(given: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What ``--column`` says, which may say one thing of a name only."""
    found: dict[str, str] = {}
    for name, column in ((name.lstrip("_"), column) for name, column in given):
        if found.setdefault(name, column) != column:
            raise BadInputError(
                f"--column says {name}={found[name]} and {name}={column}.",
                remedy="Leave one of them out.",
                code="two-meanings",
            )
    return found


def _resumed_overrides(run: Run, given: Overrides) -> Overrides:
    for name, value in given:
        before = getattr(run.info.overrides, name)
        if value not in (None, {}, before):
            words = "as the star file says" if before in (None, {}) else f"as {before}"
            raise BadInputError(
                f"{run.path}: was trained with {name} {words}, now {value} is given.",
                remedy="Leave it out to go on with the run, or train a new one.",
                code="other-settings",
            )
    return run.info.overrides


def data_options(options: Namespace) -> dict[str, object]:
    """Fields of `DataConfig` that the command line says something about."""
    given = vars(options)
    said = {
        "contrast": given.get("contrast"),
        "ctf_premultiplied": YES_NO.get(given.get("ctf_premultiplied") or ""),
        "dose_weighted": YES_NO.get(given.get("dose_weighted") or ""),
        "pixel_size_target_angstrom": given.get("pixel_size_target"),
        "box_target_px": given.get("box_target"),
        "tomograms": given.get("tomogram"),
        "particles": None if given.get("particles") is None else str(options.particles),
        "min_tilts": given.get("min_tilts"),
        "max_tilts": given.get("max_tilts"),
        "max_dose_e_per_angstrom2": given.get("max_dose"),
        "exclude_tilts": given.get("exclude_tilts"),
    }
    return {name: value for name, value in said.items() if value is not None}


def data_config(options: Namespace) -> DataConfig:
    """The same, checked."""
    return validated(DataConfig, data_options(options), names=DATA_FLAGS)


def read_chosen(options: Namespace, data: DataConfig, run: Run | None = None) -> ParticleSet:
    """The particles and tilt images that a command line asks for, to be read as it says."""
    particles = read_particles_from_args(options)
    return chosen_of_run(run, particles, options).with_overrides(data)


def chosen_of_run(
    run: Run | None, particles: ParticleSet, options: Namespace, *, invert: bool = False
) -> ParticleSet:
    """Those of a run's particles that the command line means, by all that it says.

    Every further way to choose narrows ``ids`` here.

    Parameters
    ----------
    run
        Whose clusters, selections and columns count; None for a star file, which has none.
    particles
        Of the run, or the same ones of another star file.
    options
        With what `options.add_choice` added, and `options.add_groups` for a run.
    invert
        All other particles instead.
    """
    data = data_config(options)
    left = choose_particles(particles, data)
    ids = set(left.ids)
    given = vars(options)
    if given.get("clusters") is not None:
        path = required_run(run, "--clusters").path
        ids &= set(_known(particles, ids_of_clusters(path, options.clusters)))
    if given.get("selection") is not None:
        path = required_run(run, "--selection").path
        ids &= set(_known(particles, load_selection(path, options.selection).particles))
    if given.get("index") is not None:
        ids &= set(ids_of_index(options.index, particles))
    if given.get("where") is not None:
        ids &= set(ids_where(run, particles, options))
    if invert:
        ids = set(particles.ids) - ids
    if not ids:
        raise BadInputError(
            f"{run.path if run else particles.source.path}: no particle is left of "
            f"{len(particles)} by what was asked for.",
            code="no-particles",
        )
    return choose_images(particles.select(ids), data)


def run_at(source: Path) -> Run | None:
    """The run that a source is, or None if it is a star file."""
    return Run.open(source) if source.is_dir() or is_archive(source) else None


def required_run(run: Run | None, option: str) -> Run:
    """The run; raises where an option is of a run and there is none."""
    if run is None:
        raise BadInputError(f"{option} is of a run; the source is a star file.", code="bad-choice")
    return run


def ids_where(run: Run | None, particles: ParticleSet, options: Namespace) -> list[str]:
    """Identities of the particles that satisfy ``--where``, with the columns of ``--table``."""
    added = []
    for path in options.table or ():
        table = read_user_table(path, particles)
        added.append(table.columns)
        for note in table.notes:
            say(note)
    latents = None
    if run is not None:
        latents = run.latents() if run.epoch_to_show() is not None else None
        extras = run.extras()
        added += [] if extras is None else [extras]
        clusters = known_clusters(run.path)
        added += [] if clusters is None else [clusters]
    return ParticleValues(particles, latents, added).ids_where(parse(options.where))


def read_for_training(options: Namespace) -> ParticleSet:
    """All particles of a star file, or those of the conditions that are given.

    All other choices are settings of the run, which are kept there and followed when it trains.
    """
    particles = read_particles_from_args(options)
    left = set(particles.ids)
    if options.index is not None:
        left &= set(ids_of_index(options.index, particles))
    if options.where is not None:
        left &= set(ids_where(None, particles, options))
    return particles.select(left) if len(left) < len(particles) else particles


def ids_of_expression(run: Run, text: str) -> list[str]:
    """Identities of the particles of a run that satisfy a condition on columns."""
    particles = run.stored_particles(images_needed=False)
    return ids_where(run, particles, Namespace(where=text, table=None))


def _known(particles: ParticleSet, ids: Iterable[str]) -> list[str]:
    """The ids themselves; raises if one is not in the set, rather than leaving it out."""
    return particles.select(ids).ids


def says_which(options: Namespace) -> bool:
    """Whether a command line says which particles it means."""
    names = ("clusters", "selection", "tomogram", "particles", "particle", "where", "index")
    tilts = ("min_tilts", "max_tilts", "max_dose", "exclude_tilts")
    return any(vars(options).get(name) is not None for name in (*names, *tilts))


def changed_volume(volume: Volume, options: Namespace) -> Volume:
    """A map mirrored (``--flip``) and with its sign turned (``--invert``), as asked for."""
    volume = volume.flipped_z() if options.flip else volume
    return Volume(-volume.data, volume.voxel_size_angstrom) if options.invert else volume


def distinct_file_names(names: list[str]) -> list[str]:
    """File names that differ: those that are not unique get a number in front."""
    if len({name.lower() for name in names}) == len(names):
        return names
    return [f"{number:05d}_{name}" for number, name in enumerate(names, start=1)]


def require_suffix(path: Path, suffixes: tuple[str, ...], what: str) -> None:
    """Raise if a file to write is called otherwise."""
    if path.suffix not in suffixes:
        raise BadInputError(
            f"{path}: {what} must end in {' or '.join(suffixes)}.", code="bad-suffix"
        )


def reject_beyond_nyquist(lowpass: float | None, finest: float) -> None:
    """Raise if maps that end at a resolution in Å are to be cut at a finer one."""
    if lowpass is not None and lowpass < finest * (1 - 1e-6):
        raise BadInputError(
            f"--lowpass {lowpass:g} Å lies beyond Nyquist: maps of this box end at {finest:.4g} Å.",
            remedy="Give a larger number, or leave it out.",
            code="beyond-nyquist",
        )


def given_files(options: Namespace) -> list[Path]:
    """All files that a command line names to be read: none of them is written over."""
    values = (value for name, value in vars(options).items() if name not in ("out", "slurm"))
    several = (value if isinstance(value, list) else [value] for value in values)
    return [one for part in several for one in part if isinstance(one, Path)]
