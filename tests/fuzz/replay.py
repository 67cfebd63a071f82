"""The seeds and the corpus folded by both engines: in `infra/test`, and as a process with sanitizers."""

import sys
from collections.abc import Iterator
from pathlib import Path

from streams.native.library import Library
from tests.fuzz.corpus import stored
from tests.fuzz.findings import kind_of, told
from tests.fuzz.judge import made_once
from tests.fuzz.seeds import seeds


def differences(library: Library) -> Iterator[str]:
    """In words, each input that the folds judge differently."""
    with made_once():
        for data in (*seeds(), *stored()):
            if kind_of(data, library) is not None:
                yield "\n".join(told(data, library))


if __name__ == "__main__":
    found = list(differences(Library(Path(sys.argv[1]))))
    sys.stdout.write("\n\n".join(found) or "fine\n")
