"""Children are restarted when they die, told apart when they can't start, and never outlive their parent."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.stack.process.children import Children
from infra.stack.process.service import LOG_BYTES, ROOT, ChildError, Running, Service, last_lines, rotate
from infra.stack.process.state import started
from tests.support.waiting import eventually

SLEEP = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"


def python(code: str) -> list[str]:
    """A command that starts fast."""
    return [sys.executable, "-I", "-S", "-c", code]


def says_up(log: Path) -> bool:
    """Whether the child has come as far as its first line."""
    return log.exists() and "up" in log.read_text(encoding="utf-8")


@pytest.fixture
def children() -> Iterator[Children]:
    """Children that are stopped at the end, whatever the test did."""
    made = Children()
    yield made
    made.stop()


def one(children: Children) -> Running:
    """The only child, once it has a process."""
    (running,) = eventually(children.running)
    return running


def test_a_killed_child_comes_back(children: Children, tmp_path: Path) -> None:
    """kill -9 costs a child its process, not its place."""
    log = tmp_path / "child.log"
    children.start([Service(name="child", command=python(SLEEP), log=log, well=lambda _: says_up(log))])
    children.wait_ready(["child"], 20)
    before = one(children)
    os.kill(before.pid, signal.SIGKILL)
    after = eventually(lambda: [r for r in children.running() if r.restarts == 1 and r.ready])[0]
    assert before.restarts == 0
    assert after.pid != before.pid


def test_who_waits_hears_why_a_child_does_not_start(children: Children, tmp_path: Path) -> None:
    """The error names the exit status and ends with the log's last line."""
    log = tmp_path / "child.log"
    broken = python("print('no such luck', flush=True); raise SystemExit(3)")
    children.start([Service(name="child", command=broken, log=log, well=lambda _: False, give_up_after=2)])
    with pytest.raises(ChildError, match=r"child does not start \(exit status 3\)(.|\n)*no such luck"):
        children.wait_ready(["child"], 20)


def test_a_fatal_status_is_told_at_once(children: Children, tmp_path: Path) -> None:
    """A child that knows that it can't go on is believed the first time, and tried again only slowly."""
    log = tmp_path / "child.log"
    broken = python("raise SystemExit(3)")
    children.start([Service(name="child", command=broken, log=log, well=lambda _: False, fatal_status=3)])
    with pytest.raises(ChildError, match="exit status 3"):
        children.wait_ready(["child"], 20)
    assert children.running() == []


def test_a_status_with_a_meaning_is_told(
    children: Children, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """When it is started again, and afterwards to who asks."""
    log, once = tmp_path / "child.log", tmp_path / "once"
    first = f"import pathlib, sys; p = pathlib.Path({str(once)!r})\nif not p.exists(): p.touch(); sys.exit(4)"
    code = f"{first}\n{SLEEP}"
    children.start(
        [
            Service(
                name="child", command=python(code), log=log, well=lambda _: says_up(log),
                statuses={4: "it stood still"},
            )
        ]
    )  # fmt: skip
    children.wait_ready(["child"], 20)
    assert one(children).ended == "exit status 4: it stood still"
    assert "child ended (exit status 4: it stood still); starting it again in 0.2 s" in caplog.text


def test_a_child_that_is_not_ready_in_time_is_named(children: Children, tmp_path: Path) -> None:
    """A child that lives and is not well is no success."""
    children.start(
        [
            Service(
                name="dull",
                command=python(SLEEP),
                log=tmp_path / "log",
                well=lambda _: False,
                grace_seconds=1,
            )
        ]
    )
    with pytest.raises(ChildError, match="dull is not ready after 0 s"):
        children.wait_ready(["dull"], 0.2)


def test_a_child_that_can_not_be_prepared_is_tried_again(children: Children, tmp_path: Path) -> None:
    """What a child lacks may come."""
    tries: list[int] = []

    def prepare() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise ChildError("not yet")

    children.start([Service(name="child", command=python(SLEEP), log=tmp_path / "log", prepare=prepare)])
    children.wait_ready(["child"], 20)
    assert len(tries) == 3


def test_a_child_that_is_done_stays_done(children: Children, tmp_path: Path) -> None:
    """`once` with exit status 0 is the end of it."""
    runs, log = tmp_path / "runs", tmp_path / "log"
    code = f"open({str(runs)!r}, 'a').write('x')"
    other = Service(name="other", command=python(SLEEP), log=log)
    children.start([Service(name="once", command=python(code), log=log, once=True), other])
    eventually(lambda: runs.exists() and [r.name for r in children.running()] == ["other"])
    assert runs.read_text(encoding="utf-8") == "x"


def test_a_hung_child_is_killed(children: Children, tmp_path: Path) -> None:
    """A child that was well and stays unwell is replaced."""
    log, sick = tmp_path / "log", tmp_path / "sick"
    children.start(
        [
            Service(
                name="child",
                command=python(SLEEP),
                log=log,
                well=lambda _: not sick.exists(),
                hung_seconds=0.1,
            )
        ]
    )
    children.wait_ready(["child"], 20)
    before = one(children).pid
    sick.touch()
    eventually(lambda: started(before) is None)
    sick.unlink()
    eventually(lambda: [r for r in children.running() if r.ready and r.pid != before])


def test_stop_is_in_order_and_final(tmp_path: Path) -> None:
    """The last started stops first; who ignores SIGTERM is killed when its grace is over."""
    order = tmp_path / "order"
    polite = (
        "import signal, sys, time\n"
        f"leave = lambda *_: (open({str(order)!r}, 'a').write(sys.argv[1]), sys.exit())\n"
        "signal.signal(signal.SIGTERM, leave)\n"
        "print('up', flush=True); time.sleep(600)"
    )
    logs = {name: tmp_path / f"{name}.log" for name in ("first", "second", "third")}

    def service(name: str, command: list[str]) -> Service:
        log = logs[name]
        return Service(name=name, command=command, log=log, well=lambda _: says_up(log), grace_seconds=0.5)

    children = Children()
    children.start([service("first", [*python(polite), "1"]), service("second", python(STUBBORN))])
    children.start([service("third", [*python(polite), "3"])])
    children.wait_ready(list(logs), 20)
    pids = [r.pid for r in children.running()]
    children.stop()
    assert order.read_text(encoding="utf-8") == "31"
    assert [started(pid) for pid in pids] == [None, None, None]


def test_children_die_with_a_killed_parent(tmp_path: Path) -> None:
    """kill -9 of the parent leaves no orphan, not even one that ignores SIGTERM."""
    code = (
        "import sys, time; from pathlib import Path; from infra.stack.process.children import Children; "
        "from infra.stack.process.service import Service; c = Children(); "
        f"c.start([Service(name='child', command={python(STUBBORN)!r}, log=Path(sys.argv[1]))]); "
        "c.wait_ready(['child'], 20); print(c.running()[0].pid, flush=True); time.sleep(600)"
    )
    log = tmp_path / "log"
    parent = subprocess.Popen([sys.executable, "-c", code, str(log)], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        eventually(lambda: says_up(log))
        assert started(child) is not None
    finally:
        parent.kill()
        parent.communicate()
    eventually(lambda: started(child) is None, 5)


def test_a_large_log_is_put_aside(tmp_path: Path) -> None:
    """Two files of bounded size are kept, the newest last."""
    log = tmp_path / "child.log"
    log.write_bytes(b"x" * LOG_BYTES)
    rotate(log)
    assert log.exists()
    log.write_bytes(b"x" * (LOG_BYTES + 1))
    rotate(log)
    assert not log.exists()
    assert (tmp_path / "child.log.1").stat().st_size == LOG_BYTES + 1


def test_the_last_lines_of_a_log(tmp_path: Path) -> None:
    """An error shows the end of a log, and nothing of one that isn't there."""
    log = tmp_path / "child.log"
    log.write_text("".join(f"line {n}\n" for n in range(5000)), encoding="utf-8")
    shown = last_lines(log).splitlines()
    assert shown[1:3] == [f"  {log}:", "  line 4988"]
    assert shown[-1] == "  line 4999"
    assert last_lines(tmp_path / "none") == ""
