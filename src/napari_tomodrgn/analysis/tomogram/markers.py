"""Particles as spheres for ChimeraX: a marker file, and the script that opens it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

from napari_tomodrgn.analysis.tomogram.placement import Placement
from napari_tomodrgn.files import write_text


def marker_files(out: Path) -> tuple[Path, Path]:
    """Script and marker file in a folder."""
    return out / "place.cxc", out / "particles.cmm"


def write_markers(
    out: Path, placed: Sequence[Placement], colors: Sequence[str], radius_angstrom: float
) -> Path:
    """Write a sphere at each particle's place.

    Parameters
    ----------
    out
        Folder to write to.
    placed
        Places, all of one tomogram; their orientations do not matter.
    colors
        ``#rrggbb`` of each.
    radius_angstrom
        Of the spheres.

    Returns
    -------
    The script to open in ChimeraX.
    """
    script, markers = marker_files(Path(out))
    name = placed[0].tomogram if placed else "particles"
    lines = [f"<marker_set name={quoteattr(name)}>"]
    for number, (one, color) in enumerate(zip(placed, colors, strict=True), start=1):
        z, y, x = (f"{value:.3f}" for value in one.position_zyx_angstrom)
        red, green, blue = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
        lines.append(
            f'<marker id="{number}" x="{x}" y="{y}" z="{z}" r="{red:.4f}" g="{green:.4f}" '
            f'b="{blue:.4f}" radius="{radius_angstrom:g}" note={quoteattr(one.particle_id)}/>'
        )
    write_text(markers, "\n".join([*lines, "</marker_set>", ""]))
    write_text(
        script,
        "# Particles as spheres, by napari-tomodrgn. Coordinates are angstrom from the corner of\n"
        f'# the tomogram.\nset bgColor white\nopen "{markers.name}"\nview\n',
    )
    return script
