"""Stores in places that cannot be written, are full, or lie on another machine."""

import os
from pathlib import Path

import pytest
from conftest import Shell
from others import CRASHED_WRITER, die, in_a_namespace, needs_mounts

from batchq.store.file import location


@needs_mounts
def test_a_read_only_store_can_be_looked_at_and_writing_is_73(batchq: Shell) -> None:
    batchq("add", "--", "true")

    told = in_a_namespace(
        batchq,
        """
        mount --bind . . && mount -o remount,ro,bind . && cd . && cd "$PWD"
        rc list; rc report; rc doctor
        rc add -- true; rc run; rc prune --older-than 0s; rc retry 1
        """,
    )

    assert told.count("exit 0") == 3
    assert told.count("exit 73") == 4
    assert told.count("is read-only here") == 4


@needs_mounts
def test_a_read_only_store_that_was_not_closed_is_read_with_its_log(batchq: Shell) -> None:
    die(CRASHED_WRITER, batchq.db())

    told = in_a_namespace(
        batchq, "mount --bind . . && mount -o remount,ro,bind . && cd . && cd $PWD && rc list --json && rm -f x"
    )

    assert "acknowledged" in told


@needs_mounts
def test_where_the_log_cannot_be_read_a_warning_says_that_something_is_missing(batchq: Shell) -> None:
    die(CRASHED_WRITER, batchq.db())
    Path(f"{batchq.db()}-shm").unlink()

    told = in_a_namespace(batchq, "mount --bind . . && mount -o remount,ro,bind . && cd . && cd $PWD && rc list")

    assert "what was written last is missing" in told
    assert "exit 0" in told


@needs_mounts
def test_a_file_that_may_change_is_not_read_as_one_that_does_not(batchq: Shell) -> None:
    holder = (
        "import signal, sys; from batchq.store.file.locks import LockFile; lock = LockFile(sys.argv[1]);"
        " lock.acquire_mutex(1); open('held', 'w').close(); signal.pause()"
    )
    told = in_a_namespace(
        batchq,
        f"""
        mkfifo held
        "$python" -c "{holder}" "$PWD/batchq.db" &
        cat held
        mount --bind . . && mount -o remount,ro,bind . && cd . && cd $PWD && rc list
        kill $!
        """,
    )

    assert "exit 75" in told
    assert "is busy: process" in told


@needs_mounts
def test_a_full_disk_is_a_sentence_and_reports_still_work(batchq: Shell) -> None:
    told = in_a_namespace(
        batchq,
        """
        mkdir disk; mount -t tmpfs -o size=1m none disk; cd disk
        batchq init; batchq add -c 'echo before'; batchq run
        dd if=/dev/zero of=fill bs=1k 2>/dev/null || true
        rc list; rc report; rc doctor; rc logs 1
        rc add -- true; rc run; rc backup copy; rc init other.db
        truncate -s 500k fill
        seq 5000 | rc add -q -
        rc list
        rm fill
        rc doctor; rc add -- true; rc run
        """,
    )

    assert told.count("the disk is full") == 5
    assert told.count("exit 74") == 5
    assert told.count("exit 0") == 8
    assert told.count("before") == 3


# --- network file systems ----------------------------------------------------------------------------------------------


MOUNTS = r"""22 27 0:21 / /proc rw,nosuid - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,errors=remount-ro
33 27 0:29 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate
91 27 0:53 / /home rw,relatime shared:52 - autofs systemd-1 rw,fd=55,pgrp=1,timeout=0
99 91 0:57 / /home/ann rw,relatime shared:57 - nfs4 filer:/export/ann rw,vers=4.2,rsize=1048576,addr=192.0.2.7
104 27 0:61 / /mnt/with\040space rw,nosuid master:3 - cifs //server/share rw,vers=3.1.1
105 27 0:62 / /mnt/remote rw,nosuid,nodev - fuse.sshfs ann@host: rw,user_id=1000
106 27 0:63 / /mnt/usb rw - fuseblk /dev/sdb1 rw,user_id=0
107 27 0:33 /@home /data rw,noatime - btrfs /dev/nvme0n1p2 rw,subvol=/@home
108 27 0:70 / /mnt/c rw,noatime - 9p drvfs rw,aname=drvfs;path=C:
109 27 0:71 / / rw,relatime - overlay overlay rw,lowerdir=/a:/b"""


@pytest.mark.parametrize(
    ("folder", "device", "kind"),
    [
        ("/var/lib", os.makedev(254, 0), "ext4"),
        ("/home/ann/project", os.makedev(0, 57), "nfs4"),
        ("/mnt/with space/x", os.makedev(0, 999), "cifs"),
        ("/mnt/remote", os.makedev(0, 62), "fuse.sshfs"),
        ("/mnt/usb", os.makedev(0, 63), "fuseblk"),
        ("/data/jobs", os.makedev(0, 44), "btrfs"),
        ("/mnt/c/Users", os.makedev(0, 70), "9p"),
        ("/mnt/cats", os.makedev(0, 999), "overlay"),
    ],
)
def test_the_file_system_of_a_folder_is_read_from_the_mounts(folder: str, device: int, kind: str) -> None:
    assert location.file_system(MOUNTS, folder, device) == kind


def test_of_unreadable_mounts_nothing_is_concluded() -> None:
    assert location.file_system("", "/srv", 5) == ""
    assert location.file_system("no mounts here\n1 2\n", "/srv", 5) == ""


@needs_mounts
def test_a_network_file_system_is_refused_unless_allowed_and_then_has_no_log(batchq: Shell) -> None:
    told = in_a_namespace(
        batchq,
        """
        mkdir net; mount -t tmpfs none net; cd net; batchq init moved.db
        echo "40 27 0:$(stat -c %d .) / $PWD rw,relatime - nfs4 server:/export rw,vers=4.2" > ../mounts
        there() { sh -c 'mount --bind ../mounts /proc/$$/mountinfo; exec "$0" -m batchq "$@"' "$python" "$@"; }
        there init && exit 1 || echo "exit $?"
        export BATCHQ_ALLOW_NETWORK_FS=1
        there init; there add -c 'echo ran > out'; batchq run; cat out
        there doctor
        there add --db moved.db -- true; batchq doctor --db moved.db
        od -An -c -j18 -N2 batchq.db; od -An -c -j18 -N2 moved.db; ls
        unset BATCHQ_ALLOW_NETWORK_FS
        """,
    )

    assert "exit 73" in told
    assert "is on a network file system (nfs4), where SQLite loses data" in told
    assert told.count("001 001") == 2, "both have a rollback journal"
    assert "ran\n" in told
    assert "warning  file system  it is on a network file system (nfs4); move it" in told


@pytest.mark.parametrize("begins", ["/", "//", "/./"])
def test_a_path_that_begins_with_several_slashes_names_the_same_store(batchq: Shell, begins: str) -> None:
    path = f"{begins}{batchq.db()}"

    batchq("add", "--db", path, "--", "true")
    batchq("run", "--db", path)
    batchq("backup", "-q", f"{begins}{batchq.folder}/copy.db", "--db", path)

    assert batchq.rows("SELECT state FROM jobs") == [("succeeded",)]
    assert "succeeded" in batchq("list", "--db", f"{begins}{batchq.folder}/copy.db").out
