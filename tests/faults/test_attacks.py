"""Each attack of the table stands for tests that there are."""

import re
from pathlib import Path

from attacks import ATTACKS, attack_of

pytest_plugins = ("figures",)

TESTS = Path(__file__).parent.parent


def test_each_attack_names_tests_that_there_are() -> None:
    for attack in ATTACKS:
        for named in attack.tests:
            file, _, function = named.partition("::")
            assert re.search(rf"^def {function or 'test_'}", (TESTS / file).read_text(), re.MULTILINE), named


def test_a_test_that_is_named_comes_before_its_file() -> None:
    trust = "tests/contract/test_trust.py"
    planted = f"{trust}::test_what_another_user_puts_beside_a_store_is_not_taken_over[511--wal]"

    assert str(attack_of(planted)).startswith("S44 ")
    assert str(attack_of(f"{trust}::test_a_folder_of_a_third_user_needs_trust")).startswith("S45 ")
    assert attack_of("tests/unit/test_clock.py::test_it") is None
