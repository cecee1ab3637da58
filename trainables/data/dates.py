"""Dates in a column of a table: found by how they are written, and taken apart into numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pandas import Series

ISO = "ISO8601"
COMPACT = "%Y%m%d"
_YEARS = (1700, 2200)
"""Years of which numbers are taken for dates."""
_FIRST_WEEKDAY = 3
"""That of 1970's first day, from Monday as 0."""
_SAMPLED = 40
_MOST_OTHERS = 0.1
"""Share of other values among dates."""
_FEWEST_COMPACT = 3
"""Different whole numbers that are taken for dates; fewer may be dates by chance."""
_MONTHS = tuple(
    form.replace("%b", month)
    for month in ("%b", "%B")
    for form in ("%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%d/%b/%Y", "%d. %b %Y", "%b %d, %Y", "%b %d %Y", "%b %Y")
)
_FORMATS = (
    *(f"%Y{sign}%m{sign}%d" for sign in "-/."),
    *(form.replace("/", sign) for sign in "/-" for form in ("%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y")),
    *("%d.%m.%Y", "%d.%m.%y", "%m/%Y", "%Y/%m"),
    *_MONTHS,
)
_ISO = re.compile(r"\d{4}-\d{2}(-\d{2}([T ].+)?)?|\d{8}(T\d{4,6})?")
_LIKE = re.compile(r"(?=.*\d.*\d.*\d)(?:\w+[-/., ]+)+\w+(?:[T ,]+\d{1,2}:\d{2}.*)?|\d{8}(T\d{4,6})?")
_LONGEST = 50
_WEEKDAY = re.compile(r"(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? ", re.IGNORECASE)
_ZONE = re.compile(r" ?(?:UTC|GMT)$")
_TIME = re.compile(
    r"(?P<gap>T|,? )(?P<hour>\d{1,2}):\d{2}(?P<second>:\d{2})?(?P<part>\.\d{1,6})?(?P<noon> ?[AP]M)?"
    r"(?P<zone> ?(?:Z|[+-]\d{2}:?\d{2}))?$",
    re.IGNORECASE,
)


def find_formats(texts: Sequence[str]) -> tuple[str, ...]:
    """Formats by which most of different texts are dates, those of more of them first; () for other texts."""
    sample = [_bare(text) for text in texts[:: max(1, len(texts) // _SAMPLED)]]
    if not _mostly([len(text) < _LONGEST and _LIKE.fullmatch(text) is not None for text in sample]):
        return ()
    times = sorted({_time_format(text) for text in sample})
    forms = [ISO, *(date + time for date, time in product(_FORMATS, times))]
    fitting = {form: _in_range(text_days(sample, form)) for form in forms}
    if not _mostly(np.any(list(fitting.values()), axis=0)):
        return ()
    found = [form for form in forms if fitting[form].any()]
    return tuple(sorted(found, key=lambda form: -int(fitting[form].sum())))


def are_compact(values: np.ndarray) -> bool:
    """True for different whole numbers (N,) that are all dates in the form 20240131."""
    low, high = (year * 10_000 for year in _YEARS)
    if len(values) < _FEWEST_COMPACT or not ((values >= low) & (values < high) & (values % 1 == 0)).all():
        return False
    return bool(_in_range(text_days([str(int(value)) for value in values], COMPACT)).all())


def text_days(texts: Sequence[str], form: str) -> np.ndarray:
    """Days since 1970 in UTC (N,), float64; NaN for a text of another form."""
    import pandas as pd

    bare = pd.Series([_bare(text) for text in texts], dtype=object)
    if form == ISO:
        bare = bare.where(bare.str.fullmatch(_ISO))
    return stamp_days(pd.to_datetime(bare, format=form, utc=True, errors="coerce"))


def stamp_days(stamps: Series) -> np.ndarray:
    """Days since 1970 in UTC (N,), float64, of dates, times of dates, or objects of Python's datetime."""
    import pandas as pd

    stamps = pd.to_datetime(stamps, utc=True, errors="coerce")
    days: np.ndarray = ((stamps - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1)).to_numpy(np.float64)
    return days


def features(days: np.ndarray, first: float, fill: float, times: bool) -> np.ndarray:
    """(N, 5), or with times of the day (N, 7): days since `first`, sine and cosine of the place in the year, in the
    week, in the day. A missing date has `fill` as day, and is at no place."""
    known = ~np.isnan(days)
    days = np.where(known, days, fill)
    whole = np.floor(days)
    dates = whole.astype("M8[D]")
    years = dates.astype("M8[Y]")
    begins, ends = years.astype("M8[D]"), (years + 1).astype("M8[D]")
    shares = [(dates - begins) / (ends - begins), (whole + _FIRST_WEEKDAY) % 7 / 7, *([days - whole] if times else [])]
    angles = 2 * np.pi * np.array(shares)
    places = np.where(known, [turn for angle in angles for turn in (np.sin(angle), np.cos(angle))], 0)
    return np.column_stack([days - first, *places])


def _bare(text: str) -> str:
    """Without the name of the weekday, and with Z for UTC."""
    return _ZONE.sub("Z", _WEEKDAY.sub("", text.strip(), count=1))


def _time_format(text: str) -> str:
    found = _TIME.search(text)
    if not found:
        return ""
    space = {name: " " if (found[name] or "").startswith(" ") else "" for name in ("noon", "zone")}
    hour, noon = ("%I", f"{space['noon']}%p") if found["noon"] else ("%H", "")
    seconds = (":%S" if found["second"] else "") + (".%f" if found["part"] else "")
    return f"{found['gap']}{hour}:%M{seconds}{noon}" + (f"{space['zone']}%z" if found["zone"] else "")


def _in_range(days: np.ndarray) -> np.ndarray:
    low, high = (
        float((np.datetime64(str(year)) - np.datetime64("1970")).astype("m8[D]").astype(int)) for year in _YEARS
    )
    return (days >= low) & (days < high)


def _mostly(fitting: Sequence[bool] | np.ndarray) -> bool:
    return bool(len(fitting)) and float(np.mean(fitting)) >= 1 - _MOST_OTHERS
