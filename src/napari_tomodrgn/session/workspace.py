"""`Workspace`: what a script of the window calls, exploring and all that reads images."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_tomodrgn.config import RunConfig, validated
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.particle_columns import CLUSTER, names_where
from napari_tomodrgn.session.enclosing import in_category
from napari_tomodrgn.session.exploration import Exploration

if TYPE_CHECKING:
    from napari_tomodrgn.analysis.evidence.groups import Group
    from napari_tomodrgn.analysis.evidence.maps import ComparedMaps
    from napari_tomodrgn.analysis.evidence.session import Evidence
    from napari_tomodrgn.analysis.reconstruct import Reconstruction
    from napari_tomodrgn.data.particles import ParticleSet
    from napari_tomodrgn.learn.run.directory import Run

# A group as the window calls it, or its name and its particles.
GroupWords = str | tuple[str, list[str]]
SELECTION, OTHERS = "selection", "all others"
# Of random halves and random groups: the command line's, so that all say the same.
SEED = 0


class Workspace(Exploration):
    """A run, or particles, and what is done with it step by step, as the window does it.

    See `Exploration` for its arguments and for what is selected, looked at and written.

    Attributes
    ----------
    reconstruction
        The one made last.
    comparison
        What the one made last found, as plain numbers and words.
    """

    reconstruction: Reconstruction | None = None
    comparison: dict[str, Any] | None = None
    _compared: tuple[list[str], ComparedMaps] | None = None
    _evidence: tuple[Run, Evidence] | None = None

    def train(
        self, out: str | Path, config: Mapping[str, object] | None = None, *, resume: bool = False
    ) -> None:
        """Train on the particles into the folder ``out``, whose run is then meant.

        ``config`` holds the settings that are not the defaults, as in a settings file.
        """
        from napari_tomodrgn.learn.run.directory import Run
        from napari_tomodrgn.learn.training.train import train

        settings = validated(RunConfig, dict(config or {}))
        for _event in train(self.particles_with_images(), settings, out, resume=resume):
            pass
        self._trained, self._epoch = Run.open(Path(out).resolve()), 0
        self._latents = self._decoder = None

    def go_on(self, config: Mapping[str, object]) -> None:
        """Train the run that is open longer."""
        self.train(self._needed_run().path, config, resume=True)

    def reconstruct(self, name: str = SELECTION, particles: list[str] | None = None) -> None:
        """Half maps, map and FSC of the selection (or of ``particles``), kept in the run."""
        chosen = sorted(self.selection) if particles is None else particles
        run = self.run
        self.reconstruction = self._reconstructed(chosen)
        if run is not None:
            self.reconstruction.save(run.path / "analysis" / "reconstructions" / name)

    def reconstruct_sample(self) -> None:
        """The same of some particles spread over the set, kept nowhere."""
        from napari_tomodrgn.analysis.reconstruct import spread_sample

        self.reconstruction = self._reconstructed(spread_sample(self.particles))

    def _reconstructed(self, ids: list[str]) -> Reconstruction:
        from napari_tomodrgn.analysis.reconstruct import reconstruct

        run = self.run
        config = RunConfig(data=self.reading.data) if run is None else run.config
        particles = self.particles_with_images()
        return reconstruct(particles, ids, data=config.data, weight=config.weight)

    def compare(self, a: GroupWords, b: GroupWords = OTHERS, *, matched: bool = False) -> None:
        """Ask the images whether two groups differ; kept in the run.

        Parameters
        ----------
        a, b
            ``"selection"``, ``"cluster 3"``, the name of a selection, or a name and identities;
            for B also ``"all others"``.
        matched
            B is drawn at random among all others, alike in all that is no structure.
        """
        from napari_tomodrgn.analysis.evidence.comparison import compare_groups
        from napari_tomodrgn.analysis.evidence.groups import label_groups, match_group
        from napari_tomodrgn.analysis.evidence.records import record_comparison
        from napari_tomodrgn.learn.runtime.steps import run_to_end

        run, evidence = self._needed_run(), self._gathered()
        first = self.group(a)
        second = None if b == OTHERS or matched else self.group(b)
        drawn = label_groups(evidence.ids, first, second)
        if matched:
            drawn = match_group(evidence.data.particles, drawn == 1, SEED)
        found = run_to_end(compare_groups(evidence, drawn, seed=SEED))
        names = (first.name, second.name if second is not None else str(b))
        made = datetime.now(UTC).isoformat(timespec="seconds")
        self._compared = (evidence.ids, found.kept)
        self.comparison = record_comparison(run, evidence.ids, names, found, made)

    def _gathered(self) -> Evidence:
        from napari_tomodrgn.analysis.evidence.session import gather_evidence
        from napari_tomodrgn.learn.runtime.steps import run_to_end

        run = self._needed_run()
        if self._evidence is None or self._evidence[0] is not run:
            self._evidence = (run, run_to_end(gather_evidence(run, self.reading.images)))
        return self._evidence[1]

    def group(self, words: GroupWords) -> Group:
        """The particles that are called so, see `compare`."""
        from napari_tomodrgn.analysis.evidence.groups import Group
        from napari_tomodrgn.analysis.selections import load_selection, selection_names

        if not isinstance(words, str):
            return Group(words[0], frozenset(words[1]))
        run = self._needed_run()
        if words == SELECTION:
            return Group(words, self.selection)
        if words in selection_names(run.path):
            return Group(words, frozenset(load_selection(run.path, words).particles))
        kind = words.removeprefix(f"{CLUSTER} ")
        try:
            mask = in_category(self.table, CLUSTER, kind)
        except KeyError:
            raise BadInputError(
                f"{run.path}: no selection and no cluster is called {words!r}.", code="no-group"
            ) from None
        return Group(words, names_where(self.latents, mask))

    def export_comparison(self, folder: str | Path) -> None:
        """Write maps, half maps, curves and star files of the groups that were compared last."""
        from napari_tomodrgn.learn.run.exports import export_files

        if self._compared is None:
            raise BadInputError(f"{folder}: nothing was compared to be written.")
        with export_files(particles=self.particles, run=self.run):
            write_comparison(*self._compared, Path(folder), self.particles)

    def save_report(self, path: str | Path) -> None:
        """Write the page of the run as one HTML file."""
        from napari_tomodrgn.analysis.report import write_report

        with self._exporting() as outputs:
            outputs.check(Path(path))
            write_report(self._needed_run(), Path(path), self.table.added_columns)


def write_comparison(
    ids: list[str], found: ComparedMaps, folder: Path, particles: ParticleSet | None
) -> None:
    """Write maps, half maps, curves and memberships of a comparison, and its star files."""
    from napari_tomodrgn.analysis.evidence.records import save_maps
    from napari_tomodrgn.data.dialects import write_subset

    save_maps(found, ids, folder)
    if particles is None:
        return
    labels = dict(zip(ids, found.drawn.tolist(), strict=True))
    for name, side in (("a", 1), ("b", -1)):
        chosen = [one for one in ids if labels[one] == side]
        write_subset(particles.select(chosen), folder / f"{name}.star")
