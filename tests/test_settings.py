"""Objects record the arguments of their constructors and can be built again from them."""

from pathlib import Path

import pandas as pd
import pytest

from personality.settings import RecordsSettings


class Base(RecordsSettings):
    def __init__(self, shape, kind="float", seed=0, cache="cache"):
        self.values = shape, kind, seed, cache


class Passing(Base):
    """Fixes `shape` and `kind`."""

    def __init__(self, size, *, depth=2, **options):
        super().__init__((size, depth), kind="int", **options)


class Closed(Base):
    """Has no options of its base class."""

    def __init__(self, size=1):
        super().__init__(size)


class Inherited(Passing):
    pass


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda: Base((1, 2), seed=3), {"shape": [1, 2], "kind": "float", "seed": 3, "cache": "cache"}),
        (lambda: Passing(4, seed=5), {"size": 4, "depth": 2, "seed": 5, "cache": "cache"}),
        (lambda: Inherited(4, cache=Path("a")), {"size": 4, "depth": 2, "cache": "a", "seed": 0}),
        (Closed, {"size": 1}),
        (lambda: Base({"a": (1, None)}), {"shape": {"a": [1, None]}, "kind": "float", "seed": 0, "cache": "cache"}),
        (lambda: Base(pd.DataFrame()), {"kind": "float", "seed": 0, "cache": "cache"}),
        (lambda: Base([1, pd.DataFrame()]), {"kind": "float", "seed": 0, "cache": "cache"}),
    ],
)
def test_settings_are_the_plain_arguments(build, expected):
    assert build().settings == expected


def test_settings_build_the_same_object_again():
    first = Passing(4, seed=5)
    assert Passing(**first.settings).values == first.values
    assert first.config == {"_target_": f"{__name__}.Passing", **first.settings}


def test_settings_are_copies():
    shape = [1, 2]
    built = Base(shape)
    shape.append(3)
    assert built.settings["shape"] == [1, 2]


def test_wrong_arguments_raise_pythons_own_error():
    with pytest.raises(TypeError, match=r"Base\.__init__\(\) got an unexpected keyword argument 'sed'"):
        Passing(4, sed=1)
    with pytest.raises(TypeError, match=r"Passing\.__init__\(\) missing 1 required positional argument: 'size'"):
        Passing()
