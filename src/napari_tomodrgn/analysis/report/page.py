"""The page: what was found (verdict, latents, classes, comparisons, audit), then in what and how.

What a run does not have (nothing was compared, or tested) is said, not left out.
"""

from __future__ import annotations

import json
import shlex
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_tomodrgn.analysis.latents.cluster_count import propose_clusters_of
from napari_tomodrgn.analysis.latents.components import (
    STRIP,
    across_strip,
    axes_of_table,
    latent_matrix,
)
from napari_tomodrgn.analysis.report.associations import audit_section, context_section
from napari_tomodrgn.analysis.report.charts import (
    line_chart,
    lines_table,
    scatter_chart,
)
from napari_tomodrgn.analysis.report.checks import check_section
from napari_tomodrgn.analysis.report.classes import Classes, class_section, classes_of
from napari_tomodrgn.analysis.report.comparisons import comparison_section
from napari_tomodrgn.analysis.report.conditions import condition_section
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.files import write_text
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.epoch_files import FIRST_LOOK
from napari_tomodrgn.palette import CATEGORIES

if TYPE_CHECKING:
    import pandas as pd

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2em auto; padding: 0 1em; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2em; border-bottom: 1px solid #8886; }
table { border-collapse: collapse; } td, th { padding: .2em .8em .2em 0; text-align: left; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.classes { display: flex; flex-wrap: wrap; gap: 1em; margin: 1em 0; } .classes figure { margin: 0; }
.sentence { font-size: 1.1em; font-weight: 600; } pre { overflow-x: auto; }
.classes img { background: #fff; border-radius: 6px; }
"""
_CITATION = (
    "Powell, B. M. & Davis, J. H. Learning structural heterogeneity from cryo-electron "
    "sub-tomograms with tomoDRGN. Nature Methods 21, 1525–1536 (2024)."
)


def write_report(run: Run, out: Path, columns: pd.DataFrame | None = None) -> None:
    """Write the page of a run as one HTML file that loads nothing from elsewhere.

    ``columns`` are those of a window, where there is one: they may not be in the run yet.
    """
    latents = run.latents()
    classes, particles = classes_of(run, latents, columns), run.particles(images_needed=False)
    sections = [
        ("Verdict", _verdict(run)),
        ("Latent space", _latents(latents, classes)),
        ("Clusters", class_section(run, latents, classes)),
        ("Conditions of tomograms", condition_section(run, latents, classes)),
        ("Comparisons", comparison_section(run, classes)),
        ("What the latents go with that is no structure", audit_section(latents, particles)),
        ("Where particles are", context_section(run, latents, classes)),
        ("Data", _data(run, particles)),
        ("Checks of the data", check_section(run, particles)),
        ("Learning curves", _curves(run)),
        ("Settings", _settings(run)),
        ("Methods", _methods(run)),
    ]
    body = "\n".join(f"<h2>{escape(name)}</h2>\n{text}" for name, text in sections)
    title = f"napari-tomodrgn: {escape(run.path.name)}"
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head>\n<body><h1>{title}</h1>\n{body}\n</body></html>\n"
    )
    write_text(out, page)


def _data(run: Run, particles: ParticleSet) -> str:
    info = run.info
    tilts, images = particles.particles["tilts"], particles.images
    optics = info.to_optics()
    return lines_table(
        {
            "source": info.source,
            "SHA-256 of the source": info.source_sha256,
            "written by": info.dialect,
            "particles": len(particles),
            "tomograms": particles.particles["tomogram"].nunique(),
            "tilt images": f"{len(images)} ({tilts.min()} to {tilts.max()} a particle)",
            "box": f"{optics.box_size_px} px of {optics.pixel_size_angstrom:.3f} Å",
            "stage tilt": "{:.0f}° to {:.0f}°".format(*images.stage_tilt_deg.agg(["min", "max"])),
            "dose": f"up to {images.dose_e_per_angstrom2.max():.0f} e/Å²",
            "images were multiplied by their CTF": "yes" if optics.ctf_premultiplied else "no",
            "images were dose-weighted": "yes" if optics.dose_weighted else "no",
        }
    )


def _verdict(run: Run) -> str:
    quality = run.quality()
    if "verdict" not in quality:
        return "<p>None: the run has not ended yet, or no images were held out.</p>"
    first = ""
    if quality.get("epoch") == FIRST_LOOK:
        when = "" if "epochs" in quality else ", before the training has ended"
        first = f"First look{when}: "
    return f'<p class="sentence">{first}{escape(str(quality["verdict"]))}</p>'


def _curves(run: Run) -> str:
    metrics = run.metrics()
    if not len(metrics):
        return "<p>None: the run brought no metrics.</p>"
    names = {"reconstruction": "learnt images", "held_out": "held-out images"}
    there = {name: word for name, word in names.items() if name in metrics}
    curves = {
        word: (metrics[name].to_numpy(float), color)
        for (name, word), color in zip(there.items(), CATEGORIES, strict=False)
    }
    return line_chart(metrics["epoch"].to_numpy(float), curves, ("epoch", "squared error"))


def _latents(latents: pd.DataFrame, classes: Classes) -> str:
    points = latent_matrix(latents)
    principal = axes_of_table(latents)
    scores = principal.scores(points)[:, :2]
    names = [f"PC {number} ({share:.0%})" for number, share in enumerate(principal.share[:2], 1)]
    below = ""
    if principal.has_one_component:
        scores = np.column_stack([scores[:, 0], across_strip(scores[:, 0])])
        names = [names[0], STRIP]
        below = "<p>One component is wide; particles of the same value lie beside each other.</p>"
    proposed = propose_clusters_of(latents)
    words = proposed.sentence if proposed is not None else "too few particles to ask"
    ids = [str(name) for name in latents.index]
    chart = scatter_chart(scores, ids, classes.colors, (names[0], names[1]))
    made = f" {len(classes.names)} were made." if classes.names else ""
    return f"{chart}{below}<p>Number of clusters that the data show: {escape(words)}.{made}</p>"


def _settings(run: Run) -> str:
    settings = run.config.model_dump(mode="json")
    if run.config.method == "linear":  # which has neither network nor epochs
        settings.pop("model")
        settings["train"] = {"device": settings["train"]["device"]}
    text = json.dumps(settings, indent=2, ensure_ascii=False)
    return f"<details><summary>All settings</summary><pre>{escape(text)}</pre></details>"


def _methods(run: Run) -> str:
    info, versions = run.info, ", ".join(f"{k} {v}" for k, v in run.info.versions.items())
    engine = "linear latent model" if info.config.method == "linear" else "variational autoencoder"
    again = f"<p>It was trained in the window, started {escape(info.created)}, as set above.</p>"
    if info.command[1:]:
        command = shlex.join(["napari-tomodrgn", *info.command[1:]])
        again = f"<p>To repeat it, started {escape(info.created)}:</p><pre>{escape(command)}</pre>"
    return (
        f"<p>Heterogeneity was analysed with napari-tomodrgn ({escape(versions)}) by its {engine}, "
        f"seed {info.config.seed}, on {escape(info.device)}. Whether held-out tilt images tell "
        "particles apart was asked by a score test; groups were compared by cross-fitted maps and "
        "permutations within tomogram and viewing direction.</p>"
        f"<p>Cite: {escape(_CITATION)}</p>"
        f"{again}"
    )
