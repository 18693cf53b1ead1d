"""The attacks on batchq that are tried all over the tests, for the table of ``figures``: which tests stand for which row.

A test is one trial, as often as it is parametrized; the suites of this folder enter what they do by themselves.
"""

from typing import NamedTuple


class Attack(NamedTuple):
    """A row of the table: what is attacked, and the tests that do it: whole files, or ``FILE::TEST``."""

    suite: str
    tests: tuple[str, ...]


ATTACKS = (
    Attack("S41 files of a store moved, cut or replaced in use", (
        "contract/test_belonging.py::test_a_store_that_is_replaced_under_a_run_ends_it_and_is_not_mixed",
        "contract/test_belonging.py::test_a_file_that_was_overwritten_is_noticed_before_the_next_write_and_at_the_close",
        "contract/test_belonging.py::test_checkpoints_vacuums_and_touches_of_others_are_no_alarm",
        "contract/test_connection.py",
        "contract/test_restore.py",
        "e2e/test_outage.py",
    )),
    Attack("S42 logs of others, and copies of stores", (
        "contract/test_belonging.py",
        "contract/test_backup.py",
    )),
    Attack("S43 root below the store of another user", (
        "contract/test_trust.py::test_root_does_not_use_a_store_of_another_user_that_it_found_on_the_way_up",
        "contract/test_trust.py::test_a_link_of_another_user_to_a_store_is_not_followed_on_the_way_up",
    )),
    Attack("S44 -wal, -shm and -journal planted by another user", (
        "contract/test_trust.py::test_what_another_user_puts_beside_a_store_is_not_taken_over",
        "contract/test_trust.py::test_a_side_file_that_is_not_a_file_or_that_others_can_write_is_refused",
    )),
    Attack("S45 stores of other users, or that others can write", (
        "contract/test_trust.py",
        "contract/test_places.py",
        "contract/test_hostile.py::test_a_store_that_others_can_write_is_not_run_and_looking_warns",
        "contract/test_hostile.py::test_a_store_of_another_user_is_not_written_and_looking_warns",
    )),
    Attack("S46 foreign objects and values in a store, on a terminal", (
        "contract/test_values.py",
        "contract/test_hostile.py",
        "contract/test_looking.py::test_hostile_output_reaches_nobody_unescaped",
    )),
    Attack("S47 another name of the machine, containers, hidden processes", (
        "contract/test_who_lives.py",
        "processes/test_remains.py",
        "processes/test_private_folder.py::test_where_proc_is_that_of_another_namespace_nobody_elses_process_is_touched",
    )),
    Attack("S48 mischief of commands and callables", (
        "processes/test_process_tree.py",
        "processes/test_process_endings.py",
        "processes/test_what_outlives_a_job.py",
    )),
    Attack("S49 what a callable changes for the next", (
        "processes/test_pairs.py",
        "processes/test_callables_alone.py",
        "processes/test_settings.py",
    )),
    Attack("S50 runs inside jobs", ("e2e/test_inside_a_job.py",)),
    Attack("S51 closed descriptors and full devices", ("processes/test_bare_surroundings.py",)),
    Attack("S52 odd surroundings: limits, variables, namespaces", ("processes/test_odd_surroundings.py",)),
    Attack("S53 odd paths of a store", ("e2e/test_odd_paths.py",)),
    Attack("S54 hostile values of --each and matrix", ("e2e/test_each.py",)),
    Attack("S55 secrets, and files for their owner alone", (
        "contract/test_looking_closely.py::test_show_prints_everything_about_a_job_except_secrets",
        "contract/test_creation.py::test_a_store_is_private_whatever_the_umask",
        "e2e/test_events.py::test_events_are_for_their_owner_alone",
        "processes/test_logs.py::test_nothing_that_was_planted_gets_a_log",
    )),
    Attack("S56 modules in the folder of a job or a handler", (
        "processes/test_callables_apart.py::test_a_module_in_the_folder_of_a_job_does_not_break_its_worker",
        "e2e/test_events.py::test_modules_in_the_folder_of_a_handler_never_take_the_place_of_what_a_run_needs",
    )),
    Attack("S57 inputs without end", ("e2e/test_input_without_end.py",)),
    Attack("S58 very many jobs, long chains, circles", ("contract/test_scale.py", "contract/test_slices.py")),
    Attack("S59 readers in the way of checkpoints", ("contract/test_checkpoint.py",)),
    Attack("S60 a run of very many jobs", ("processes/test_leaks.py",)),
    Attack("S61 signals of all kinds to a run", (
        "processes/test_one_stop.py",
        "processes/test_signals_to_a_run.py",
    )),
    Attack("S62 workers, sites, bridges, schedulers of Dask", (
        "engines/test_cut_lines.py",
        "engines/test_dask.py",
        "engines/test_dask_ends.py",
        "engines/test_dask_stalls.py",
        "engines/test_dask_workers.py",
    )),
    Attack("S63 random kills on a cluster of Dask", ("engines/test_dask_soak.py",)),
    Attack("S64 hosts and carriers that die, hang or lie", (
        "engines/test_clocks.py",
        "engines/test_elsewhere.py",
        "engines/test_hanging_ways.py",
        "engines/test_slurm.py",
        "engines/test_ssh.py",
        "engines/test_stalls_elsewhere.py",
    )),
    Attack("S65 pools that break, repeat, hang or are killed", (
        "engines/test_broken_pools.py",
        "engines/test_pools.py",
        "engines/test_what_pools_leave.py",
    )),
)  # fmt: skip


def attack_of(test: str) -> str | None:
    """The row of a test; one that is named itself comes before its file."""
    file, _, name = test.removeprefix("tests/").partition("::")
    function = f"{file}::{name.partition('[')[0]}"
    for wanted in (function, file):
        for attack in ATTACKS:
            if wanted in attack.tests:
                return attack.suite
    return None
