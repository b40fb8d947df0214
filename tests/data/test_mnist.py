"""MNIST files: read, checked, fetched whole or not at all; and the augmentation."""

import gzip
import hashlib
import io
import os
import struct
import urllib.error

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurode.data import DataError, load_mnist, mnist, random_crop, scale_pixels


def pack_idx(array: np.ndarray) -> bytes:
    """Return the bytes of an IDX file of unsigned bytes."""
    return b"\0\0\x08" + struct.pack(f">B{array.ndim}I", array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def contents(monkeypatch) -> dict[str, bytes]:
    """A small data set under MNIST's names, whose checksums are taken for the right ones."""
    rng = np.random.default_rng(0)
    files = {}
    for name in mnist.CHECKSUMS:
        n = 5 if name.startswith("train") else 3
        shape = (n, 28, 28) if "images" in name else (n,)
        files[name] = pack_idx(rng.integers(0, 10, shape, dtype=np.uint8))
    sums = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    monkeypatch.setattr(mnist, "CHECKSUMS", sums)
    return files


@pytest.fixture
def no_network(monkeypatch):
    """Fail the test when anything is fetched."""

    def refuse(url, timeout):
        raise AssertionError(f"fetched {url}")

    monkeypatch.setattr(mnist.urllib.request, "urlopen", refuse)


@pytest.mark.parametrize("rename", ["{}.gz", "{}", "dotted"])
def test_files_are_read_packed_or_not(contents, tmp_path, rename, no_network):
    for name, content in contents.items():
        target = name.replace("-idx", ".idx") if rename == "dotted" else rename.format(name)
        packed = gzip.compress(content) if target.endswith(".gz") else content
        (tmp_path / target).write_bytes(packed)
    data = load_mnist(tmp_path, download=True)
    assert data.train_images.shape == (5, 28, 28)
    assert data.test_labels.shape == (3,)
    assert data.train_images.dtype == np.uint8
    assert data.train_images.tobytes() == contents["train-images-idx3-ubyte"][16:]
    assert data.test_labels.tobytes() == contents["t10k-labels-idx1-ubyte"][8:]
    data.train_images[0] = 0  # an array of one's own, not a read-only view


def test_what_is_missing_is_named(contents, tmp_path):
    with pytest.raises(DataError, match=r"no folder .*nowhere with .*download=True.*https://"):
        load_mnist(tmp_path / "nowhere")
    for name, content in list(contents.items())[:3]:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=r"lacks t10k-labels-idx1-ubyte\.gz; pass download=True"):
        load_mnist(tmp_path)


@pytest.mark.parametrize("damage", ["truncated gzip", "bit flip", "another set", "not packed"])
def test_damage_is_found_and_the_file_left_alone(contents, tmp_path, damage, no_network):
    for name, content in contents.items():
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
    name = "t10k-images-idx3-ubyte"
    content = contents[name]
    bad = {
        "truncated gzip": gzip.compress(content)[:-20],
        "bit flip": gzip.compress(content[:100] + bytes([content[100] ^ 1]) + content[101:]),
        "another set": gzip.compress(pack_idx(np.ones((3, 28, 28), np.uint8))),
        "not packed": b"<html>404</html>",
    }[damage]
    path = tmp_path / f"{name}.gz"
    path.write_bytes(bad)
    with pytest.raises(DataError) as caught:
        load_mnist(tmp_path, download=True)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert "damaged" in message
    assert "remove t10k-images-idx3-ubyte.gz" in message
    assert path.read_bytes() == bad


def serve(monkeypatch, answers) -> list[str]:
    """Answer every request by `answers(url)`, an exception or bytes; return the urls asked."""
    asked = []

    def urlopen(url, timeout):
        asked.append(url)
        answer = answers(url)
        if isinstance(answer, Exception):
            raise answer
        return io.BytesIO(answer)

    monkeypatch.setattr(mnist.urllib.request, "urlopen", urlopen)
    return asked


def test_download_takes_the_first_mirror_that_has_the_file(contents, tmp_path, monkeypatch):
    first = mnist.MIRRORS[0]

    def answers(url):
        name = url.rsplit("/", 1)[1].removesuffix(".gz")
        if url.startswith(first):
            if "images" in name:
                return urllib.error.URLError("no route to host")
            return gzip.compress(b"something else")
        return gzip.compress(contents[name])

    asked = serve(monkeypatch, answers)
    folder = tmp_path / "new" / "mnist"
    data = load_mnist(folder, download=True)
    assert data.train_labels.shape == (5,)
    assert len(asked) == 8
    assert sorted(os.listdir(folder)) == sorted(f"{name}.gz" for name in contents)
    load_mnist(folder, download=True)
    assert len(asked) == 8  # nothing is fetched twice


def test_download_says_what_was_tried_and_leaves_nothing(contents, tmp_path, monkeypatch):
    serve(monkeypatch, lambda url: TimeoutError("timed out"))
    with pytest.raises(DataError) as caught:
        load_mnist(tmp_path, download=True)
    message = str(caught.value)
    assert "\n" not in message
    for mirror in mnist.MIRRORS:
        assert f"{mirror}train-images-idx3-ubyte.gz (timed out)" in message
    assert os.listdir(tmp_path) == []


def test_idx_headers_are_checked():
    array = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
    np.testing.assert_array_equal(mnist.parse_idx(pack_idx(array)), array)
    with pytest.raises(DataError, match=r"truncated: 5 bytes for the shape \(1, 2, 3\)"):
        mnist.parse_idx(pack_idx(array)[:-1])
    for content in (b"", b"\0\0\x0d\x01\0\0\0\0", pack_idx(array)[:9]):
        with pytest.raises(DataError, match="not an IDX file"):
            mnist.parse_idx(content)


def test_the_published_checksums_are_kept():
    prefixes = {name: digest[:8] for name, digest in mnist.CHECKSUMS.items()}
    assert prefixes == {
        "train-images-idx3-ubyte": "6bbc9ace",
        "train-labels-idx1-ubyte": "a25bea73",
        "t10k-images-idx3-ubyte": "2646ac64",
        "t10k-labels-idx1-ubyte": "27ae3e4e",
    }


@pytest.mark.parametrize("channels", [(), (1,)])
def test_random_crop_shifts_and_fills_with_zeros(channels):
    n = 1500
    images = np.zeros((n, 28, 28, *channels), np.uint8)
    images[:, 14, 14] = 255
    images[:, 0, 0] = 7
    cropped = np.asarray(jax.jit(random_crop)(images, jax.random.key(0)))
    assert cropped.shape == images.shape
    assert cropped.dtype == np.uint8
    places = np.argwhere(cropped.reshape(n, 28, 28) == 255)
    np.testing.assert_array_equal(places[:, 0], np.arange(n))  # one each
    shifts = places[:, 1:] - 14
    assert shifts.min() == -4
    assert shifts.max() == 4
    assert len(np.unique(shifts, axis=0)) == 81  # every shift occurs, both ways independently
    corner = (cropped.reshape(n, -1) == 7).any(axis=1)
    np.testing.assert_array_equal(corner, (shifts >= 0).all(axis=1))


def test_random_crop_is_a_window_of_the_padded_image():
    image = jax.random.randint(jax.random.key(1), (1, 5, 6), 1, 9)
    padded = np.pad(np.asarray(image[0]), 2)
    cropped = np.asarray(random_crop(image, jax.random.key(3), padding=2))[0]
    windows = [padded[i : i + 5, j : j + 6] for i in range(5) for j in range(5)]
    assert any(np.array_equal(cropped, window) for window in windows)
    np.testing.assert_array_equal(random_crop(image, jax.random.key(3), padding=0), image)


def test_pixels_are_scaled_to_one():
    scaled = scale_pixels(np.array([[0, 51, 255]], np.uint8))
    assert scaled.dtype == jnp.float32
    np.testing.assert_allclose(scaled, [[0, 0.2, 1]], rtol=1e-7)


if "NEURODE_MNIST" in os.environ:

    def test_the_real_files():
        data = load_mnist(os.environ["NEURODE_MNIST"])
        assert data.train_images.shape == (60_000, 28, 28)
        assert data.test_images.shape == (10_000, 28, 28)
        assert data.train_labels[:5].tolist() == [5, 0, 4, 1, 9]
        assert np.bincount(data.test_labels).tolist() == [
            980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
        ]  # fmt: skip
        np.testing.assert_allclose(data.train_images.mean() / 255, 0.1307, atol=5e-5)
