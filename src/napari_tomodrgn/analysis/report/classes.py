"""Classes of a run's particles: as they were made in the window or by ``analyze``, with maps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_tomodrgn.analysis.latents.components import latent_matrix
from napari_tomodrgn.analysis.report.charts import columns_table, turning_picture
from napari_tomodrgn.analysis.selections import known_clusters, load_selection, selection_names
from napari_tomodrgn.data.volume import Volume, read_volume
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.palette import CATEGORIES, OTHERS, PLAIN

# The column that the window and the analysis keep clusters in.
_COLUMN = "cluster"
_GROUP = re.compile(r"clusters? (\w+)")


@dataclass(frozen=True, eq=False)
class Classes:
    """Which class each particle is in.

    Attributes
    ----------
    names
        Of the classes, in order.
    codes
        ``(particle,)`` place in ``names``, −1 for a particle of no class.
    """

    names: tuple[str, ...]
    codes: NDArray[np.int64]

    def has_members(self, name: str, members: NDArray[np.bool_]) -> bool:
        """Whether the cluster that a comparison calls by this name is made of these particles.

        True for what is no name of a cluster. Clusters that were made anew bear the same names.
        """
        found = _GROUP.fullmatch(name)
        if found is None:
            return True
        place = self.names.index(found[1]) if found[1] in self.names else len(self.names)
        return bool(((self.codes == place) == members).all())

    @property
    def colors(self) -> list[str]:
        """Of each particle, ``#rrggbb``."""
        return [PLAIN if code < 0 else color_of(int(code)) for code in self.codes]


def color_of(place: int) -> str:
    """``#rrggbb`` of the class in this place: the window's."""
    return CATEGORIES[place % len(CATEGORIES)]


def classes_of(run: Run, latents: pd.DataFrame, columns: pd.DataFrame | None = None) -> Classes:
    """The classes that were made last: of the columns of a window, those of the run, ``analyze``.

    Parameters
    ----------
    run, latents
        A run and its latents; the particles are theirs.
    columns
        A window's own, where there is one: they may not be in the run yet.
    """
    if columns is None or _COLUMN not in columns:
        columns = known_clusters(run.path)
    if columns is None:
        columns = run.extras()  # with classes that have words for names
    if columns is None or _COLUMN not in columns:
        return Classes((), np.full(len(latents), -1))
    codes, kinds = pd.factorize(columns[_COLUMN].reindex(latents.index), sort=True)
    words = [f"{kind:g}" if isinstance(kind, float) else str(kind) for kind in kinds]
    return Classes(tuple(words), np.asarray(codes, np.int64))


def class_section(run: Run, latents: pd.DataFrame, classes: Classes) -> str:
    """Number, share and map of each class, and how they are shared out between tomograms."""
    if not classes.names:
        return (
            "<p>None were made: <i>Clusters</i> above the scatter finds some, and so does "
            "<code>analyze</code>.</p>"
        )
    tomograms = latents["tomogram"].astype(str).to_numpy()
    maps, figures = _maps(run, latents, classes), []
    for code, name in enumerate(classes.names):
        mine = classes.codes == code
        color = color_of(code)
        picture = turning_picture(maps[code], f"cluster {name}", color) if code in maps else ""
        figures.append(
            f"<figure>{picture}<figcaption>{dot(color)} cluster {escape(name)}</figcaption>"
            f"{mine.sum()} particles ({mine.mean():.0%}), "
            f"{len(np.unique(tomograms[mine]))} tomograms</figure>"
        )
    words = [classes.names[code] if code >= 0 else "none" for code in classes.codes]
    shares = pd.crosstab(pd.Series(tomograms, name="tomogram"), pd.Series(words, name="cluster"))
    shares.columns = [name if name == "none" else f"cluster {name}" for name in shares]
    below = "<p>Maps are decoded at the middle of each cluster.</p>" if maps else ""
    return (
        f'<div class="classes">{"".join(figures)}</div>{below}{columns_table(shares.reset_index())}'
    )


def dot(color: str) -> str:
    """A dot of a color, before the name of what has it."""
    return f'<span style="color:{color}">●</span>'


def group_colors(run: Run, names: tuple[str, str], classes: Classes) -> tuple[str, str]:
    """``#rrggbb`` of two compared groups, as the window has them."""
    one, two = (_group_color(run, name, classes) for name in names)
    return (one or PLAIN), (two or OTHERS)


def _group_color(run: Run, name: str, classes: Classes) -> str:
    if name in selection_names(run.path):
        return load_selection(run.path, name).color
    found = _GROUP.fullmatch(name)
    if found is None:
        return ""
    if found[1] in classes.names:
        return color_of(classes.names.index(found[1]))
    return color_of(int(found[1]) - 1) if found[1].isdecimal() else ""


def _maps(run: Run, latents: pd.DataFrame, classes: Classes) -> dict[int, Volume]:
    """Map of each class: what the analysis decoded, if these are its classes; else decoded now."""
    files = [run.analysis.cluster_map(place + 1) for place in range(len(classes.names))]
    if _are_those_of_analysis(run, latents, classes) and all(file.exists() for file in files):
        return {code: read_volume(file) for code, file in enumerate(files)}
    try:
        decoder = run.decoder()
    except BadInputError:
        return {}  # a run may hold latents alone
    points, found = latent_matrix(latents), {}
    for code in range(len(classes.names)):
        members = np.flatnonzero(classes.codes == code)
        if len(members):
            away = np.linalg.norm(points[members] - points[members].mean(axis=0), axis=1)
            found[code] = decoder.decode(points[members[away.argmin()]])
    return found


def _are_those_of_analysis(run: Run, latents: pd.DataFrame, classes: Classes) -> bool:
    if not run.analysis.clusters.exists():
        return False
    known = pd.read_csv(run.analysis.clusters, dtype={"particle_id": str}).set_index("particle_id")
    numbers = known["cluster"].reindex(latents.index).fillna(0).to_numpy(np.int64)
    return bool((numbers == classes.codes + 1).all())
