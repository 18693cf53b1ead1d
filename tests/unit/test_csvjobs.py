"""Jobs in CSV files: what the cells mean, and what each bad file is told."""

import json

import pytest

from batchq.errors import InputError
from batchq.jobs.model import JobSpec
from batchq.jobs.reading import jobfile


def read(text: str | bytes, **common: object) -> list[JobSpec]:
    data = text.encode() if isinstance(text, str) else text
    return jobfile.read(data, "csv", "jobs.csv", common, "/home/ann", "/bin")


def test_each_row_is_a_job_and_an_empty_cell_says_nothing() -> None:
    specs = read('name,command,queue,priority\nload,"ls | wc -l",etl,-5\n\n,,,\n,true,,\n', queue="q", timeout="1m")

    assert [
        (spec.name, spec.kind, spec.work, spec.terms.queue, spec.terms.priority, spec.terms.timeout) for spec in specs
    ] == [
        ("load", "shell", '["ls | wc -l"]', "etl", -5, 60_000),
        (None, "shell", '["true"]', "q", 0, 60_000),
    ]


def test_lists_variables_numbers_and_truths() -> None:
    (spec,) = read(
        "command,tags,after,retry_on,env,hold,slots,retry_timeout_factor,umask,delay,unique,inputs\n"
        'x,a; b ;,p;17,"[75, ""stderr:a;b""]",A=1;B=x=y,TRUE, 2 ,1.5,022,5m,active,in.csv\n'
    )

    assert (spec.terms.tags, spec.after, spec.terms.retry_on) == ('["a","b"]', ("p", "17"), '[75, "stderr:a;b"]')
    assert (spec.terms.env, spec.terms.hold, spec.terms.slots, spec.terms.retry_timeout_factor) == (
        '{"A":"1","B":"x=y"}',
        True,
        2,
        1.5,
    )
    assert (spec.terms.umask, spec.terms.delay, spec.terms.unique, spec.terms.inputs) == (
        0o22,
        300_000,
        "active",
        '["/home/ann/in.csv"]',
    )


def test_calls_and_payloads_are_json() -> None:
    call, payload = read('call,args,payload\na:b,"{""n"": 1}",\n,,"[1, {}]"\n')

    assert (call.work, payload.work) == ('{"call":"a:b","args":{"n":1}}', "[1,{}]")


def test_variables_may_be_json_and_stay_below_those_of_the_job() -> None:
    (spec,) = read('command,env\nx,"{""A"": "";""}"\n', env={"A": "1", "B": "2"})

    assert json.loads(spec.terms.env or "") == {"A": ";", "B": "2"}


def test_bytes_that_are_no_utf8_reach_the_shell() -> None:
    assert json.loads(read(b"command\nrm caf\xe9\n")[0].work) == ["rm caf\udce9"]


BAD = [
    ("command,nmae\nx,y\n", "jobs.csv, line 1: unknown field 'nmae' (did you mean 'name'?)"),
    ("command,matrix\nx,y\n", "jobs.csv, line 1: unknown field 'matrix'"),
    ("command,name\nx\n", "jobs.csv, line 2: has 1 column, but the first row names 2"),
    ("name\nload\n", "jobs.csv, line 2 (load): needs a 'command'"),
    ("command,priority,name\n\nx,high,load\n", "jobs.csv, line 3 (load): field 'priority' must be a whole number"),
    ("command,slots\nx,1.5\n", "jobs.csv, line 2: field 'slots' must be a whole number"),
    ("command,hold\nx,yes\n", "jobs.csv, line 2: field 'hold' must be true or false"),
    ("command,env\nx,A\n", "jobs.csv, line 2: field 'env' has 'A' without a value: write it as in A=1;B=2"),
    ("command,tags\nx,[a\n", "jobs.csv, line 2: field 'tags': is not JSON"),
    ('payload\n"{""a"":1,""a"":1}"\n', "jobs.csv, line 2: field 'payload': has the key 'a' twice"),
    ("command,timeout\nx,soon\n", "jobs.csv, line 2: field 'timeout' is wrong: 'soon' is not a duration"),
    ('command\n"x\n', "jobs.csv, line 2: has a quotation mark that is never closed"),
    ("command\nx\n".encode("utf-16"), "jobs.csv, line 1: contains a NUL byte"),
]


@pytest.mark.parametrize(("text", "says"), BAD, ids=[says for _, says in BAD])
def test_a_bad_file_is_told_in_one_sentence(text: str | bytes, says: str) -> None:
    with pytest.raises(InputError) as caught:
        read(text)

    assert str(caught.value).startswith(says) and str(caught.value).isprintable()
