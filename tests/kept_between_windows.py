"""What is worked out for one window of the tests, kept for the next: of napari's and of ours."""

from __future__ import annotations

from collections.abc import Callable, Generator
from copy import deepcopy
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pytest

# All that these look at are their arguments; what they give is copied where it is a list or a dict.
_OF_TEXT = {
    "vispy.gloo.glir": ["_convert_desktop_shader"],
    "vispy.visuals.shaders.parsing": [
        "find_program_variables",
        "find_template_variables",
        "parse_function_signature",
    ],
}

_computed: dict[tuple[str, object], tuple[list[Any], Any]] = {}  # events and result, by what of


def computed_once_for(
    steps: Callable[..., Generator[Any, None, Any]], what: Callable[..., object]
) -> Callable[..., Generator[Any, None, Any]]:
    """The same steps; asked about the same again, they yield and find what they did before."""

    def computed(*given: Any, **options: Any) -> Generator[Any, None, Any]:
        name = steps.__name__, what(*given)
        if name in _computed:
            events, result = _computed[name]
            yield from events
            return result
        events, running = [], steps(*given, **options)
        while True:
            try:
                event = next(running)
            except StopIteration as finished:
                _computed[name] = events, finished.value
                return finished.value
            events.append(event)
            yield event

    return computed


def keep_between_windows(patch: pytest.MonkeyPatch) -> None:
    """Let nothing be worked out twice in this process, until the patch is undone."""
    for module_name, names in _OF_TEXT.items():
        module = import_module(module_name)
        for name in names:
            patch.setattr(module, name, _kept(getattr(module, name)))
    _keep_manifests(patch)
    _keep_letters(patch)
    _keep_shader_variables(patch)


def _kept(function: Callable[[str], Any]) -> Callable[[str], Any]:
    cached = lru_cache(maxsize=None)(function)
    return lambda text: deepcopy(cached(text))


def _keep_manifests(patch: pytest.MonkeyPatch) -> None:
    manifests = import_module("npe2.manifest._bases")
    loaded = _kept(manifests._load_yaml_no_duplicates)
    patch.setattr(manifests, "_load_yaml_no_duplicates", lambda stream: loaded(stream.read()))


def _keep_letters(patch: pytest.MonkeyPatch) -> None:
    """Distances around a letter, which vispy writes into the texture of a canvas."""
    renderer = import_module("vispy.visuals.text.text").SDFRendererCPU
    render = renderer.render_to_texture
    known: dict[Any, Any] = {}

    def render_once(self: Any, data: Any, texture: Any, offset: Any, size: Any) -> None:
        letter = (data.shape, data.tobytes(), tuple(size))
        if letter not in known:
            known[letter] = np.zeros((size[1], size[0], 3), np.uint8)
            render(self, data, known[letter], (0, 0), size)
        (left, top), (width, height) = offset, size
        texture[top : top + height, left : left + width, :] = known[letter]

    patch.setattr(renderer, "render_to_texture", render_once)


def _keep_shader_variables(patch: pytest.MonkeyPatch) -> None:
    program = import_module("vispy.gloo.program").Program
    parse = program._parse_variables_from_code
    known: dict[tuple[str, ...], dict[str, Any]] = {}

    def parse_once(self: Any, update_variables: bool = True) -> None:
        code = tuple(shader.code for shader in self._shaders)
        if code not in known:
            parse(self, update_variables=False)
            known[code] = self._code_variables
        self._code_variables = dict(known[code])
        if update_variables:
            self._process_pending_variables()

    patch.setattr(program, "_parse_variables_from_code", parse_once)
