"""The harness, compiled by Clang with libFuzzer and the sanitizers into a library that Python loads."""

import platform
import subprocess
from hashlib import sha256
from pathlib import Path

from infra.setup.progress import SetupError, SetupProgress
from infra.setup.tools import require_fuzzer
from streams.native.build import SOURCE, source_version

HERE = Path(__file__).parent
FLAGS = (
    "-std=gnu11", "-O2", "-gline-tables-only", "-fPIC", "-shared", "-fvisibility=hidden", "-ffp-contract=off",
    "-fsanitize=fuzzer-no-link,address,undefined", "-fno-sanitize-recover=all", "-shared-libasan",
    "-fno-omit-frame-pointer",
)  # fmt: skip
# the sanitizers' library has names of libFuzzer's too, which would come first
LINK = ("-Wl,-Bsymbolic", "-lstdc++", "-lm", "-lpthread")


def require_harness(folder: Path, progress: SetupProgress) -> tuple[Path, Path]:
    """The library in `folder`, compiled when its source has changed, and what must be loaded before it.

    Raises SetupError saying what to do.
    """
    clang, libfuzzer = require_fuzzer(progress)
    sources = [*sorted(SOURCE.parent.glob("*.[ch]")), *sorted(HERE.glob("*.c")), *sorted(HERE.glob("*.txt"))]
    key = sha256(b"".join([*(path.read_bytes() for path in sources), repr((FLAGS, LINK)).encode()]))
    library = folder / f"fuzz-{key.hexdigest()[:16]}.so"
    if not library.exists():
        folder.mkdir(parents=True, exist_ok=True)
        made = library.with_suffix(".part")
        spared = (
            f"-fsanitize-ignorelist={HERE / 'spared.txt'}",
            f"-fsanitize-coverage-ignorelist={HERE / 'uncounted.txt'}",
        )
        whole = ("-Wl,--whole-archive", str(libfuzzer), "-Wl,--no-whole-archive")
        version = f'-DSONGLO_VERSION="{source_version()}"'
        source = (f"-I{SOURCE.parent}", version, str(HERE / "harness.c"))
        progress.run("Harness", [clang, *FLAGS, *spared, *source, "-o", str(made), *whole, *LINK])
        made.replace(library)
    return library, _runtime(clang)


def _runtime(clang: str) -> Path:
    """The library of the sanitizers; raises SetupError."""
    names = f"libclang_rt.asan-{platform.machine()}.so", "libclang_rt.asan.so"
    for name in names:
        shown = subprocess.run(
            [clang, f"-print-file-name={name}"], capture_output=True, text=True, check=True
        )
        if Path(shown.stdout.strip()).is_absolute():
            return Path(shown.stdout.strip())
    raise SetupError(f"{clang} has no {names[0]}")
