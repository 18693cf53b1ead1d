"""The screens in docs are what a terminal shows."""

import time

import pytest
from conftest import Shell
from screens import SCREENS, documented, masked


@pytest.mark.parametrize("name", SCREENS)
def test_a_screen_in_docs_is_what_a_terminal_shows(batchq: Shell, name: str) -> None:
    for number, look in enumerate(SCREENS[name](batchq), 1):
        key = name if number == 1 else f"{name}-{number}"
        expected, until = masked(documented()[key]), time.monotonic() + 60
        while masked(screen := look()) != expected and time.monotonic() < until:
            time.sleep(0.05)  # it is not drawn all at once
        assert expected == masked(screen), f"{key}:\n{screen}"


def test_docs_have_no_other_screens() -> None:
    assert {key.partition("-")[0] for key in documented()} == set(SCREENS)


def test_a_screen_that_differs_would_be_noticed() -> None:
    assert masked(" ━━╸──  1 of 4, 2 running, 1.0/s, 3 s, 2 s left") == masked(" ━╸──  1 of 4, 2 running, 4 s")
    assert masked("jobs 1, 2, 08:23:26 to 08:23:48") == masked("jobs 1, 2, 08:23:48") != masked("jobs 1, 2")
    assert masked("1 of 4, 2 running") != masked("1 of 4, 3 running")
