"""The rules that streams are folded by, as the settings have them."""

from infra.settings.values import Settings
from streams.core.limits import Limits
from streams.core.rules import Rules


def rules_of(settings: Settings) -> Rules:
    """The same for whoever folds: workers, and those who fold the log again."""
    return Rules(
        pane_ms=settings.window_seconds * 1000,
        disorder_ms=settings.disorder_seconds * 1000,
        skew_ms=settings.skew_seconds * 1000,
        limits=Limits(
            bundle_events=settings.bundle_events,
            letter_bytes=settings.letter_kb << 10,
            source_letters=settings.source_letters,
        ),
    )
