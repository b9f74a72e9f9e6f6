"""The commands that ask something of a trained run: `embed`, `decode`."""

from __future__ import annotations

import re
from argparse import Namespace
from pathlib import Path

import numpy as np
import pandas as pd

from napari_tomodrgn.analysis.index_files import SUFFIXES, read_array
from napari_tomodrgn.cli.choosing import (
    changed_volume,
    chosen_of_run,
    data_config,
    distinct_file_names,
    given_files,
    read_chosen,
    reject_beyond_nyquist,
    require_suffix,
    says_which,
)
from napari_tomodrgn.cli.terminal import Bar, say, watch
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.volume import write_volume
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.file_names import as_file_name
from napari_tomodrgn.files import written_atomically
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.exports import export_files
from napari_tomodrgn.learn.runtime.device import pick_device
from napari_tomodrgn.learn.training.embed import embed_set

# Beyond so many times the widest latent of a run there is nothing of which the decoder ever learnt;
# numbers of another run, or another column, lie there, and in the end maps that are no numbers.
_FARTHEST_LATENT = 10.0
# What the columns of a table of latents are called.
_AXIS = re.compile(r"(mu|z)_(0|[1-9]\d{0,3})")


def run_embed(options: Namespace) -> int:
    """Write the latents of particles, by a trained run."""
    run = Run.open(options.run)
    require_suffix(options.out, (".parquet", ".csv"), "the table")
    recompute = options.source is not None or options.images is not None
    particles = _to_embed(run, options) if recompute else None
    with export_files(
        overwrite=options.overwrite, files=given_files(options), particles=particles, run=run
    ) as outputs:
        outputs.check(options.out)
        if particles is None:
            table, how = _stored_latents(run, options), "as stored in the run"
        else:
            table, how = watch(embed_set(run, particles, options.epoch), "Embedding"), "computed"
        with written_atomically(options.out) as temporary:
            if options.out.suffix == ".csv":
                table.reset_index().to_csv(temporary, index=False)
            else:
                table.reset_index().to_parquet(temporary, index=False)
    say(f"{len(table):,} particles, {how} → {options.out}")
    return 0


def _to_embed(run: Run, options: Namespace) -> ParticleSet:
    if options.source is None:
        return chosen_of_run(run, run.particles(options.images), options)
    return read_chosen(options, data_config(options), run)


def _stored_latents(run: Run, options: Namespace) -> pd.DataFrame:
    """Latents of the run's particles, for which no image is needed."""
    table = run.latents(options.epoch)
    if not says_which(options):
        return table
    return table.loc[chosen_of_run(run, _without_images(run), options).ids]


def _without_images(run: Run) -> ParticleSet:
    """The particles of a run that may have been copied without its images."""
    return run.stored_particles(images_needed=False)


def run_decode(options: Namespace) -> int:
    """Write the maps of particles or latents, by a trained run."""
    run = Run.open(options.run).with_shell_filter(on=not options.no_shell_filter)
    reject_box_and_lowpass(run, options)
    names, latents = _latents_of(run, options)
    decoder = run.decoder(options.epoch, pick_device(options.device))
    if latents.shape[1] != decoder.latent_dim:
        raise BadInputError(
            f"{options.latents}: rows have {latents.shape[1]} numbers, "
            f"the run has {decoder.latent_dim} latent dimensions."
        )
    files = [options.out / f"{name}.mrc" for name in names]
    bar = Bar("Decoding", "maps")
    with export_files(overwrite=options.overwrite, files=given_files(options), run=run) as outputs:
        outputs.check(*files)
        volumes = decoder.decode_many(latents, options.box, options.lowpass)
        for done, (file, volume) in enumerate(zip(files, volumes, strict=True), start=1):
            write_volume(file, changed_volume(volume, options))
            bar.show(done, len(files))
    bar.close()
    say(f"{len(names):,} maps → {options.out}")
    return 0


def reject_box_and_lowpass(run: Run, options: Namespace) -> None:
    """Raise if maps cannot have the box, or nothing of the resolution that is asked for."""
    box = options.box
    if box is not None and (box % 2 or box < 4):
        raise BadInputError(f"--box must be even and at least 4, got {box}.")
    optics = run.info.to_optics()
    edge = optics.box_size_px * optics.pixel_size_angstrom
    finest = 2 * edge / min(box or optics.box_size_px, optics.box_size_px)
    reject_beyond_nyquist(options.lowpass, finest)


def _latents_of(run: Run, options: Namespace) -> tuple[list[str], np.ndarray]:
    """File names and latents of what is to be decoded."""
    if options.latents is not None:
        if says_which(options):
            raise BadInputError("--latents goes without a choice of particles.", code="bad-choice")
        latents = _read_latents(options.latents)
        _reject_far_latents(latents, run, options)
        return [f"latent_{row:05d}" for row in range(len(latents))], latents
    if not says_which(options):
        raise BadInputError(
            "Nothing says what to decode.",
            remedy="Give --particle, --particles FILE or all, --clusters, --selection, --tomogram "
            "or --latents.",
            code="bad-choice",
        )
    table = run.latents(options.epoch)
    ids = _ids_to_decode(run, table, options)
    axes = [name for name in table.columns if name.startswith("mu_")]
    names = distinct_file_names([as_file_name(name) for name in ids])
    return names, table.loc[ids, axes].to_numpy(np.float32)


def _reject_far_latents(latents: np.ndarray, run: Run, options: Namespace) -> None:
    """Raise for latents ``(row, axis)`` where no particle of the run is near; say what is past."""
    own = run.latents(options.epoch).filter(regex=r"^mu_").to_numpy()
    if own.shape[1] != latents.shape[1]:
        return  # told apart by the decoder
    widest, asked = float(np.abs(own).max()), np.abs(latents).max(1)
    row = int(asked.argmax())
    if asked[row] > _FARTHEST_LATENT * max(widest, 1.0):
        raise BadInputError(
            f"{options.latents}: row {row + 1} has {latents[row][np.abs(latents[row]).argmax()]:g};"
            f" no latent of {run.path} is farther from 0 than {widest:.3g}.",
            remedy="Give latents of this run, as embed writes them.",
            code="bad-latents",
        )
    past = int((asked > widest).sum())
    if past:
        say(f"{past:,} of {len(latents):,} latents lie farther out than any particle of the run.")


def _ids_to_decode(run: Run, table: pd.DataFrame, options: Namespace) -> list[str]:
    one_by_one = list(dict.fromkeys(options.particle or ()))
    missing = [name for name in one_by_one if name not in table.index]
    if missing:
        raise BadInputError(
            f"{run.path}: no particle is called {missing[0]!r}; names look like {table.index[0]!r}."
        )
    listed = Namespace(**{**vars(options), "particle": None})
    if str(listed.particles) == "all":
        listed.particles = None
        if not says_which(listed):
            return [str(name) for name in table.index]
    if not says_which(listed):
        return one_by_one
    chosen = chosen_of_run(run, _without_images(run), listed).ids
    if not one_by_one:
        return chosen
    both = [name for name in chosen if name in one_by_one]
    if not both:
        raise BadInputError(
            f"{run.path}: none of the {len(one_by_one)} particles of --particle is among the "
            f"{len(chosen)} that are asked for besides.",
            remedy="Leave one of the choices out.",
            code="no-particles",
        )
    return both


def _read_latents(path: Path) -> np.ndarray:
    try:
        if path.suffix in SUFFIXES:
            latents = read_array(path)
        elif path.suffix == ".txt":
            latents = np.loadtxt(path)  # as tomoDRGN writes them
        else:
            latents = _read_latents_csv(path)
        latents = np.atleast_2d(np.asarray(latents, dtype=np.float32))
    except BadInputError:
        raise
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path}: cannot be read as a table of latents ({error}).") from error
    if latents.ndim != 2 or not np.isfinite(latents).all():
        raise BadInputError(f"{path}: expected a table of finite numbers, one latent a row.")
    return latents


def _read_latents_csv(path: Path) -> np.ndarray:
    """Latents by the names of their columns, in whatever order; without names as they stand."""
    first = pd.read_csv(path, header=None, nrows=1, dtype=str, encoding="utf-8-sig")
    axes = _axes_by_name(path, [str(name).strip() for name in first.iloc[0]])
    table = pd.read_csv(path, header=0 if axes else None, encoding="utf-8-sig")
    return (table.iloc[:, axes] if axes else table).to_numpy(float)


def _axes_by_name(path: Path, names: list[str]) -> list[int]:
    """Which columns are ``mu_0``, ``mu_1`` … or ``z_0``, ``z_1`` …; none without such names."""
    found = [(match[1], int(match[2])) for name in names if (match := _AXIS.fullmatch(name))]
    if not found:
        return []
    letter = "mu" if any(kind == "mu" for kind, _ in found) else "z"
    numbers = [number for kind, number in found if kind == letter]
    for number in range(max(numbers) + 1):
        if (count := numbers.count(number)) != 1:
            found_of_it = f"{count} columns" if count else "no column"
            raise BadInputError(
                f"{path}: has {found_of_it} {letter}_{number}, of {letter}_0 to "
                f"{letter}_{max(numbers)}.",
                remedy="Each has to be there once.",
                code="bad-latents",
            )
    return [names.index(f"{letter}_{number}") for number in range(len(numbers))]
