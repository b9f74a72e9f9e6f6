"""What a killed training leaves half written is removed, and nothing else."""

from __future__ import annotations

from pathlib import Path

from napari_tomodrgn.learn.run.leftovers import clear_leftovers


def test_leftovers_of_both_writers_go(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    # Ours, then those that safetensors makes beside the file that it is given.
    gone = [folder / ".resume.safetensors.k3j_x9ab.safetensors", folder / ".tmp0Fs4c1"]
    kept = [folder / "resume.safetensors", folder / ".tmp", folder / ".tmp-notes", folder / ".nfs1"]
    for file in gone + kept:
        file.write_bytes(b"1")
    clear_leftovers(tmp_path)
    assert not any(file.exists() for file in gone)
    assert all(file.exists() for file in kept)
