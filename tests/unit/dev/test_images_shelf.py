"""Which archives stay? The last few that were asked for, counted for each kind of image."""

import os
from pathlib import Path

from dev.images import recipe, shelf
from dev.images.recipe import Recipe


def _put(folder: Path, made: Recipe, number: int) -> Path:
    """An archive that was last asked for `number` seconds after the epoch."""
    path = shelf.image(folder, made, f"{number:012x}").archive
    path.write_bytes(b"layers")
    os.utime(path, (number, number))
    return path


def test_prune_keeps_the_youngest_of_each_kind(tmp_path: Path) -> None:
    kinds = (recipe.operator(), recipe.runtime("onnx"), recipe.runtime("torch"))
    put = {kind: [_put(tmp_path, kind, number) for number in range(1, 6)] for kind in kinds}
    gone = shelf.prune(tmp_path, keep=2)
    for paths in put.values():
        assert [path.exists() for path in paths] == [False, False, False, True, True]
    assert len(gone) == 9


def test_prune_leaves_what_it_did_not_put_there(tmp_path: Path) -> None:
    strangers = [tmp_path / f"pause-{number:012x}.tar" for number in range(9)]
    for stranger in strangers:
        stranger.touch()
    assert shelf.prune(tmp_path, keep=0) == []
    assert all(stranger.exists() for stranger in strangers)


def test_asking_for_an_archive_keeps_it(tmp_path: Path) -> None:
    kind = recipe.operator()
    old, newer = _put(tmp_path, kind, 1), _put(tmp_path, kind, 2)
    assert shelf.found(shelf.image(tmp_path, kind, f"{1:012x}"))
    shelf.prune(tmp_path, keep=1)
    assert old.exists()
    assert not newer.exists()


def test_an_archive_asked_for_just_now_is_spared(tmp_path: Path) -> None:
    paths = [_put(tmp_path, recipe.operator(), number) for number in range(5)]
    for path in paths:
        os.utime(path)
    assert shelf.prune(tmp_path, keep=1) == []


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    assert not shelf.found(shelf.image(tmp_path, recipe.operator(), f"{1:012x}"))


def test_kept_knows_the_references_youngest_first(tmp_path: Path) -> None:
    _put(tmp_path, recipe.operator(), 1)
    _put(tmp_path, recipe.runtime("torch"), 2)
    assert [image.reference for image in shelf.kept(tmp_path)] == [
        "localhost/modelfleet/runtime:000000000002-torch",
        "localhost/modelfleet/operator:000000000001",
    ]
