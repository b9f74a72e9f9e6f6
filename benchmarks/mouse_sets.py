"""What a mouse does with sets of other programs, and what must not move under it: `mouse`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hands import settle, until
from mouse_hand import PATIENCE_S, Hand, xdotool
from qtpy.QtCore import QPoint

RESULT, IMAGES = "tomodrgn_result/vae", "cryosrpnt"  # of TOMODRGN_TEST_DATA


def other_sets(hand: Hand, warp: Path, run: Path, folder: Path) -> None:
    """All that is tried, in order."""
    grouped(hand, warp)
    imported(hand, folder)
    opener(hand, "Open run…", run)
    nothing_moves(hand)
    low_pass(hand)
    named_at_once(hand)
    own_colors(hand)


def opener(hand: Hand, words: str, path: Path) -> None:
    """Open something by one of the buttons of the first step."""
    panel, session = hand.widget.particles, hand.session
    hand.step("Particles")
    buttons: Any = panel.findChildren(type(panel.example))
    hand.file(next(one for one in buttons if one.text().startswith(words)), path)

    def there() -> bool:
        return path in (session.source, session.run.path if session.run is not None else None)

    until(lambda: there() and hand.widget.controller.idle, PATIENCE_S)
    until(lambda: not session.preflight_status.busy, PATIENCE_S)
    settle(1.0)


def grouped(hand: Hand, warp: Path) -> None:
    """Warp 1 whose micrographs are tilt images: a particle is a group, and has all its tilts.

    Read with a particle to each image a quick reconstruction is finer than the pixels allow for.
    """
    star = warp.with_name("tilt_images.star")
    rows, seen = [], dict[str, int]()
    for line in warp.read_text().splitlines():
        words = line.split()
        if len(words) > 15:
            seen[words[19]] = tilt = seen.get(words[19], 0) + 1
            name = words[10].removesuffix(".tomostar")
            line = line.replace(f"\t{words[10]}\t", f"\t{name}_{tilt:03d}.mrc\t")
        rows.append(line)
    star.write_text("\n".join(rows) + "\n")
    opener(hand, "Open star", star)
    particles, panel = hand.session.particles, hand.widget.particles
    tilts = set(particles.particles["tilts"])
    right = len(particles.ids) == len(seen) and tilts == set(seen.values())
    hand.check("Warp 1", right, f"{len(particles.ids)} particles of {tilts} tilts")
    hand.click(panel.quick.button)
    until(lambda: hand.session.validation is not None, PATIENCE_S)
    until(lambda: hand.widget.controller.idle, PATIENCE_S)
    made = hand.session.validation
    right = made.resolution_angstrom >= 2 * made.volume.voxel_size_angstrom
    hand.check("Warp 1, quick map", right, panel.quick.result.text())


def imported(hand: Hand, folder: Path) -> None:
    """A result of tomoDRGN: its volume, its clusters, no error."""
    from napari_tomodrgn.analysis.tomodrgn_result import import_result

    data = os.environ.get("TOMODRGN_TEST_DATA")
    if data is None:
        print("not tried: an imported result (TOMODRGN_TEST_DATA is not set)", flush=True)
        return
    run = folder / "imported"
    result, images = Path(data) / RESULT, Path(data) / IMAGES
    import_result(result, run, images=images)
    opener(hand, "Open run…", run)
    session = hand.session
    said = "nothing" if session.message is None else session.message.severity
    columns = [] if session.added_columns is None else list(session.added_columns)
    right = session.decoded is not None and said != "error" and "k-means 4" in columns
    hand.check("imported result", right, f"{said} said, columns {columns}")


def nothing_moves(hand: Hand) -> None:
    """A message comes, is unfolded, is dismissed: no button leaves its place."""
    widget, view = hand.widget, hand.widget.latent.view
    hand.step("Validate")
    hand.click(widget.latent.tools._named["rectangle"])
    middle = view.rect().center()
    hand.drag(view, [QPoint(50, 12), middle, QPoint(middle.x(), view.height() - 50)])
    hand.click(widget.latent.tools._named["move"])
    panel = widget.selections
    watched = [
        *widget.stepper.buttons.values(),
        panel.keep,
        panel.export,
        widget.comparison.compare,
    ]
    before = [hand.at(one) for one in watched]
    found: dict[str, list[tuple[int, int]]] = {}
    hand.click(panel.keep)
    until(lambda: len(hand.session.selections) > 0, PATIENCE_S)
    settle(0.5)
    found["saved"] = [hand.at(one) for one in watched]
    hand.click(widget.banner.label)
    found["unfolded"] = [hand.at(one) for one in watched]
    hand.check("a message moves nothing", found["saved"] == before, widget.banner.text)
    hand.click(widget.banner.dismiss)
    found["dismissed"] = [hand.at(one) for one in watched]
    still = all(places == before for places in found.values())
    hand.check("nor its going", still and not widget.banner.text, f"{len(watched)} buttons")
    xdotool("mousemove", *hand.at(view, middle))
    hand.click(widget.latent.tools.clear)


def low_pass(hand: Hand) -> None:
    """The slider's first step is the finest that the pixels hold."""
    bar, session = hand.widget.latent.volumes, hand.session
    hand.click(bar.lowpass)
    for key in ("Home", "Right"):
        xdotool("key", key)
        settle(0.5)
    until(lambda: hand.widget.controller.idle, PATIENCE_S)
    voxel = session.decoded.volume.voxel_size_angstrom
    right = 2 * voxel <= session.lowpass < 2 * voxel + 2
    hand.check("low-pass", right, f"{bar.lowpass_words.text()} at {voxel:g} Å/px")
    xdotool("key", "Home")
    until(lambda: session.lowpass == 0, PATIENCE_S)


def named_at_once(hand: Hand) -> None:
    """The title never names the particle before, once another was clicked."""
    points, overlays = hand.widget.latent.view.points, hand.viewer.canvas.overlays
    hand.point(int(points[:, 0].argmin()))
    hand.point(int(points[:, 0].argmax()))
    wanted, seen = hand.session.focused, set[str]()

    def shown() -> bool:
        seen.add(overlays["tomodrgn_caption"].text.split("  ·  ")[0])
        decoded = hand.session.decoded
        return decoded is not None and decoded.particle_id == wanted and decoded.complete

    until(shown, PATIENCE_S)
    hand.check("the title names who is clicked", seen == {wanted}, seen)


def own_colors(hand: Hand) -> None:
    """Clusters, two pinned particles, a difference: no colour means two things."""
    from napari_tomodrgn.gui.charts.colormaps import colors_of_categories

    widget, session, view = hand.widget, hand.session, hand.widget.latent.view
    menu = widget.latent.tools._named["clusters"]
    hand.answering(
        lambda: hand.click(menu), lambda: xdotool("key", "Down", "Down", "Down", "Return")
    )
    until(lambda: session.color == "cluster" and widget.controller.idle, PATIENCE_S)
    column = session.color_column
    groups = set(colors_of_categories(column)[: len(column.categories)])
    _shift_click(hand, int(view.points[:, 0].argmin()))
    labels = hand.viewer.layers["map labels"]
    words = [str(one) for one in labels.features["words"]]
    named = all(any(one in line for line in words) for one in (session.focused, *session.pinned))
    right = named and len(words) == 2 and all("σ" in line for line in words)
    hand.check("each map says whose it is", right, words)
    _choose_style(hand, "from pinned")
    until(lambda: widget.controller.idle, PATIENCE_S)
    names = ("decoded", "difference, more", "difference, less")
    drawn = {hand.viewer.layers[name].colormap.name for name in names}
    accent = view._theme.accent
    apart = len(drawn) == 3 and not groups & (drawn | {accent})
    hand.check("colours of their own", apart, f"groups {groups}, difference {drawn}, ring {accent}")


def _shift_click(hand: Hand, index: int) -> None:
    xdotool("keydown", "shift")
    hand.point(index)
    xdotool("keyup", "shift")
    until(lambda: len(hand.session.pinned) > 0 and hand.widget.controller.idle, PATIENCE_S)
    settle(0.5)


def _choose_style(hand: Hand, name: str) -> None:
    """From the menu with the eye, by keys: those that are off are passed over."""
    bar = hand.widget.latent.volumes
    offered = [one for one in bar.look.menu().actions() if one.isEnabled() and one.text()]
    keys = ["Down"] * (1 + offered.index(bar.actions_by_name[name]))
    hand.answering(
        lambda: hand.click(bar.look), lambda: xdotool("key", "--delay", 80, *keys, "Return")
    )
    until(lambda: hand.session.style == name, PATIENCE_S)
