"""What a log is made of, for the fuzzer to put in: from the schemas, so that a new stream joins by itself."""

from collections.abc import Iterator
from itertools import product

from schemas.fields import FieldRule, Kind, field_rules
from tests.fuzz.cases import CUT, streams
from tests.fuzz.steps import END, FLUSH, FOLD, GAP, KEY, NOW_MS, NULL, RESTART, UNREAD

LITERALS = (
    "null", "true", "false", "nul", "NaN", "Infinity", "-Infinity", "[]", "{}", "[[]]", '{"":0}', "//",
    "/**/",
)  # fmt: skip
# as JSONTestSuite has them: what parsers take or refuse by mistake
NUMBERS = (
    "0", "-0", "-1", "1", "00", "-01", "+1", ".5", "1.", "1.5", "0.1", "1e1", "1E+2", "0e1", "1e-2", "0.0005",
    "2.0005", "1e400", "-1e400", "1e-400", "0x1", "1_0", "9007199254740993", "0.30000000000000004",
    "1.7976931348623157e308", "999999999999999999", "9223372036854775807", "9223372036854775808",
    "-9223372036854775808", "18446744073709551616", "0.0000000000000000001", "123456789.123456789012",
    "5e-324", "1.0", "2.00000000000000000001", "4.0005", "59.9995",
)  # fmt: skip
TEXTS = (
    "a", "", "xe máy", "ỷ", "é", "Ω", "漢", "😀", "\u00a0", "\u200b", "\ufeff", "\x7f", "\\u0041", "\\u0000",
    "\\ud800", "\\ud83d\\ude00", "\\/", "\\n", "\\x", "\x00", "\n", "e" * 24, "e" * 25, "e" * 33, "e" * 129,
    "é" * 64, "e" * 241,
)  # fmt: skip
MOMENTS = (
    "2025-05-01T02:00:00.123Z", "2025-05-01T09:00:00.123+07:00", "2025-05-01T02:00:00Z",
    "2025-05-01T02:00:00.1234567Z", "30ab-05-13T08:00:00Z", "2024-02-29T23:59:59Z", "2025-02-29T00:00:00Z",
    "2025-04-30T24:00:00Z", "2025-05-01T02:00:60Z", "2025-05-01T02:00:00", "2025-05-01T02:00:00z",
    "2025-05-01 02:00:00Z", "2025-05-01T02:00:00-00:00", "2025-05-01T02:00:00+14:59",
    "2025-05-01T02:00:00,5Z", "2000-01-01T00:00:00Z", "1999-12-31T23:59:59Z", "2099-12-31T23:59:59.999999Z",
    "2100-01-01T00:00:00Z", "20/5-05-01T02:00:00Z", "2025-05-01T02:00:00.Z",
)  # fmt: skip
RAW = (
    b"\x80",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x98",
    b"\xc0\xaf",
    b"\xef\xbb\xbf",
    b"\xff",
    b" ",
    b"\t",
    b"\r\n",
)
# as Kafka reads them and as it doesn't: excess bits, bytes that add nothing, too many bytes
VARINTS = (
    b"\x80\x80\x80\x80\x10", b"\x80\x80\x80\x80\x20", b"\xff\xff\xff\xff\x0f", b"\xfe\xff\xff\xff\x0f",
    b"\x80\x80\x80\x80\x80\x01", b"\x80" * 9 + b"\x01", b"\x80" * 9 + b"\x02", b"\x80" * 10 + b"\x01",
    b"\x81\x80\x00", b"\x80\x00", b"\x01", b"\xff\x7f",
)  # fmt: skip
AFTER = (END, END | FOLD, END | FOLD | FLUSH, END | FOLD | FLUSH | RESTART)


def dictionary() -> bytes:
    """All words, as libFuzzer reads them."""
    cuts = product(AFTER, (0, NULL, GAP, UNREAD, KEY), (0, 4, 10))
    written = {*VARINTS, *RAW, *(CUT + bytes([after | like, choice]) for after, like, choice in cuts)}
    written.update(text.encode() for text in (*LITERALS, *NUMBERS, *TEXTS, *map('"{}"'.format, MOMENTS)))
    written.update(
        str(NOW_MS + by).encode() for by in (0, 1, -1, 60_000, -60_000, 300_000, 300_001, -3_600_000)
    )
    for spec in streams():
        for rule in field_rules(spec.event):
            written.add(f'"{rule.name}":'.encode())
            written.update(values_of(rule))
    return b"".join(b'"%s"\n' % b"".join(b"\\x%02x" % byte for byte in w) for w in sorted(written) if w)


def values_of(rule: FieldRule) -> Iterator[bytes]:
    """Values at a field's bounds and beyond, as JSON."""
    match rule.kind:
        case Kind.LITERAL:
            yield from (f'"{choice}"'.encode() for choice in rule.choices)
        case Kind.INTEGER | Kind.NUMBER:
            for bound in (rule.low, rule.high):
                yield from (str(bound + by).encode() for by in (-1, 0, 1) if abs(bound) < 2**62)
        case Kind.TEXT:
            for size in {rule.low, rule.high, rule.high + 1} - {0}:
                yield from (b'"%s"' % (b"t" * int(size)) for _ in range(size < 300))
