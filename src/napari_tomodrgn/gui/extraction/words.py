"""What an extraction lacks, in the words of its form, each thing once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_tomodrgn.extract.survey import SurveyRow

DETAILS = "Folders and conventions"
_HERE = f"under “{DETAILS}”"
# Options of the command and the fields that stand for them; the longer ones first.
_FIELDS = {
    "Pass --dose DIR": f"Name their folder as “Dose” {_HERE}",
    "Pass --tomograms DIR": f"Name “Tomograms” {_HERE}: the folder",
    "--tomograms DIR": f"“Tomograms” {_HERE}",
    "--alignment DIR": f"“Alignment” {_HERE}",
    "--ctf DIR": f"“CTF” {_HERE}",
    "--origin 0|1": "“Origin”",
    "--z keep|mirror": "“Z”",
    "--pose keep|inverse": "“Pose”",
    "--hand 1|-1": "“Hand”",
    "--origin": "“Origin”",
    "--z,": "“Z”,",
    "--out": "“Output”",
    "box_px": "“Box (px)”",
    "pixel_size_target_angstrom": "“Pixel (Å)”",
}
_OPTION = re.compile(r"--[a-z]")
_MOST_NAMES = 4  # of tomograms that lack the same


def in_fields(text: str) -> str:
    """Replace options of the command by fields of the form; say of others where they are."""
    for option, field in _FIELDS.items():
        text = text.replace(option, field)
    text = text.replace("Pass “", f"Under “{DETAILS}” choose “")
    if _OPTION.search(text):
        text += " (Words with two dashes are options of napari-tomodrgn extract, in a terminal.)"
    return text


def what_is_missing(rows: Sequence[SurveyRow]) -> str:
    """The first thing that each tomogram lacks; where several lack the same, once for all."""
    alike: dict[str, list[tuple[str, str]]] = {}
    for row in rows:
        for sentence in row.missing[:1]:
            names = "|".join(re.escape(one) for one in (row.series, row.tomogram) if one)
            key = re.sub(rf"(?<!\w)(?:{names})(?!\d)", "*", sentence)
            alike.setdefault(key, []).append((row.series or row.tomogram, sentence))
    return "\n".join(in_fields(found[0][1]) + _others(found) for found in alike.values())


def _others(found: list[tuple[str, str]]) -> str:
    names = [name for name, _ in found[1:]]
    if not names:
        return ""
    more = ", …" if len(names) > _MOST_NAMES else ""
    return f" So it is with {len(names):,} more: {', '.join(names[:_MOST_NAMES])}{more}."
