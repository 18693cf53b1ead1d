"""What a run starts is scheduled as if it had been started by hand."""

import json
import platform
import subprocess
import sys

import pytest
from scene import Scene, ended, python

pytest_plugins = ("scene",)

GETATTR = {"x86_64": 315, "aarch64": 275, "riscv64": 275}
LOOK = """
import ctypes, json, os, struct
def look(pid):
    attributes = ctypes.create_string_buffer(48)
    assert ctypes.CDLL(None).syscall({number}, pid, attributes, 48, 0) == 0
    _, policy, flags, nice, _, turn, _, _ = struct.unpack("=IIQiIQQQ", attributes.raw)
    return {{"policy": policy, "flags": flags, "nice": nice, "turn": turn}}
"""
JOB = LOOK + "print(json.dumps([look(0), look(os.getppid())]))"
CALLABLE = LOOK + "def mine(): return [look(0), look(os.getppid())]\n"

linux = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in GETATTR, reason="asks the kernel of Linux"
)


def of_a_shell(nice: int) -> dict[str, int]:
    look = LOOK.format(number=GETATTR[platform.machine()]) + "print(json.dumps(look(0)))"
    words = ["nice", "-n", str(nice), *python("-S", "-c", look)]
    return dict(json.loads(subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout))


@linux
@pytest.mark.parametrize("nice", [0, 5])
def test_what_a_run_starts_has_turns_of_the_usual_length_and_the_priority_of_the_run(scene: Scene, nice: int) -> None:
    number = GETATTR[platform.machine()]
    (scene.folder / "mine.py").write_text(CALLABLE.format(number=number))
    scene.add({"command": python("-S", "-c", JOB.format(number=number))}, {"call": "mine:mine"})
    assert ended(scene.start_program("nice", "-n", str(nice), *python("-m", "batchq", "run", "-q", "-j", "1"))) == 0

    usual = of_a_shell(nice)
    of_command, runner = json.loads(scene.output(1))
    ((result,),) = scene.rows("SELECT result FROM attempts WHERE job = 2")
    of_callable, _ = json.loads(str(result))
    assert of_command == of_callable == usual
    assert usual["nice"] == runner["nice"] == nice
