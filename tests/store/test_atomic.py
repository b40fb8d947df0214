"""A file is written whole or not at all, and a failure is one clear line."""

import errno
import os

import pytest

from neurode.store import SaveError, remove_leftovers, write_bytes


def fail_with(code):
    def fail(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    return fail


class FullDisk:
    """A file that takes some bytes and then finds the disk full."""

    def __init__(self, path, mode):
        self._file = open(path, mode)  # noqa: SIM115

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._file.close()

    def write(self, data):
        self._file.write(data[: len(data) // 2])
        self._file.flush()
        raise OSError(errno.ENOSPC, "No space left on device")


def test_it_replaces_and_keeps_the_one_before(tmp_path):
    path, kept = tmp_path / "a", tmp_path / "a.old"
    write_bytes(path, b"one", keep=kept)
    assert path.read_bytes() == b"one"
    assert not kept.exists()
    write_bytes(path, b"two", keep=kept)
    assert (path.read_bytes(), kept.read_bytes()) == (b"two", b"one")
    assert sorted(os.listdir(tmp_path)) == ["a", "a.old"]


def test_it_writes_through_a_symbolic_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "file")
    write_bytes(tmp_path / "link", b"data")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "file").read_bytes() == b"data"


@pytest.mark.parametrize("where", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch, where):
    path = tmp_path / "model"
    write_bytes(path, b"old")
    if where == "write":
        monkeypatch.setattr("neurode.store.atomic.open", FullDisk, raising=False)
    else:
        monkeypatch.setattr(f"neurode.store.atomic.os.{where}", fail_with(errno.ENOSPC))
    with pytest.raises(SaveError, match="disk is full") as caught:
        write_bytes(path, b"new and longer")
    monkeypatch.undo()
    assert caught.value.errno == errno.ENOSPC
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model"]


@pytest.mark.parametrize(
    ("code", "words"),
    [(errno.EACCES, "no permission"), (errno.EROFS, "read-only"), (errno.EIO, "error")],
)
def test_other_reasons_are_named(tmp_path, monkeypatch, code, words):
    monkeypatch.setattr("neurode.store.atomic.open", fail_with(code), raising=False)
    with pytest.raises(SaveError, match=words) as caught:
        write_bytes(tmp_path / "model", b"data")
    assert caught.value.errno == code


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(SaveError, match="does not exist"):
        write_bytes(tmp_path / "nowhere" / "model", b"data")


def test_the_bytes_are_on_disk_before_the_name_changes(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        original = getattr(os, name)

        def record(*args, name=name, original=original):
            calls.append(name)
            return original(*args)

        monkeypatch.setattr(f"neurode.store.atomic.os.{name}", record)
    write_bytes(tmp_path / "a", b"data")
    assert calls == ["fsync", "replace", "fsync"]  # the last one is of the folder


def test_leftovers_of_a_killed_writer_are_removed_and_nothing_else(tmp_path):
    (tmp_path / ".a.123abc.part").write_bytes(b"half")
    (tmp_path / ".b.123abc.part").write_bytes(b"half")
    (tmp_path / "a").write_bytes(b"whole")
    remove_leftovers(tmp_path / "a")
    assert sorted(os.listdir(tmp_path)) == [".b.123abc.part", "a"]
