"""What commands share: settings, JSON answers, and errors as one line that says what to do."""

import os
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import click
import orjson

from infra.settings.environment import load_settings
from infra.settings.values import Settings, SettingsError

P = ParamSpec("P")
R = TypeVar("R")

FAILED, USAGE, INTERRUPTED = 1, 2, 130
MAX_MESSAGE = 600
_MIGRATE = "; create it with `songlo migrate`"


class CommandError(click.ClickException):
    """A command failed for a reason that the user can act on: one line, exit status 1."""


def pass_settings(function: Callable[Concatenate[Settings, P], R]) -> Callable[P, R]:
    """Give a command the settings as its first argument.

    Read when the command runs, so that `--help` works under settings that don't.
    """

    @wraps(function)
    def with_settings(*args: P.args, **kwargs: P.kwargs) -> R:
        given = click.get_current_context().obj
        settings = given if isinstance(given, Settings) else load_settings(os.environ)
        return function(settings, *args, **kwargs)

    return with_settings


json_option = click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for scripts.")


def echo_json(value: Any) -> None:
    """One JSON value on stdout, one line."""
    click.echo(orjson.dumps(value, default=str))


def run(cli: click.Command, args: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status; errors become one line on stderr.

    SONGLO_DEBUG=1 lets them through with their traceback.
    """
    debug = os.environ.get("SONGLO_DEBUG", "").lower() in ("1", "true")
    try:
        status = cli.main(args=args, prog_name="songlo", standalone_mode=False)
    except click.UsageError as e:
        # by hand: click would print its usage lines around the message
        help_for = e.ctx.command_path if e.ctx else "songlo"
        return _fail(f"{e.format_message()} (see `{help_for} --help`)", USAGE)
    except click.ClickException as e:
        return _fail(e.format_message(), e.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # the reader has left, as `| head` does; nothing more may be written, not even at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as e:
        if debug:
            raise
        return _fail(explain(e), USAGE if isinstance(e, SettingsError) else FAILED)
    return status if isinstance(status, int) else 0


def explain(error: Exception) -> str:
    """An error as one line; the type is named where it is not one of this project's own."""
    text = " ".join(str(error).split())
    if len(text) > MAX_MESSAGE:
        text = text[:MAX_MESSAGE] + " …"
    ours = type(error).__module__.split(".")[0] in ("schemas", "streams", "sinks", "infra", "tests")
    if ours and text:
        return text + (_MIGRATE if "UNKNOWN_DATABASE" in text else "")
    return f"{type(error).__name__}: {text} (SONGLO_DEBUG=1 shows where)"


def _fail(message: str, status: int) -> int:
    click.echo(f"songlo: {message}", err=True)
    return status
