"""What fuzzing has met so far, again: the corpus of `infra/fuzz`, and what it is made of."""

import random
import shutil
from pathlib import Path

import pytest

from streams.native.build import SOURCE, build
from streams.native.library import Library
from tests.fuzz import corpus
from tests.fuzz.cases import case_of, streams
from tests.fuzz.findings import Findings, found_in, kind_of, shortened, told
from tests.fuzz.judge import judge, made_once
from tests.fuzz.mutate import mutated
from tests.fuzz.replay import differences
from tests.fuzz.seeds import seeds
from tests.fuzz.steps import Form
from tests.fuzz.words import dictionary
from tests.support.engines import library
from tests.support.sanitizers import run_sanitized

# (part of fold.c, what stands there, a defect)
PLANTED = (
    ("json.h", "hour > 23", "hour > 24"),
    ("event.h", "points <= f->rule.high", "points <= f->rule.high + 1"),
    ("batches.h", "r->delta > before &&", "r->delta >= before &&"),
    ("panes.h", "h->duplicates++;", "h->folded++;"),
)


def small_seeds() -> list[bytes]:
    """Those that are folded in no time."""
    return [data for data in seeds() if case_of(data).form is not Form.MANY]


def test_all_that_was_met_is_judged_alike() -> None:
    """Both folds make the same decisions with the same values on each input of the corpus."""
    assert list(differences(library())) == []


def test_nothing_that_was_met_leaves_its_memory(tmp_path: Path) -> None:
    """The same with the sanitizers."""
    done = run_sanitized("tests.fuzz.replay", tmp_path)
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr


def test_each_stream_and_form_is_met() -> None:
    """A stream that is added has seeds in each form, and the fuzzer words of each of its fields."""
    met = {(case.spec.name, case.form) for case in map(case_of, seeds())}
    assert met >= {(spec.name, form) for spec in streams() for form in Form}
    words = dictionary()
    for spec in streams():
        for field in spec.event.__struct_fields__:
            assert "".join(f"\\x{byte:02x}" for byte in f'"{field}":'.encode()).encode() in words


def test_any_bytes_are_a_case() -> None:
    """No input is lost to the fuzzer, and mutations of an input are inputs."""
    rng, some = random.Random(7), [b"", b"\xff", *small_seeds()]
    with made_once():
        for _ in range(2000):
            data = rng.choice(some)
            data = mutated(data, rng) or data + rng.randbytes(9)
            judge(case_of(data), library())
            some.append(data[:900])


@pytest.mark.parametrize(("part", "right", "wrong"), PLANTED)
def test_a_planted_defect_is_found(tmp_path: Path, part: str, right: str, wrong: str) -> None:
    """A fold that is wrong in one place is found by the seeds alone, and told by a shorter input."""
    source = tmp_path / "c"
    shutil.copytree(SOURCE.parent, source)
    text = (source / part).read_text("utf-8")
    assert text.count(right) == 1
    (source / part).write_text(text.replace(right, wrong), "utf-8")
    changed, folder = source / SOURCE.name, tmp_path / "findings"
    broken = Library(build(tmp_path, changed), changed)
    folder.mkdir()
    findings = Findings(folder)
    with made_once():
        for data in small_seeds():
            if kind := kind_of(data, broken):
                findings.add(kind, data)
        path = found_in(folder)[0]
        data = path.read_bytes()
        short = shortened(data, broken)
        assert len(short) <= len(data)
        assert f"{path.stem}: " in "\n".join(told(short, broken))
        assert kind_of(short, library()) is None


def test_the_corpus_is_kept_by_stream(tmp_path: Path) -> None:
    """What is stored is what was met, each input once, in a file for each stream."""
    some = list(seeds())
    corpus.store([*some, *some, b""], tmp_path)
    assert sorted(corpus.stored(tmp_path)) == sorted(set(some))
    assert {path.stem for path in tmp_path.iterdir()} == {spec.name for spec in streams()}
    corpus.store([data for data in some if not data[0]], tmp_path)
    assert [path.stem for path in tmp_path.iterdir()] == [streams()[0].name]
