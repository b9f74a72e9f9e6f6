"""The page: data, settings, curves, verdict, latents, classes, comparisons, audit, how to repeat.

What a run does not have (it was not analysed, nothing was compared) is said, not left out.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from napari_tomodrgn.analysis.evidence.records import read_comparisons
from napari_tomodrgn.analysis.latents.cluster_count import propose_clusters
from napari_tomodrgn.analysis.latents.components import latent_matrix, principal_components
from napari_tomodrgn.analysis.report.charts import (
    COLORS,
    line_chart,
    scatter_chart,
    turning_picture,
)
from napari_tomodrgn.data.volume import read_volume
from napari_tomodrgn.files import write_text
from napari_tomodrgn.learn.run.directory import Run

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2em auto; padding: 0 1em; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2em; border-bottom: 1px solid #8886; }
table { border-collapse: collapse; } td, th { padding: .2em .8em .2em 0; text-align: left; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.classes { display: flex; flex-wrap: wrap; gap: 1em; } .classes figure { margin: 0; }
.sentence { font-size: 1.1em; font-weight: 600; } pre { overflow-x: auto; }
.classes img { background: #fff; border-radius: 6px; }
"""
_CITATION = (
    "Powell, B. M. & Davis, J. H. Learning structural heterogeneity from cryo-electron "
    "sub-tomograms with tomoDRGN. Nature Methods 21, 1525–1536 (2024)."
)


def write_report(run: Run, out: Path) -> None:
    """Write the page of a run as one HTML file that loads nothing from elsewhere."""
    sections = [
        ("Data", _data(run)),
        ("Verdict", _verdict(run)),
        ("Learning curves", _curves(run)),
        ("Latent space", _latents(run)),
        ("Classes", _classes(run)),
        ("Comparisons", _comparisons(run)),
        ("What the latents go with that is no structure", _audit(run)),
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


def _rows(pairs: Mapping[str, object]) -> str:
    lines = [f"<tr><th>{escape(k)}</th><td>{escape(str(v))}</td></tr>" for k, v in pairs.items()]
    return f"<table>{''.join(lines)}</table>"


def _table(table: pd.DataFrame) -> str:
    head = "".join(f"<th>{escape(str(name))}</th>" for name in table.columns)
    lines = []
    for row in table.itertuples(index=False):
        cells = [
            f'<td class="number">{value:.3g}</td>'
            if isinstance(value, float)
            else f"<td>{escape(str(value))}</td>"
            for value in row
        ]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table><tr>{head}</tr>{''.join(lines)}</table>"


def _data(run: Run) -> str:
    particles, info = run.particles(images_needed=False), run.info
    tilts, images = particles.particles["tilts"], particles.images
    optics = info.to_optics()
    return _rows(
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
    return f'<p class="sentence">{escape(str(quality["verdict"]))}</p>'


def _curves(run: Run) -> str:
    metrics = run.metrics()
    if not len(metrics):
        return "<p>None: the run brought no metrics.</p>"
    names = {"reconstruction": "learnt images", "held_out": "held-out images"}
    there = {name: word for name, word in names.items() if name in metrics}
    curves = {word: metrics[name].to_numpy(float) for name, word in there.items()}
    return line_chart(metrics["epoch"].to_numpy(float), curves, ("epoch", "squared error"))


def _latents(run: Run) -> str:
    table = run.latents()
    points = latent_matrix(table)
    scores, share = principal_components(points)
    if scores.shape[1] == 1:
        scores = np.hstack([scores, np.zeros_like(scores)])
        share = np.append(share, 0.0)
    axes = (f"PC 1 ({share[0]:.0%})", f"PC 2 ({share[1]:.0%})")
    groups = _clusters_of(run, table)
    variances = np.exp(table.filter(like="logvar").to_numpy(np.float64))
    known = variances if variances.shape == points.shape else None
    enough = len(points) >= 20
    words = propose_clusters(points, known).sentence if enough else "too few particles to ask"
    chart = scatter_chart(scores[:, :2], [str(name) for name in table.index], groups, axes)
    return f"{chart}<p>Number of classes: {escape(words)}.</p>"


def _clusters_of(run: Run, table: pd.DataFrame) -> np.ndarray:
    """Class of each particle, 1, 2, …; 0 where the run was not analysed."""
    if not run.analysis.clusters.exists():
        return np.zeros(len(table), dtype=np.int64)
    known = pd.read_csv(run.analysis.clusters, dtype={"particle_id": str}).set_index("particle_id")
    return known["cluster"].reindex(table.index).fillna(0).to_numpy(np.int64)


def _classes(run: Run) -> str:
    table = run.latents()
    groups = _clusters_of(run, table)
    if not groups.any():
        return "<p>None: run <code>analyze</code> first.</p>"
    tomograms = table["tomogram"].astype(str).to_numpy()
    figures = []
    for number in np.unique(groups[groups > 0]):
        mine = groups == number
        file = run.analysis.cluster_map(int(number))
        picture = turning_picture(read_volume(file), f"class {number}") if file.exists() else ""
        figures.append(
            f'<figure>{picture}<figcaption style="color:{COLORS[int(number) % len(COLORS)]}">'
            f"class {number}</figcaption>{mine.sum()} particles ({mine.mean():.0%}), "
            f"{len(np.unique(tomograms[mine]))} tomograms</figure>"
        )
    shares = pd.crosstab(pd.Series(tomograms, name="tomogram"), pd.Series(groups, name="class"))
    return f'<div class="classes">{"".join(figures)}</div>{_table(shares.reset_index())}'


def _comparisons(run: Run) -> str:
    found = read_comparisons(run)
    if not found:
        return "<p>None were made.</p>"
    parts = [
        "<p>Groups are chosen from one half of each particle's tilts and compared in the other; "
        f"p is adjusted for {len(found)} comparisons (Holm).</p>"
    ]
    for one in found:
        parts.append(f'<p class="sentence">{escape(str(one["sentence"]))}</p>')
        figures = {
            "particles": f"{one['particles_a']} and {one['particles_b']}",
            "p, adjusted": f"{one['p_holm']:.2g} (alone {one['p']:.2g})",
            "tilt halves agree on": f"{one['agreement_of_halves']:.0%} of the particles",
            "of a difference the maps show": f"{one['attenuation']:.0%}",
        }
        parts.append(_rows(figures) + _difference_chart(Path(one["folder"])))
    return "".join(parts)


def _difference_chart(folder: Path) -> str:
    curves, frequency = {}, None
    for name, word in (("a", "A"), ("b", "B"), ("difference", "A − B")):
        file = folder / f"{name}_fsc.csv"
        if file.exists():
            table = pd.read_csv(file)
            curves[word] = table["fsc"].to_numpy(float)[1:]
            frequency = table["frequency_per_angstrom"].to_numpy(float)[1:]
    if frequency is None:
        return ""
    ticks = [f"{1 / value:.0f} Å" for value in np.linspace(frequency[0], frequency[-1], 5)]
    return line_chart(frequency, curves, ("resolution", "FSC of half maps"), ticks)


def _audit(run: Run) -> str:
    if not run.analysis.audit.exists():
        return "<p>Not asked: run <code>analyze</code> first.</p>"
    table = pd.read_csv(run.analysis.audit)
    columns = [name for name in ("nuisance", "effect", "p_value", "verdict") if name in table]
    return _table(table[columns]) if len(table) else "<p>Nothing was seen.</p>"


def _settings(run: Run) -> str:
    text = json.dumps(run.config.model_dump(mode="json"), indent=2, ensure_ascii=False)
    return f"<details><summary>All settings</summary><pre>{escape(text)}</pre></details>"


def _methods(run: Run) -> str:
    info, versions = run.info, ", ".join(f"{k} {v}" for k, v in run.info.versions.items())
    engine = "linear latent model" if info.config.method == "linear" else "variational autoencoder"
    command = shlex.join(["napari-tomodrgn", *info.command[1:]])
    return (
        f"<p>Heterogeneity was analysed with napari-tomodrgn ({escape(versions)}) by its {engine}, "
        f"seed {info.config.seed}, on {escape(info.device)}. Whether held-out tilt images tell "
        "particles apart was asked by a score test; groups were compared by cross-fitted maps and "
        "permutations within tomogram and viewing direction.</p>"
        f"<p>Cite: {escape(_CITATION)}</p>"
        f"<p>To repeat it, started {escape(info.created)}:</p><pre>{escape(command)}</pre>"
    )
