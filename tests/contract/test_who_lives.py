"""Who lives is the kernel's word: what decides whether the jobs of a runner whose byte is free can still run somewhere."""

from history import NOW, add, claim

from batchq.report import explanation, undone
from batchq.store.file.connection import Store
from batchq.store.looking import obstacles, reasons
from batchq.store.running import rescue
from batchq.store.running.rescue import Here, hiding

HERE = Here("this boot", "pid:[1]", lambda: True, lambda pid, born: False, lambda namespace: False)
FAR = HERE._replace(is_local=lambda: False)


def test_the_same_namespace_is_seen_and_another_boot_is_over() -> None:
    assert hiding("this boot", "pid:[1]", 40, HERE) is None
    assert hiding("an earlier boot", "pid:[2]", 40, HERE) is None


def test_on_a_network_file_system_another_boot_may_be_another_machine() -> None:
    assert hiding("another boot", "pid:[1]", 40, FAR) == "machine"
    assert hiding("this boot", "pid:[1]", 40, FAR) is None, "its lock was seen here"
    assert hiding(rescue.ELSEWHERE, "pid:[1]", 40, FAR) is None, "it was a runner of the store that was copied"


def test_another_container_hides_what_it_runs_unless_its_first_process_died_or_it_can_be_looked_into() -> None:
    assert hiding("this boot", "pid:[2]", 40, HERE) == "container"
    assert hiding("this boot", "pid:[2]", 1, HERE) is None
    assert hiding("this boot", "pid:[2]", 40, HERE._replace(sees=lambda namespace: namespace == "pid:[2]")) is None


def test_what_the_machine_is_called_decides_nothing(store: Store) -> None:
    add(store, "true")
    claim(store)
    with store.writing() as db:
        db.execute("UPDATE runners SET host = 'elsewhere', boot_id = 'this boot', namespace = 'pid:[1]', born = 5")

    (gone,) = rescue.lost_runners(store, here=HERE)
    assert gone.hidden_in is None
    assert not rescue.lost_runners(store, here=HERE._replace(lives=lambda pid, born: (pid, born) == (1, 5)))
    rescue.rescue(store, gone, 0)


def test_a_job_that_may_live_unseen_is_not_promised_to_the_next_run(store: Store) -> None:
    add(store, "true")
    claim(store)
    with store.writing() as db:
        db.execute("UPDATE runners SET boot_id = 'this boot', namespace = 'pid:[2]', guardian = 40")
    facts = reasons.gather(store, 1, HERE)
    (why,) = obstacles.in_the_way(store, ((1, 1),), HERE)
    (told,) = explanation.explain(facts, NOW, "batchq")

    assert (why.reason, why.jobs) == ("hidden", [1])
    assert "from here batchq cannot see whether the job still runs" in told.text
    assert "'batchq doctor --rescue 1'" in told.text
    assert "from here batchq cannot see whether it still runs" in undone.reason(why, "batchq")
    seeing = HERE._replace(sees=lambda namespace: True)
    (seen,) = explanation.explain(reasons.gather(store, 1, seeing), NOW, "batchq")
    assert seen.text == "its run died: the next 'batchq run' takes it back"
    assert [one.reason for one in obstacles.in_the_way(store, ((1, 1),), seeing)] == ["lost"]
    rescue.rescue(store, rescue.lost_runners(store)[0], 0)


def test_a_job_of_a_backup_did_not_die_but_ran_in_another_store(store: Store) -> None:
    add(store, "true")
    claim(store)
    with store.writing() as db:
        db.execute("UPDATE runners SET boot_id = ?", (rescue.ELSEWHERE,))

    (told,) = explanation.explain(reasons.gather(store, 1, HERE), NOW, "batchq")
    assert told.text == "it was running when this backup was made; the next 'batchq run' takes it back here"
    rescue.rescue(store, rescue.lost_runners(store)[0], 0)


def test_a_job_of_which_something_lives_stays_with_its_dead_runner(store: Store) -> None:
    add(store, "true", "true")
    me = claim(store)
    (gone,) = rescue.lost_runners(store)

    assert rescue.rescue(store, gone, 0, {me.token}) == []
    assert [one.runner for one in rescue.lost_runners(store)] == [gone.runner]
    assert len(rescue.rescue(store, gone, 0)) == 1
