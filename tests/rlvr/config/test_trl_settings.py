"""The names read from TRL's sources are those that TRL has."""

from dataclasses import fields

import pytest

from rlvr.config.trl_settings import trl_settings


@pytest.mark.parametrize("name", ["SFTConfig", "GRPOConfig"])
def test_the_names_are_those_of_the_imported_class(name):
    trl = pytest.importorskip("trl", reason="needs the train extra")
    assert trl_settings(name) == {field.name for field in fields(getattr(trl, name))}
