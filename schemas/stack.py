"""Room for recursion, whoever calls."""

from collections.abc import Callable
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def on_enough_stack(function: Callable[[bytes], T], value: bytes) -> T:
    """Call, if need be again on a fresh stack: how deep JSON may nest must not depend on who calls."""
    try:
        return function(value)
    except RecursionError:
        answer: list[T | Exception] = []

    def run() -> None:
        try:
            answer.append(function(value))
        except Exception as error:  # noqa: BLE001 raised again where it is waited for
            answer.append(error)

    thread = Thread(target=run, name="schemas-fresh-stack")
    thread.start()
    thread.join()
    if isinstance(answer[0], Exception):
        raise answer[0]
    return answer[0]
