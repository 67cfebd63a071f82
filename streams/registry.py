"""The streams that this tree defines: every module of `streams.catalog` that has a `SPEC`."""

from importlib import import_module
from pkgutil import iter_modules

from streams import catalog
from streams.spec import SpecError, StreamSpec


def load_streams() -> dict[str, StreamSpec]:
    """All stream definitions by name, in the order of their names.

    Raises SpecError when a module has no SPEC, or when two streams share a name, topic, table or view.
    """
    specs: dict[str, StreamSpec] = {}
    for module in sorted(m.name for m in iter_modules(catalog.__path__)):
        spec = getattr(import_module(f"{catalog.__name__}.{module}"), "SPEC", None)
        if not isinstance(spec, StreamSpec):
            raise SpecError(f"streams/catalog/{module}.py: define SPEC = StreamSpec(...)")
        for other in specs.values():
            for part in ("name", "topic", "table", "view"):
                if getattr(other, part) == getattr(spec, part):
                    raise SpecError(
                        f"streams {other.name} and {spec.name} share the {part} {getattr(spec, part)!r}"
                    )
        specs[spec.name] = spec
    return specs
