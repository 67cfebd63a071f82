"""Both engines of the fold, by name, for tests that hold for each."""

import os
from functools import lru_cache
from typing import Protocol

import pytest

from infra.settings.environment import load_settings
from streams.core.plain import PlainFold
from streams.core.rules import Rules
from streams.core.values import Progress
from streams.native.build import NoCompilerError, build
from streams.native.compiled import CompiledFold
from streams.native.library import Library
from streams.spec import StreamSpec

ENGINES = ("plain", "native")


class NewState(Protocol):
    """Makes the state of a partition."""

    def __call__(self, spec: StreamSpec, rules: Rules, progress: Progress) -> PlainFold:
        """A state that expects the log from `progress.replay_from` on."""


@lru_cache(maxsize=1)
def library() -> Library:
    """The compiled fold, built when need be; skips the test where there is no compiler, and only there."""
    try:
        # that of the tests themselves is no setting
        environ = {name: value for name, value in os.environ.items() if name != "SONGLO_TEST_STACK"}
        return Library(build(load_settings(environ).library_folder))
    except NoCompilerError as error:
        pytest.skip(str(error))


def engine(name: str) -> NewState:
    """The engine of that name."""
    return PlainFold if name == "plain" else native


def native(spec: StreamSpec, rules: Rules, progress: Progress) -> CompiledFold:
    """A state of the compiled engine."""
    return CompiledFold(spec, rules, progress, library())
