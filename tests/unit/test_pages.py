"""What the pages for readers show is there: commands with their options, and the files that they link to."""

import re
import shlex
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import click
import pytest

from infra.cli import cli
from infra.settings.values import Settings, variable

ROOT = Path(__file__).parents[2]
PAGES = sorted(ROOT.glob("README.md")) + sorted(ROOT.glob("*/README.md"))
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:infra/)?songlo [a-z][^`]*)`")
LINK = re.compile(r"\]\(([^)#]+)\)")
SETTING = re.compile(r"SONGLO_[A-Z_]+")
# words that stand for something of the reader's
STANDS_FOR = {"STREAM": "camera", "…": "", "events.ndjson": __file__, "wrong.ndjson": __file__}


def commands(page: Path) -> Iterator[list[str]]:
    """Each command of Songlo's that a page shows, as words."""
    text = page.read_text(encoding="utf-8")
    for block in [*BLOCK.findall(text), *INLINE.findall(BLOCK.sub("", text))]:
        for line in _lines(block):
            words = shlex.split(line, comments=True)
            for separator, part in groupby(words, key=lambda word: word in ("|", ";", "&&")):
                if not separator:
                    yield from _of_songlo(list(part))


def _lines(block: str) -> Iterator[str]:
    """The lines of a block; a newline within quotes does not end one."""
    line = ""
    for more in block.splitlines():
        line += more
        try:
            shlex.split(line, comments=True)
        except ValueError:
            line += "\n"
        else:
            yield line
            line = ""
    assert not line, f"a quote is open: {line}"


def _of_songlo(words: list[str]) -> Iterator[list[str]]:
    while words and ("=" in words[0] or words[0] == "time"):
        words = words[1:]
    if words and words[0] in ("songlo", "infra/songlo"):
        yield [STANDS_FOR.get(word, word) for word in words[1:] if STANDS_FOR.get(word, word)]


def check(words: list[str]) -> None:
    """Raise click.UsageError where there is no such command, or it has no such options."""
    command: click.Command = cli
    context = click.Context(cli, info_name="songlo")
    while isinstance(command, click.Group) and words:
        name, found, words = command.resolve_command(context, words)
        assert found is not None
        command, context = found, click.Context(found, parent=context, info_name=name)
    command.parse_args(context, words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_is_there(page: Path) -> None:
    """Its name, its options and its arguments are those that the command line takes."""
    for words in commands(page):
        try:
            check(words)
        except click.UsageError as error:
            # a command that is only named need not be whole
            if not isinstance(error, click.MissingParameter):
                pytest.fail(f"{page.relative_to(ROOT)}: songlo {' '.join(words)}: {error.format_message()}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_and_setting_of_a_page_is_there(page: Path) -> None:
    """Files that it links to, and settings that it names."""
    text = page.read_text(encoding="utf-8")
    links = [link for link in LINK.findall(text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
    known = {variable(name) for name in Settings.__dataclass_fields__} | {"SONGLO_TEST_STACK"}
    assert sorted({name for name in SETTING.findall(text) if name not in known}) == []


def test_a_wrong_command_is_found() -> None:
    """The check itself fails where it should."""
    for words in (["nothing"], ["lag", "--nothing"], ["dlq", "nothing"], ["resume", "nothing"]):
        with pytest.raises(click.UsageError):
            check(words)
    assert len(PAGES) > 4
    assert sum(len(list(commands(page))) for page in PAGES) > 40
