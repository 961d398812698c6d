"""Images as users have them: every form of one picture is the same picture, and the rest is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from metanas.learner import Learner
from metanas.testing.learners import PICTURES, candidate, written
from search_spaces.errors import DataError


@pytest.fixture
def pictures(tmp_path: Path) -> Learner:
    torch.set_num_threads(1)
    return written(tmp_path, candidate("conv", "prototype"), PICTURES).load()


def pixels(rng: np.random.Generator, rows: int) -> np.ndarray:
    return rng.integers(0, 256, (rows, 1, 8, 8), dtype=np.uint8)


def test_images_in_every_form(pictures: Learner, rng: np.random.Generator, tmp_path: Path) -> None:
    arrays, labels = pixels(rng, 6), ["a", "b", "c"] * 2
    images = [Image.fromarray(array[0]) for array in arrays]
    files = [tmp_path / f"{i}.png" for i in range(6)]
    for image, file in zip(images, files, strict=True):
        image.save(file)
    expected = pictures.adapt(arrays, labels).predict_proba(arrays)
    forms: list[Any] = [
        arrays[:, 0],
        arrays.astype(np.int64),
        torch.from_numpy(arrays),
        arrays.tolist(),
        images,
        tuple(image.convert("RGB") for image in images),
        files,
        [str(file) for file in files],
    ]
    for form in forms:
        found = pictures.adapt(form, labels).predict_proba(form)
        np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-4, atol=1e-6)
    mixed: list[Any] = [images[0], files[1], str(files[2]), *images[3:]]
    np.testing.assert_allclose(
        pictures.adapt(mixed, labels).predict_proba(mixed), expected, rtol=1e-4, atol=1e-6
    )


def test_images_of_another_size_are_resized_as_files_are(pictures: Learner, rng: np.random.Generator) -> None:
    arrays = rng.integers(0, 256, (4, 3, 20, 11), dtype=np.uint8)
    images = [Image.fromarray(array.transpose(1, 2, 0)) for array in arrays]
    found, expected = (pictures.adapt(form, [0, 1, 0, 1]).predict_proba(form) for form in (arrays, images))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.zeros((2, 1, 8, 8)), "whole-number pixels .*not float64"),
        (torch.zeros(2, 1, 8, 8), "whole-number pixels .*not float32"),
        (np.zeros((2, 8, 8), dtype=bool), "not bool"),
        (np.ones((2, 8, 8), dtype=int), "from 1 to 1"),
        (np.full((2, 8, 8), 256), "from 256 to 256"),
        (np.full((2, 8, 8), -1), "from -1 to -1"),
        (np.zeros((2, 8, 8, 3), dtype=np.uint8), "1 or 3, H, W"),
        (np.zeros((8, 8), dtype=np.uint8), "1 or 3, H, W"),
        (np.zeros((2, 0, 8), dtype=np.uint8), "1 or 3, H, W"),
        ("a.png", "list of images"),
        (Image.new("L", (8, 8)), "list of images"),
        ([], "support is empty"),
        (["none.png", "none.png"], "none.png"),
        ([Image.new("F", (8, 8))] * 2, "image 0 of the support"),
    ],
)
def test_images_that_cannot_be_used(pictures: Learner, x: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        pictures.adapt(x, [0, 1])


def test_a_column_of_paths_is_a_list_of_them(pictures: Learner, tmp_path: Path) -> None:
    for name, grey in (("a", 0), ("b", 200)):
        Image.new("L", (8, 8), grey).save(tmp_path / f"{name}.png")
    paths = [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    model = pictures.adapt(paths, ["a", "b"])
    for column in (pd.Series(paths), np.array(paths), np.array(paths, dtype=object)):
        np.testing.assert_array_equal(model.predict_proba(column), model.predict_proba(paths))


def test_reading_files_leaves_the_warnings_of_other_threads_alone(
    pictures: Learner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are the process's: two threads that change and restore them leave one's for good."""
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    model = pictures.adapt([str(tmp_path / "a.png")] * 2, ["a", "b"])
    monkeypatch.setattr("warnings.catch_warnings", None)
    model.predict([str(tmp_path / "a.png")])


def test_many_images_are_read_in_chunks(pictures: Learner, rng: np.random.Generator) -> None:
    model = pictures.adapt(pixels(rng, 4), [0, 1, 0, 1])
    queries = pixels(rng, 5000)
    found = np.asarray(model.predict_proba(queries))
    np.testing.assert_allclose(found[-3:], model.predict_proba(queries[-3:]), rtol=1e-4, atol=1e-6)
