"""What the executor of a Dask cluster does when; the times are made up."""

import math

from batchq.executors.afar.dask.timetable import ALONE, LOOK, NEWS, Timetable


def test_it_looks_and_asks_now_and_then() -> None:
    times = Timetable(0.0, 60.0)

    assert times.looks(10.0)
    assert times.asks(10.0)
    assert not times.looks(10.1)
    assert not times.asks(10.1)
    assert times.first(10.1, is_busy=True) == 10.0 + NEWS
    assert times.first(10.1, is_busy=False) == 10.0 + LOOK
    assert times.looks(10.0 + LOOK)
    assert times.asks(10.0 + NEWS)


def test_a_scheduler_that_is_gone_is_told_once_and_waited_for() -> None:
    times = Timetable(0.0, 60.0)

    assert times.drifts_off(1.0, is_connected=False)
    assert times.is_adrift
    assert not times.drifts_off(2.0, is_connected=False)
    assert not times.looks(2.0)
    assert times.first(2.0, is_busy=False) < math.inf
    assert not times.gives_up(61.0)
    assert times.gives_up(61.1)


def test_when_it_is_back_its_workers_are_looked_for_at_once() -> None:
    times = Timetable(0.0, 60.0)
    assert times.looks(1.0)
    times.drifts_off(2.0, is_connected=False)

    assert not times.drifts_off(3.0, is_connected=True)
    assert not times.is_adrift
    assert not times.gives_up(100.0)
    assert times.looks(3.0)


def test_a_cluster_without_workers_is_noted_once_each_time_that_it_has_none() -> None:
    times = Timetable(0.0, 60.0)

    assert not times.feels_alone(ALONE - 0.1, has_workers=False)
    assert times.feels_alone(ALONE, has_workers=False)
    assert not times.feels_alone(1000.0, has_workers=False)
    assert not times.feels_alone(1001.0, has_workers=True)
    assert times.feels_alone(1001.0 + ALONE, has_workers=False)
