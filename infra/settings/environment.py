"""Settings read from the `SONGLO_*` variables of an environment."""

import difflib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from infra.settings.values import PREFIX, InvalidSettingError, Settings, UnknownSettingError, variable


def load_settings(environ: Mapping[str, str]) -> Settings:
    """The settings of an environment, every SONGLO_* variable of it checked.

    Raises UnknownSettingError or InvalidSettingError.
    """
    known = {variable(f.name): f for f in fields(Settings)}
    values: dict[str, object] = {"home": _default_home(), "cache": _default_cache(environ)}
    for name, text in environ.items():
        if not name.startswith(PREFIX):
            continue
        if name not in known:
            raise UnknownSettingError(
                f"{name} is no setting{_nearest(name, known)}; `songlo settings` lists them all"
            )
        setting = known[name]
        values[setting.name] = _parse(name, text, setting.default)
    return Settings(**values)  # type: ignore[arg-type]  # _parse gives each the type of its default


def _parse(name: str, text: str, default: object) -> object:
    match default:
        case bool():
            if text.lower() not in ("", "0", "1", "false", "true"):
                raise InvalidSettingError(f"{name}={text}: must be 0 or 1")
            return text.lower() in ("1", "true")
        case int():
            try:
                return int(text)
            except ValueError:
                raise InvalidSettingError(f"{name}={text}: must be a whole number") from None
        case Path():
            if not text:
                raise InvalidSettingError(f"{name} is empty: must be a directory")
            return Path(text).expanduser().absolute()
        case _:
            return text


def _default_home() -> Path:
    root = Path(__file__).resolve().parents[2]
    # beside the code where that is a clone, so that a command works from any directory
    return (root if (root / "pyproject.toml").exists() else Path.cwd()) / ".songlo"


def _default_cache(environ: Mapping[str, str]) -> Path:
    base = environ.get("XDG_CACHE_HOME") or str(Path(environ.get("HOME") or "~").expanduser() / ".cache")
    return Path(base) / "songlo"


def _nearest(name: str, known: Mapping[str, object]) -> str:
    # without the prefix, which makes all names alike
    names = [k.removeprefix(PREFIX) for k in known]
    near = difflib.get_close_matches(name.removeprefix(PREFIX), names, n=1, cutoff=0.6)
    return f", did you mean {PREFIX}{near[0]}?" if near else ""
