"""Ways through latent space: lines of latents ``(frame, dimension)``. Arrays in, arrays out.

A straight line may lead where no particle is; the way along neighbours does not, and neither does a
line drawn where particles are seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Floats = NDArray[np.float64]

# Particles that each is joined to: enough to walk within a cloud, too few to jump between clouds.
_NEIGHBOURS = 12
# An edge costs its length to this power: many short steps are cheaper than a leap, so that the way
# stays where particles are dense.
_POWER = 2.0


def along_neighbours(
    points: Floats, anchors: Sequence[int], neighbours: int = _NEIGHBOURS
) -> NDArray[np.int64]:
    """Rows of the particles on the shortest way through anchors, in their order.

    Parameters
    ----------
    points
        Latents ``(particle, dimension)``.
    anchors
        Rows to pass, the first and the last being the ends.
    neighbours
        Each particle is joined to so many of its nearest. Where anchors stay apart, clouds are
        joined where they come nearest to each other.
    """
    from scipy.sparse.csgraph import dijkstra

    graph = _joined(points, _neighbour_graph(points, neighbours), anchors)
    rows = [int(anchors[0])]
    for start, end in pairwise(anchors):
        _, before = dijkstra(graph, directed=False, indices=int(start), return_predecessors=True)
        leg = [int(end)]
        while leg[-1] != start:
            leg.append(int(before[leg[-1]]))
        rows += leg[-2::-1]
    return np.array(rows, np.int64)


def evenly(line: Floats, count: int, scale: Floats | float = 1.0) -> Floats:
    """``count`` places on a broken line ``(corner, dimension)``, at equal distances along it.

    Distances are taken after dividing by ``scale``; the ends are the line's.
    """
    steps = np.linalg.norm(np.diff(line / scale, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    moves = np.concatenate([[True], steps > 0])  # a corner that is set twice is one
    wanted = np.linspace(0.0, along[-1], count)
    columns = [np.interp(wanted, along[moves], column[moves]) for column in line.T]
    return np.stack(columns, axis=1)


def _neighbour_graph(points: Floats, neighbours: int) -> csr_array:
    """Edges (particle, particle) to the nearest others."""
    from scipy.sparse import csr_array
    from scipy.spatial import cKDTree

    count = min(neighbours, len(points) - 1)
    distances, others = cKDTree(points).query(points, k=count + 1)
    rows = np.repeat(np.arange(len(points)), count)
    weights = _cost(distances[:, 1:].ravel())
    return csr_array((weights, (rows, others[:, 1:].ravel())), shape=(len(points),) * 2)


def _joined(points: Floats, graph: csr_array, anchors: Sequence[int]) -> csr_array:
    """The graph with clouds joined until all anchors hang together."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    while True:
        _, cloud = connected_components(graph, directed=False)
        if len(set(cloud[list(anchors)])) == 1:
            return graph
        inside = np.flatnonzero(cloud == cloud[anchors[0]])
        outside = np.flatnonzero(cloud != cloud[anchors[0]])
        distances, nearest = cKDTree(points[inside]).query(points[outside])
        best = int(distances.argmin())
        bridge = ([_cost(distances[best])], ([inside[nearest[best]]], [outside[best]]))
        graph = csr_array(graph + csr_array(bridge, shape=graph.shape))


def _cost(distance: Any) -> Any:
    # Not 0 for two particles at one place: a sparse graph takes that for no edge.
    return np.maximum(distance, 1e-12) ** _POWER
