"""The frames of a write-ahead log that SQLite would replay: those of complete transactions.

A power loss can leave frames in which some sectors are old. SQLite detects them by the running checksums of the log and
stops there ("Database File Format", section 4.2). Computing these in Python takes about half a second for 16 MiB.
"""

from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = 32  #: bytes before the first frame
FRAME = 24  #: bytes before the page of a frame
_MAGIC = b"\x37\x7f\x06"


def pages(log: str, wanted: int) -> "Iterator[tuple[int, bytes]]":
    """Yield the number of each page in a log, with the content of those numbered ``wanted``; torn ones, too."""
    try:
        file = open(log, "rb")
    except FileNotFoundError:  # the last process that had the store open closed it and checkpointed the log
        return
    with file:
        header = file.read(HEADER)
        size, salts = int.from_bytes(header[8:12], "big"), header[16:24]
        if header[:3] != _MAGIC or not 512 <= size <= 65536:
            return
        while len(frame := file.read(FRAME)) == FRAME and frame[8:16] == salts:
            page = int.from_bytes(frame[:4], "big")
            if page == wanted:
                yield page, file.read(size)
            else:
                file.seek(size, 1)
                yield page, b""


def whole(log: str) -> int:
    """Count the frames of a log that belong to complete transactions."""
    try:
        file = open(log, "rb")
    except FileNotFoundError:  # as above
        return 0
    with file:
        header = file.read(HEADER)
        if len(header) < HEADER or header[:3] != _MAGIC:
            return 0
        words = Struct(">II" if header[3] & 1 else "<II")
        size, salts = int.from_bytes(header[8:12], "big"), header[16:24]
        sums = _added(words, header[:24], (0, 0))
        if _BIG.unpack(header[24:]) != sums or not 512 <= size <= 65536:
            return 0
        count = complete = 0
        while len(frame := file.read(FRAME)) == FRAME and frame[8:16] == salts:
            page = file.read(size)
            if len(page) < size:
                break
            sums = _added(words, page, _added(words, frame[:8], sums))
            if _BIG.unpack(frame[16:]) != sums:
                break
            count += 1
            if frame[4:8] != b"\0\0\0\0":  # the last frame of a transaction
                complete = count
        return complete


_BIG = Struct(">II")


def _added(words: Struct, data: bytes, sums: tuple[int, int]) -> tuple[int, int]:
    first, second = sums
    for one, other in words.iter_unpack(data):
        first = first + one + second & 0xFFFFFFFF
        second = second + other + first & 0xFFFFFFFF
    return first, second
