"""Words of other tools that mean a field of a job here, for "did you mean"."""

from batchq.jobs.fields import FIELDS, WORK_FIELDS
from batchq.jobs.work import did_you_mean

WORDS = {
    "max_attempts": "attempts max_retries max_tries retries retry tries",
    "timeout": "limit_time max_runtime time time_limit timelimit walltime",
    "after": "depend dependencies dependency depends depends_on deps needs requires",
    "after_failed": "afternotok after_not_ok on_failure",
    "after_any": "afterany",
    "cwd": "chdir dir directory folder workdir working_dir",
    "run_at": "at begin eta start start_at when",
    "queue": "group lane partition pool",
    "slots": "cores cpus ntasks",
    "name": "id job_name label title",
    "key": "dedupe unique_key",
    "env": "environment environ export setenv vars",
    "priority": "nice prio",
    "stdin": "input_text standard_input",
    "tags": "label labels",
    "command": "argv cmd cmdline exec program script shell",
    "call": "callable function func target",
    "args": "kwargs parameters params",
    "success_codes": "exit_codes ok_codes",
    "output": "merge merge_output merged output_mode",
    "keep_output": "log_size max_output output_limit",
}


def meant_field(name: str) -> str:
    """Return ``" (did you mean 'timeout'?)"``, or nothing if no field is near."""
    return meant(name, [*FIELDS, *WORK_FIELDS, "matrix"], WORDS)


def meant(word: str, known: list[str], words: dict[str, str]) -> str:
    """Return the hint for an unknown word: a known one that ``words`` has it as a synonym of, or that is spelt alike."""
    for right, others in words.items():
        if right in known and {word, word.lower()} & {*others.split()}:
            return f" (did you mean {right!r}?)"
    return did_you_mean(word, known)
