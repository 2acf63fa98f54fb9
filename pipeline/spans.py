"""Lengths of time as people write them, and times relative to a column.

``"3h"``, ``"30d"``, ``"62 days"``, ``"1 month"``; ``"time_hour - 3h"``. Hours, minutes and seconds are exact;
a day is exactly 24 hours and a week seven of them (a delay is a length, not a date); a month or a year is a
calendar step in the pipeline's time zone and therefore cannot be used where an exact length is needed.
"""
