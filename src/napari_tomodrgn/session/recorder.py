"""Notes in a session's `actions` what happens in it; services add what they alone know."""

from __future__ import annotations

from napari_tomodrgn.session.actions import Action, ids_of
from napari_tomodrgn.session.state import Session
from napari_tomodrgn.session.values import Decoded, LatentPath


class Recorder:
    """Listens to a session: maps that are looked at, selections, trajectories."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._looked: tuple[object, ...] = ()
        events = session.events
        events.selection.connect(self._on_selection)
        events.decoded.connect(self._on_decoded)
        events.pinned.connect(self._on_pinned)
        events.trajectory.connect(self._on_trajectory)
        events.shell_filter.connect(self._on_shell_filter)
        events.actions.connect(self._on_actions)

    def _on_actions(self, now: tuple[Action, ...], _old: object = None) -> None:
        if not now:  # something else was opened
            self._looked = ()

    def _on_selection(self, now: frozenset[str], _old: object = None) -> None:
        session = self._session
        if not now and not session.actions:
            return  # nothing was done: something else was opened
        known = session.selected_by
        if known is not None and known[0] is now and known[1]:
            session.record(*known[1])
        else:
            session.record(Action.of("select", ids_of(now)))

    def _on_decoded(self, decoded: Decoded | None, _old: object = None) -> None:
        session = self._session
        if decoded is None or not decoded.complete or decoded.effective_particles is not None:
            return  # a map of images is no decoded one
        if decoded.point is not None and session.trajectory is not None:
            return  # a frame of a path, which is noted as a whole
        if session.training.busy and self._looked[1:] == (decoded.particle_id, decoded.point):
            return  # the same particle, an epoch later
        looked = (decoded.epoch, decoded.particle_id, decoded.point)
        if looked == self._looked:
            return  # contoured anew
        self._looked = looked
        if decoded.point is not None:
            session.record(Action.of("decode_at", decoded.point.z))
        elif decoded.particle_id is not None:
            session.record(Action.of("decode", decoded.particle_id))

    def _on_shell_filter(self, on: bool, _old: object = None) -> None:
        if on and not self._session.actions:
            return  # nothing was done: something else was opened
        self._looked = ()  # the same particle has another map now
        self._session.record(Action.of("use_shell_filter", on=on))

    def _on_pinned(self, now: tuple[str, ...], old: tuple[str, ...] = ()) -> None:
        for identity in now:
            if identity not in old:
                self._session.record(Action.of("decode", identity))

    def _on_trajectory(self, path: LatentPath | None, _old: object = None) -> None:
        if path is not None:
            self._looked = ()
            points = [one.z for one in path.points]
            near = [one.n_neighbors for one in path.points]
            self._session.record(Action.of("trajectory", path.name, points, near))
