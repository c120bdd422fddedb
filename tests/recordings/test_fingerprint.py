"""What a fingerprint notices, and what it does not claim to."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranvier.recordings.fingerprint import BLOCK_BYTES, BLOCKS, changes, fingerprint

LARGE = 40 * BLOCK_BYTES + 77


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fingerprint") / "large.dat"
    path.write_bytes(bytes(range(256)) * (LARGE // 256) + bytes(LARGE % 256))
    return path


def after(path: Path, offset: int) -> list[str]:
    """Return the changes that are noticed after one byte was flipped."""
    marked = fingerprint([path])
    with open(path, "r+b") as handle:
        handle.seek(offset)
        old = handle.read(1)
        handle.seek(offset)
        handle.write(bytes([old[0] ^ 0x40]))
        handle.flush()
        found = changes(marked, [path])
        handle.seek(offset)
        handle.write(old)
    assert changes(marked, [path]) == []
    return found


@given(st.integers(0, BLOCKS - 1), st.integers(0, BLOCK_BYTES - 1))
def test_a_byte_in_any_sampled_block(large: Path, block: int, at: int) -> None:
    assert after(large, (LARGE - BLOCK_BYTES) * block // (BLOCKS - 1) + at) == ["the content of large.dat changed"]


def test_between_the_blocks_nothing_is_read(large: Path) -> None:
    assert after(large, BLOCK_BYTES + 5) == []


@given(st.binary(min_size=1, max_size=300), st.data())
def test_small_files_are_read_whole(tmp_path_factory: pytest.TempPathFactory, content: bytes, data) -> None:
    path = tmp_path_factory.mktemp("small") / "a"
    path.write_bytes(content)
    assert after(path, data.draw(st.integers(0, len(content) - 1))) == ["the content of a changed"]


def test_length_number_and_name(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_bytes(b"12345")
    b.write_bytes(b"")
    marked = fingerprint([a, b, tmp_path / "none"])
    assert changes(marked, [a, b]) == []
    assert changes(marked, [a]) == ["it had 2 files and has 1"]
    renamed = a.rename(tmp_path / "renamed")
    assert changes(marked, [renamed, b]) == []
    b.write_bytes(b"x")
    assert changes(marked, [renamed, b]) == ["b had 0 bytes and has 1"]
    assert "does not know ('md5')" in changes({"method": "md5"}, [b])[0]
