"""Archives come back bit for bit, and a file that is not one is refused in one line."""

import json
import pickle

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from neurode.store import (
    ArchiveDamaged,
    ArchiveError,
    ArchiveMismatch,
    archive,
    describe_leaves,
    load,
    read_metadata,
    save,
)

DTYPES = [
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "bfloat16", "float8_e4m3fn", "float8_e5m2", "int4"),
    *("complex64", "complex128"),
]


def assert_same(found, expected):
    assert type(found) is type(expected)
    if isinstance(expected, jax.Array) and jnp.issubdtype(expected.dtype, jax.dtypes.prng_key):
        assert jax.random.key_impl(found) == jax.random.key_impl(expected)
        found, expected = jax.random.key_data(found), jax.random.key_data(expected)
    assert np.asarray(found).dtype == np.asarray(expected).dtype
    assert np.asarray(found).shape == np.asarray(expected).shape
    assert np.asarray(found).tobytes() == np.asarray(expected).tobytes()


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0, 3)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_and_shape_comes_back(tmp_path, dtype, shape):
    value = np.random.default_rng(0).normal(size=shape) * 3
    value = np.asarray(value + (1j if "complex" in dtype else 0), jnp.dtype(dtype))
    with jax.enable_x64(True):
        tree = {"jax": jnp.asarray(value), "numpy": value}
    save(tmp_path / "a", tree)
    found, _ = load(tmp_path / "a", tree)  # also where 64 bits are off
    assert_same(found["jax"], tree["jax"])
    assert_same(found["numpy"], tree["numpy"])


def test_special_values_and_memory_layouts_come_back(tmp_path):
    tree = [
        np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324]),
        np.arange(6.0).reshape(2, 3).T,
        np.arange(10)[::-2],
        np.float32(1.5),
    ]
    save(tmp_path / "a", tree)
    found, _ = load(tmp_path / "a", tree)
    for one, other in zip(found, tree, strict=True):
        np.testing.assert_array_equal(one, other)
    big_endian = np.arange(3, dtype=">f4")
    save(tmp_path / "b", big_endian)
    np.testing.assert_array_equal(load(tmp_path / "b", big_endian)[0], [0, 1, 2])


def test_keys_numbers_and_leaves_that_are_not_stored(tmp_path):
    tree = {
        "keys": jax.random.split(jax.random.key(1), 3),
        "rbg": jax.random.key(2, impl="rbg"),
        "numbers": (True, 3, 2.5, 1 + 2j),
        "rest": (jnp.tanh, "text", None),
    }
    save(tmp_path / "a", tree)
    other = eqx.tree_at(lambda t: t["numbers"], tree, (False, 0, 0.0, 0j))
    found, _ = load(tmp_path / "a", other)
    assert_same(found["keys"], tree["keys"])
    assert_same(found["rbg"], tree["rbg"])
    assert found["numbers"] == tree["numbers"]
    assert [type(number) for number in found["numbers"]] == [bool, int, float, complex]
    assert found["rest"] == tree["rest"]


def test_a_module_can_be_loaded_into_its_shapes(tmp_path):
    model = eqx.nn.MLP(2, 1, 4, 1, key=jax.random.key(0))
    save(tmp_path / "a", model)
    like = eqx.filter_eval_shape(lambda: eqx.nn.MLP(2, 1, 4, 1, key=jax.random.key(1)))
    found, _ = load(tmp_path / "a", like)
    assert eqx.tree_equal(found, model)
    assert describe_leaves(model)[".layers[0].weight"] == "float32[4,2]"


@settings(max_examples=30, deadline=None)
@given(
    metadata=st.dictionaries(
        st.text(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=5,
        ),
    )
)
def test_metadata_comes_back(tmp_path_factory, metadata):
    path = tmp_path_factory.mktemp("metadata") / "a"
    save(path, {}, metadata)
    assert read_metadata(path) == metadata
    assert load(path, {}) == ({}, metadata)


def test_metadata_that_is_no_json_is_refused(tmp_path):
    with pytest.raises(TypeError, match="JSON"):
        save(tmp_path / "a", {}, {"function": jnp.tanh})
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("leaf", [np.array(["text"]), np.array([object()]), 10**30])
def test_leaves_that_are_no_numbers_are_refused(tmp_path, leaf):
    with pytest.raises(TypeError, match="cannot be stored"):
        save(tmp_path / "a", {"leaf": leaf})


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.safetensors"
    tree = {"w": np.arange(12.0).reshape(3, 4), "b": np.zeros(4, np.float32)}
    save(path, tree, {"note": "hello"})
    return path, tree


def assert_one_line(caught):
    assert "\n" not in str(caught.value)
    assert "model.safetensors" in str(caught.value)


def test_every_truncation_is_refused(saved):
    path, tree = saved
    data = path.read_bytes()
    for length in [0, 1, 7, 8, 9, 30, 100, len(data) // 2, len(data) - 1]:
        path.write_bytes(data[:length])
        with pytest.raises(ArchiveError) as caught:
            load(path, tree)
        assert_one_line(caught)
    path.write_bytes(data[:-1])
    with pytest.raises(ArchiveDamaged, match="damaged or truncated"):
        load(path, tree)


def test_every_flipped_byte_is_refused(saved):
    path, tree = saved
    data = bytearray(path.read_bytes())
    for position in range(len(data)):
        changed = data.copy()
        changed[position] ^= 0x15
        path.write_bytes(changed)
        with pytest.raises(ArchiveError) as caught:
            load(path, tree)
        assert_one_line(caught)


def test_foreign_files_are_refused(saved):
    path, tree = saved
    foreign = [b"hello world, this is text", pickle.dumps(tree), b"\0" * 100]
    foreign.append(safetensors.numpy.save({"w": np.zeros(3)}, {"from": "another program"}))
    foreign.append(safetensors.numpy.save({"w": np.zeros(3)}, {"neurode": "[" * 100_000}))
    for data in foreign:
        path.write_bytes(data)
        with pytest.raises(ArchiveError, match="not a file that neurode wrote") as caught:
            load(path, tree)
        assert_one_line(caught)


def test_a_newer_version_is_refused(saved, monkeypatch):
    path, tree = saved
    monkeypatch.setattr(archive, "FORMAT_VERSION", 7)
    save(path, tree)
    monkeypatch.undo()
    with pytest.raises(ArchiveError, match="format 7.*upgrade neurode") as caught:
        load(path, tree)
    assert_one_line(caught)


def test_the_differences_are_listed(saved):
    path, tree = saved
    like = {"w": np.zeros((3, 5)), "c": 1.0}
    with pytest.raises(ArchiveMismatch) as caught:
        load(path, like)
    text = str(caught.value)
    assert "['w']: the file has float64[3,4], expected float64[3,5]" in text
    assert "['b']: the file has float32[4], expected nothing of that name" in text
    assert "['c']: the file has nothing of that name, expected a Python float" in text
    with pytest.raises(ArchiveMismatch, match=r"float32\[4\], expected float16\[4\]"):
        load(path, tree | {"b": tree["b"].astype(np.float16)})
    with pytest.raises(ArchiveMismatch, match="and 88 more"):
        load(path, {str(i): 0 for i in range(98)})


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.safetensors"):
        load(tmp_path / "nothing.safetensors", {})


def test_it_is_plain_safetensors_and_the_same_bytes_each_time(saved, tmp_path):
    path, tree = saved
    np.testing.assert_array_equal(safetensors.numpy.load(path.read_bytes())["['w']"], tree["w"])
    save(tmp_path / "again", tree, {"note": "hello"})
    assert (tmp_path / "again").read_bytes() == path.read_bytes()
    size = int.from_bytes(path.read_bytes()[:8], "little")
    block = json.loads(path.read_bytes()[8 : 8 + size])["__metadata__"]["neurode"]
    assert json.loads(block)["format_version"] == archive.FORMAT_VERSION
