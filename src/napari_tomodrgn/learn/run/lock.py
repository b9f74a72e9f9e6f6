"""Who trains into a run directory: one process at a time.

``RUN/training.lock`` says which process on which computer, and its date is renewed while that
process lives. A lock is stale if its process is gone, or, on another computer, if its date has not
been renewed for long.
"""

from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import explained_write_errors, make_folder
from napari_tomodrgn.folders_in_use import begin_anew, folder_in_use, is_in_use

LOCK_NAME = "training.lock"
TRAINED = "trained"  # what a folder is in use for
_HEARTBEAT_SECONDS = 15.0  # between renewals of the lock's date
# Shared disks tell of a new date late, and a computer under load renews it late.
STALE_AFTER_SECONDS = 300.0


@contextmanager
def training_lock(run: str | Path) -> Iterator[None]:
    """Hold the lock of a run directory, which need not exist yet.

    Raises
    ------
    BadInputError
        If another process that lives holds it; names it. If the directory is deleted or moved
        within the block: nothing makes it anew.
    """
    run = Path(run)
    file = run / LOCK_NAME
    with explained_write_errors(file):
        made = [folder for folder in (run, *run.parents) if not folder.exists()]
    begin_anew(run)
    try:
        make_folder(run)
        with explained_write_errors(file):
            _acquire(file)
        with _heartbeat(file), folder_in_use(run, (LOCK_NAME, "run.json"), TRAINED):
            yield
    finally:
        for folder in made:  # of a run that was never begun nothing stays
            with suppress(OSError):
                folder.rmdir()


@contextmanager
def _heartbeat(file: Path) -> Iterator[None]:
    """Renew the date of a lock while the block runs, then release it."""
    over = threading.Event()
    beat = threading.Thread(target=_renew, args=(file, over), name="training lock", daemon=True)
    beat.start()
    try:
        yield
    finally:
        over.set()
        beat.join()
        file.unlink(missing_ok=True)


def lock_holder(run: str | Path) -> str:
    """Who trains into a run directory now, in words; empty if nobody does."""
    file = Path(run) / LOCK_NAME
    about = _read(file)
    if about is None or _is_stale(file, about):
        return ""
    return f"process {about.get('pid')} on {about.get('host')}"


def _acquire(file: Path) -> None:
    words = json.dumps({**_this_process(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}) + "\n"
    # Linked into place whole, so that a kill never leaves a lock that does not say whose it is.
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{LOCK_NAME}.", suffix=file.suffix)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(words)
        Path(name).chmod(0o644)
        while True:
            try:
                _link(Path(name), file)
            except FileExistsError:
                _remove_if_stale(file)
            else:
                return
    finally:
        Path(name).unlink(missing_ok=True)


def _link(written: Path, file: Path) -> None:
    """Give a file a second name, unless that is taken; on disks without links, copy it."""
    try:
        os.link(written, file)
    except FileExistsError:
        raise
    except OSError:
        with open(file, "x", encoding="utf-8") as stream:
            stream.write(written.read_text(encoding="utf-8"))


def _remove_if_stale(file: Path) -> None:
    about = _read(file)
    if about is None:
        return  # just released: the next try gets it
    if not _is_stale(file, about):
        raise BadInputError(
            f"{file.parent}: process {about.get('pid')} on {about.get('host')} trains into it "
            f"since {about.get('since')}.",
            remedy=f"Wait until it ends, or stop it; if there is no such process, delete {file}.",
            code="run-locked",
        )
    # Renamed first: of several that find it stale only one succeeds, and none takes a new lock.
    mine = file.with_name(f".{LOCK_NAME}.{os.getpid()}")
    with suppress(FileNotFoundError):
        os.replace(file, mine)
        if _read(mine) != about:
            os.replace(mine, file)
        mine.unlink(missing_ok=True)


def _is_stale(file: Path, about: dict[str, object]) -> bool:
    if about.get("host") == socket.gethostname():
        moved = about.get("pid") == os.getpid() and not is_in_use(file.parent, TRAINED)
        return moved or not _lives(about)
    try:
        age = time.time() - file.stat().st_mtime
    except FileNotFoundError:
        return True
    return age > STALE_AFTER_SECONDS


def _lives(about: dict[str, object]) -> bool:
    """Whether the process of a lock on this computer is there, and is still the same one."""
    pid = about.get("pid")
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return about.get("started") == _started(pid)


def _this_process() -> dict[str, object]:
    pid = os.getpid()
    return {"host": socket.gethostname(), "pid": pid, "started": _started(pid)}


def _started(pid: int) -> str:
    """When a process began, as Linux has it: its number may be given anew. Empty elsewhere."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return ""
    # The name in brackets may hold anything; the state follows, and the time 19 fields later.
    state, *fields = stat.rpartition(")")[2].split()
    return "ended" if state in "ZX" else f"{boot} {fields[18]}"


def _renew(file: Path, over: threading.Event) -> None:
    while not over.wait(_HEARTBEAT_SECONDS):
        with suppress(OSError):
            os.utime(file)


def _read(file: Path) -> dict[str, object] | None:
    """What a lock says; empty of one that is being written; None if there is none."""
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}
